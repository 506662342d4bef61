"""A guestbook: entries in PostgreSQL, the newest of them cached in Redis."""

import html
import json
import os
import socket
from urllib.parse import parse_qs

import psycopg2
import redis

REPLICA = socket.gethostname()
SHOWN = 50  # entries
CACHED_FOR = 60  # seconds

cache = redis.Redis(host=os.environ["CACHE_HOST"], socket_timeout=2)


def connect():
    with open(os.environ["DB_PASSWORD_FILE"], encoding="utf-8") as file:
        password = file.read().strip()
    return psycopg2.connect(
        host=os.environ["DB_HOST"],
        dbname=os.environ["DB_NAME"],
        user=os.environ["DB_USER"],
        password=password,
        connect_timeout=2,
    )


def query(statement, *values, rows=True):
    database = connect()
    try:
        with database, database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if rows else None
    finally:
        database.close()


def entries():
    cached = cache.get("entries")
    if cached:
        return json.loads(cached)
    found = query(
        "SELECT name, message, to_char(written AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
        " FROM entries ORDER BY id DESC LIMIT %s",
        SHOWN,
    )
    newest = [dict(zip(("name", "message", "written"), row)) for row in found]
    cache.set("entries", json.dumps(newest), ex=CACHED_FOR)
    return newest


def write(name, message):
    query("INSERT INTO entries (name, message) VALUES (%s, %s)", name, message, rows=False)
    cache.delete("entries")


def page():
    rows = "".join(
        f"<li><b>{html.escape(e['name'])}</b>: {html.escape(e['message'])} <small>{e['written']}</small></li>"
        for e in entries()
    )
    return f"""<!doctype html>
<title>Guestbook</title>
<h1>Guestbook</h1>
<form method=post action=/entries>
<input name=name placeholder=Name required> <input name=message placeholder=Message size=60 required> <button>Sign</button>
</form>
<ul>{rows}</ul>
<p><small>Visit {cache.incr("visits")}, answered by {REPLICA}.</small></p>
"""


def as_json(value):
    return "application/json", json.dumps({"replica": REPLICA, **value}) + "\n"


def answer(environ):
    """Returns status, content type, body."""
    way = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if way == ("GET", "/"):
        return "200 OK", "text/html; charset=utf-8", page()
    if way == ("GET", "/entries"):
        return "200 OK", *as_json({"entries": entries()})
    if way == ("POST", "/entries"):
        form = parse_qs(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
        if not form.get("name") or not form.get("message"):
            return "400 Bad Request", *as_json({"error": "name and message are needed"})
        write(form["name"][0], form["message"][0])
        if "text/html" in environ.get("HTTP_ACCEPT", ""):
            return "303 See Other", "text/plain", ""
        return "201 Created", *as_json({"written": True})
    if way == ("GET", "/health"):
        query("SELECT 1")
        cache.ping()
        return "200 OK", *as_json({"healthy": True})
    return "404 Not Found", *as_json({"error": "there is nothing here"})


def application(environ, start_response):
    try:
        status, kind, body = answer(environ)
    except (psycopg2.Error, redis.RedisError) as error:
        print(f"{environ['PATH_INFO']}: {error}", flush=True)
        status, (kind, body) = "503 Service Unavailable", as_json({"error": "a store is not reachable"})
    headers = [("Content-Type", kind), ("X-Replica", REPLICA)]
    if status.startswith("303"):
        headers.append(("Location", "/"))
    body = body.encode()
    headers.append(("Content-Length", str(len(body))))
    start_response(status, headers)
    return [body]
