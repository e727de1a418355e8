"""All database work of the API, bounded in number and time, and never leaking a connection.

The two statements that every turn needs run on lasting connections of the event loop
(`run_statement`): a thread waits for Python's lock after each answer of PostgreSQL, and with many
turns at once that is what they would wait for. Everything else runs in a few threads, each with one
lasting connection of Django's (`in_thread`). So the number of connections is bounded, whatever
the number of readers, and none is held while the model works. (Django's own way under ASGI, one
connection for each request, leaks it whenever a client disconnects at the wrong moment.)
"""

import asyncio
import contextvars
import itertools
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import django.db
import psycopg
from django.conf import settings
from django.db import connection as django_connection
from loguru import logger
from psycopg.errors import DiskFull

from chat.errors import DatabaseUnavailable

# What a connection raises that is of no more use. InternalError also comes from a server that has
# become a read-only copy; NotSupportedError from a statement that was prepared before a migration
# changed what it returns.
LOST = (
    django.db.OperationalError,
    django.db.InterfaceError,
    django.db.InternalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
)
# How long `retry` goes on, with pauses that grow up to the last one.
RETRY_FOR_SECONDS = 60
RETRY_PAUSES_SECONDS = (0.1, 0.3, 1, 2, 5)
QUIET_SECONDS = 10

PLACEHOLDER = re.compile(r"%\((\w+)\)s")

type Row = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL with named placeholders, and their values."""

    sql: str
    values: Mapping[str, Any]


class _Trouble:
    """Logs that it began, with PostgreSQL's own reason, and that it ended: one line each."""

    def __init__(self, begins: str, ends: str) -> None:
        self._begins, self._ends = begins, ends
        self.is_on = False
        self._logged_at: float | None = None
        self._quiet_until = 0.0  # a server that is only too slow would come and go all the time

    def begin(self, error: Exception) -> None:
        self.is_on = True
        if self._logged_at is None and time.monotonic() >= self._quiet_until:
            self._logged_at = time.monotonic()
            logger.error("{}: {}", self._begins, reason(error))

    def end(self) -> None:
        self.is_on = False
        if self._logged_at is not None:
            now = time.monotonic()
            logger.info("{} after {:.0f} s", self._ends, now - self._logged_at)
            self._logged_at, self._quiet_until = None, now + QUIET_SECONDS


# As this process sees it.
outage = _Trouble("PostgreSQL is unavailable", "PostgreSQL is available again")
full_disk = _Trouble("PostgreSQL's disk is full", "PostgreSQL can write again")


def is_disk_full(error: BaseException) -> bool:
    """Django wraps psycopg's error."""
    return isinstance(error, DiskFull) or isinstance(error.__cause__, DiskFull)


def reason(error: BaseException) -> str:
    """For the log: the first line of what PostgreSQL says."""
    return str(error).partition("\n")[0] or "no answer in time"


def _note(error: Exception) -> None:
    (full_disk if is_disk_full(error) else outage).begin(error)


# Statements on the event loop ---------------------------------------------------------------
class _Connections:
    """As many as are needed, up to a limit; the one used last is used next."""

    def __init__(self) -> None:
        self._idle: list[psycopg.AsyncConnection[Row]] = []
        self.in_use = 0
        self._free = asyncio.Semaphore(settings.DATABASE_CONNECTIONS)

    async def run(self, statement: Statement) -> list[Row]:
        async with self._free:
            self.in_use += 1
            try:
                return await self._run(statement)
            finally:
                self.in_use -= 1

    async def _run(self, statement: Statement) -> list[Row]:
        connection = self._idle.pop() if self._idle else await _connect()
        try:
            query, names = numbered(statement.sql)
            cursor = await connection.execute(query, [statement.values[n] for n in names])
            rows = await cursor.fetchall() if _gives_rows(cursor) else []
        except (psycopg.IntegrityError, psycopg.DataError):  # the values' fault
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.close()
            await self.close()  # what ended this one has probably ended all
            raise
        self._idle.append(connection)
        return rows

    @property
    def idle(self) -> int:
        return len(self._idle)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


