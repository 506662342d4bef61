"""Serves visits.py, read anew for each request."""

import http.server
import importlib
import signal
import sys
import traceback

import visits


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, body = 200, importlib.reload(visits).body(self.path)
        except Exception:
            status, body = 500, traceback.format_exc()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.ThreadingHTTPServer(("", 5000), Handler).serve_forever()
