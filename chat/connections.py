"""Lasting connections on the event loop, for the two statements that every turn needs.

A thread (`chat.database`) waits for Python's lock after each answer of PostgreSQL, and with many
turns at once that is what they wait for. So a turn's usual statements are run here; what is not
usual is left to threads, with all that Django has for it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db import connection as django_connection

from chat.errors import DatabaseUnavailable

# NotSupportedError: a statement was prepared before a migration changed what it returns.
LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
)

type Row = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL with named placeholders, and their values."""

    sql: str
    values: Mapping[str, Any]


class _Connections:
    """As many as are needed, up to a limit; the one used last is used next."""

    def __init__(self) -> None:
        self._idle: list[psycopg.AsyncConnection[Row]] = []
        self._free = asyncio.Semaphore(settings.DATABASE_CONNECTIONS)

    async def run(self, statement: Statement) -> list[Row]:
        async with self._free:
            connection = self._idle.pop() if self._idle else await _connect()
            try:
                cursor = await connection.execute(statement.sql.encode(), statement.values)
                rows = await cursor.fetchall() if cursor.description else []
            except psycopg.IntegrityError:
                self._idle.append(connection)
                raise
            except BaseException:
                await connection.close()
                await self.close()  # what ended this one has probably ended all
                raise
            self._idle.append(connection)
            return rows

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections] = WeakKeyDictionary()
_running: set[asyncio.Task[list[Row]]] = set()


async def _connect() -> psycopg.AsyncConnection[Row]:
    """With the settings of Django's own connections.

    PostgreSQL keeps the statements prepared, which halves what they cost it; but not behind a
    pooler such as PgBouncer, where the next one may be run by another process, without them.
    """
    params = django_connection.get_connection_params() | {"cursor_factory": psycopg.AsyncCursor}
    connection = await psycopg.AsyncConnection.connect(**params, autocommit=True)
    cursor = await connection.execute("SELECT pg_backend_pid()")
    is_direct = await cursor.fetchone() == (connection.info.backend_pid,)
    connection.prepare_threshold = 5 if is_direct else None
    return connection


async def run(
    statement: Statement, too_late: Callable[[], object] | None = None
) -> list[tuple[Any, ...]]:
    """Run a statement as a transaction of its own; returns its rows.

    Raises LOST or DatabaseUnavailable (no answer in time), after which nobody knows whether it was
    done, or psycopg.IntegrityError. `too_late` is called if it is done after all, later on.
    """
    here = _connections.setdefault(asyncio.get_running_loop(), _Connections())
    running = asyncio.create_task(here.run(statement))
    _running.add(running)
    running.add_done_callback(_running.discard)
    done, _ = await asyncio.wait({running}, timeout=settings.DATABASE_TIMEOUT_SECONDS)
    if done:
        return running.result()

    def afterwards(task: asyncio.Task[list[Row]]) -> None:
        if not task.cancelled() and task.exception() is None and too_late:
            too_late()

    running.add_done_callback(afterwards)
    raise DatabaseUnavailable("no answer in time")


async def close() -> None:
    """Close this loop's connections. What still runs there was too late: it is called off."""
    loop = asyncio.get_running_loop()
    if late := {task for task in _running if task.get_loop() is loop}:
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=settings.DATABASE_TIMEOUT_SECONDS)
    if here := _connections.pop(loop, None):
        await here.close()
