"""Asks the database for its time, and the cache before that."""

import os
import socket

import psycopg2
import redis

cache = redis.Redis.from_url(os.environ["CACHE_URL"], socket_timeout=2)


def database_time():
    database = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=2)
    try:
        with database.cursor() as cursor:
            cursor.execute("SELECT to_char(now(), 'HH24:MI:SS')")
            return cursor.fetchone()[0]
    finally:
        database.close()


def application(environ, start_response):
    cached = cache.get("time")
    if cached:
        time, source = cached.decode(), "cache"
    else:
        time, source = database_time(), "database"
        cache.set("time", time, ex=int(os.environ["CACHED_FOR"]))
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{os.environ['TITLE']}: {time} from the {source}, answered by {socket.gethostname()}\n".encode()]
