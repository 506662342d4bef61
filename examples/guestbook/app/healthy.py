"""Succeeds when this replica answers and reaches its stores."""

from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", 8000, timeout=4)
connection.request("GET", "/health")
response = connection.getresponse()
print(response.status, response.read().decode().strip())
raise SystemExit(response.status != 200)