def _gives_rows(cursor: psycopg.AsyncCursor[Row]) -> bool:
    """As its `description` says, which describes each column."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


@lru_cache
def numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """SQL with named placeholders as PostgreSQL wants it, with the names in the order of `$1`, ….

    psycopg does this for each execution of a statement as long as the search of the book.
    """
    names = tuple(dict.fromkeys(PLACEHOLDER.findall(sql)))
    numbers = {name: f"${number}" for number, name in enumerate(names, start=1)}
    query = PLACEHOLDER.sub(lambda found: numbers[found[1]], sql)
    return query.replace("%%", "%").encode(), names


_connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections] = WeakKeyDictionary()
_running: set[asyncio.Task[list[Row]]] = set()


def connection_counts() -> tuple[int, int, int]:
    """In use, idle, and how many there may be, in this process; may be called in any thread."""
    pools = list(_connections.values())
    most = settings.DATABASE_CONNECTIONS
    return sum(each.in_use for each in pools), sum(each.idle for each in pools), most


async def _connect() -> psycopg.AsyncConnection[Row]:
    """With the settings of Django's own connections.

    PostgreSQL keeps the statements prepared, which halves what they cost it; but not behind a
    pooler such as PgBouncer, where the next one may be run by another process, without them.
    """
    params = django_connection.get_connection_params() | {"cursor_factory": psycopg.AsyncRawCursor}
    try:
        connection = await psycopg.AsyncConnection.connect(**params, autocommit=True)
    except LOST as error:
        outage.begin(error)
        raise
    outage.end()
    cursor = await connection.execute("SELECT pg_backend_pid()")
    is_direct = await cursor.fetchone() == (connection.info.backend_pid,)
    connection.prepare_threshold = 5 if is_direct else None
    return connection


async def run_statement(
    statement: Statement, on_late_commit: Callable[[list[Row]], object] | None = None
) -> list[Row]:
    """Run a statement as a transaction of its own; returns its rows.

    Raises LOST or DatabaseUnavailable (timeout), after which it is unknown whether it was
    committed, psycopg.IntegrityError or psycopg.DataError. `on_late_commit` is called with the rows
    of a commit that comes later than the timeout.
    """
    running = _begun(statement)
    done, _ = await asyncio.wait({running}, timeout=settings.DATABASE_TIMEOUT_SECONDS)
    if done:
        return _written(running)

    def afterwards(task: asyncio.Task[list[Row]]) -> None:
        if not task.cancelled() and task.exception() is None and on_late_commit:
            on_late_commit(task.result())

    running.add_done_callback(afterwards)
    outage.begin(TimeoutError())
    raise DatabaseUnavailable("timeout")


def _begun(statement: Statement) -> asyncio.Task[list[Row]]:
    here = _connections.setdefault(asyncio.get_running_loop(), _Connections())
    running = asyncio.create_task(here.run(statement))
    _running.add(running)
    running.add_done_callback(_running.discard)
    return running


async def read_rows(statement: Statement, seconds: float) -> list[Row]:
    """Run a statement that only reads: once more where its connection broke, and not for longer
    than `seconds` at a time; then it is cancelled. Raises DatabaseUnavailable.
    """
    try:
        return await _read(statement, seconds)
    except LOST:
        logger.debug("A connection was lost while reading; trying once more")
    try:
        return await _read(statement, seconds)
    except LOST as error:
        _note(error)
        raise DatabaseUnavailable(reason(error)) from error


async def _read(statement: Statement, seconds: float) -> list[Row]:
    running = _begun(statement)
    done, _ = await asyncio.wait({running}, timeout=seconds)
    if done:
        return running.result()
    # Not waited for: psycopg asks the server to cancel it, which may not answer.
    running.add_done_callback(lambda late: late.cancelled() or late.exception())
    running.cancel()
    outage.begin(TimeoutError())
    raise DatabaseUnavailable("timeout")


def _written(done: asyncio.Task[list[Row]]) -> list[Row]:
    try:
        rows = done.result()
    except DiskFull as error:
        full_disk.begin(error)
        raise
    full_disk.end()
    return rows


async def close_connections() -> None:
    """Close this loop's connections; statements that still run have timed out and are cancelled."""
    loop = asyncio.get_running_loop()
    if late := {task for task in _running if task.get_loop() is loop}:
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=settings.DATABASE_TIMEOUT_SECONDS)
    if here := _connections.pop(loop, None):
        await here.close()


# Work in threads ----------------------------------------------------------------------------
threads = ThreadPoolExecutor(settings.DATABASE_CONNECTIONS, thread_name_prefix="database")
_abandoned: contextvars.ContextVar[threading.Event] = contextvars.ContextVar("abandoned")


async def in_thread[T](work: Callable[[], T], seconds: float | None = None) -> T:
    """Run `work`, which must be safe to run twice, in a database thread; returns its result.

    Raises DatabaseUnavailable when PostgreSQL is away or does not answer within `seconds`
    (by default `settings.DATABASE_TIMEOUT_SECONDS`).
    """
    abandoned = threading.Event()
    context = contextvars.copy_context()
    context.run(_abandoned.set, abandoned)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds or settings.DATABASE_TIMEOUT_SECONDS):
            found = await loop.run_in_executor(threads, context.run, _on_a_live_connection, work)
            outage.end()
            return found
    except TimeoutError as error:
        abandoned.set()  # the thread cannot be stopped, but it can be kept from committing
        outage.begin(error)
        raise DatabaseUnavailable("timeout") from error
    except LOST as error:
        _note(error)
        raise DatabaseUnavailable(reason(error)) from error


def check_not_abandoned() -> None:
    """To be called right before a commit: after a timeout the client got a 503, so nothing may be
    stored. Raises DatabaseUnavailable then.
    """
    if _abandoned.get(threading.Event()).is_set():
        raise DatabaseUnavailable("finished after the timeout")


def _on_a_live_connection[T](work: Callable[[], T]) -> T:
    """Run `work`; once more on a new connection if the old one had died unnoticed."""
    check_not_abandoned()
    try:
        return work()
    except LOST:
        logger.debug("A database connection was lost; trying once more on a new one")
        django_connection.close()
    try:
        return work()
    except LOST:
        django_connection.close()
        raise


# Retrying -----------------------------------------------------------------------------------
async def retry(work: Callable[[], Awaitable[object]], purpose: str) -> None:
    """Run `work` until it succeeds, for a minute at most; then log that `purpose` failed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + RETRY_FOR_SECONDS
    pauses = itertools.chain(RETRY_PAUSES_SECONDS, itertools.repeat(RETRY_PAUSES_SECONDS[-1]))
    for pause in pauses:
        try:
            await work()
        except (DatabaseUnavailable, *LOST) as error:
            if loop.time() > end:
                logger.error("{} failed, for too long: {}", purpose, reason(error))
                return
        except psycopg.DataError as error:  # no pause makes the value fit
            logger.opt(exception=error).error("{} failed", purpose)
            return
        except Exception as error:  # noqa: BLE001 - a migration that is taken back, perhaps
            if loop.time() > end:
                logger.opt(exception=error).error("{} failed", purpose)
                return
        else:
            return
        await asyncio.sleep(pause)
