"""One run at a time, on all hosts: locks in PostgreSQL, each by a number of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection as djangos
from django.db import connections
from django.db.utils import OperationalError

POLL_SECONDS = 0.5

# PostgreSQL shows the two halves of a number.
HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND datname = current_database() AND granted
        AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 1
)
"""


class Unreachable(Exception):
    """PostgreSQL cannot be reached; its own reason."""


@contextmanager
def locked(
    number: int, on_wait: Callable[[], object], alias: str = "default"
) -> Iterator[psycopg.Connection[Any]]:
    """Hold the lock; `on_wait` is called once if another process has it. Raises Unreachable."""
    with _connection(alias) as connection:
        if not try_lock(connection, number):
            on_wait()
            while not try_lock(connection, number):
                time.sleep(POLL_SECONDS)
        yield connection


@contextmanager
def _connection(alias: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside Django's, closed at the end."""
    try:
        connections[alias].ensure_connection()  # which starts an embedded server
        params = connections[alias].get_connection_params()
        connection = psycopg.connect(**params | {"cursor_factory": psycopg.Cursor})
    except (OperationalError, psycopg.OperationalError) as error:
        raise Unreachable(str(error).partition("\n")[0]) from error
    try:
        yield connection
    finally:
        connection.close()


def try_lock(connection: psycopg.Connection[Any], number: int) -> bool:
    """Take the lock, which is kept until the connection is closed, unless another process has it.

    It is a transaction's lock, so that it works through a pooler too. Nobody waits for it within a
    statement: an index that is made concurrently would wait for that statement, and so for ever.
    For the same reason the statement has no parameters: PostgreSQL keeps the snapshot of one that
    has until the transaction's next.
    """
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    row = connection.execute(f"SELECT pg_try_advisory_xact_lock({number})").fetchone()
    if row == (True,):
        return True
    connection.rollback()
    return False


def is_locked(number: int) -> bool:
    """Whether a process, on whichever host, has the lock now."""
    with djangos.cursor() as cursor:
        cursor.execute(HELD, [number >> 32, number & 0xFFFFFFFF])
        return bool(cursor.fetchone()[0])
