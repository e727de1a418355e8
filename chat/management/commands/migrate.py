"""Django's `migrate`, one at a time: hosts that start at once may each run it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import connections
from django.db.utils import OperationalError

LOCK = 0x63686174  # "chat" in ASCII: no other application on this database is likely to use it
POLL_SECONDS = 0.5


class Command(MigrateCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        with lock_connection(options["database"]) as connection:
            is_waiting = False
            while not try_lock(connection):
                if not is_waiting and options["verbosity"]:
                    self.stdout.write("Waiting for another migrate to end.")
                    self.stdout.flush()
                is_waiting = True
                time.sleep(POLL_SECONDS)
            super().handle(*args, **options)


@contextmanager
def lock_connection(alias: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside Django's, closed at the end. Raises CommandError."""
    try:
        connections[alias].ensure_connection()  # which starts an embedded server
        params = connections[alias].get_connection_params()
        connection = psycopg.connect(**params | {"cursor_factory": psycopg.Cursor})
    except (OperationalError, psycopg.OperationalError) as error:
        reason = str(error).partition("\n")[0]
        raise CommandError(f"PostgreSQL cannot be reached: {reason}") from error
    try:
        yield connection
    finally:
        connection.close()


def try_lock(connection: psycopg.Connection[Any]) -> bool:
    """Take the lock, which is kept until the connection is closed, unless another process has it.

    It is a transaction's lock, so that it works through a pooler too. Nobody waits for it within a
    statement: an index that is made concurrently would wait for that statement, and so for ever.
    For the same reason the statement has no parameters: PostgreSQL keeps the snapshot of one that
    has until the transaction's next.
    """
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    row = connection.execute(f"SELECT pg_try_advisory_xact_lock({LOCK})").fetchone()
    if row == (True,):
        return True
    connection.rollback()
    return False
