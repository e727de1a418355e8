"""Is the service ready? For load balancers and operators; never asks the model."""

import asyncio
import time
from collections.abc import Mapping

from django.db import DatabaseError, Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from loguru import logger
from psycopg.errors import ConfigurationLimitExceeded

from book.models import Edition
from chat.database import full_disk, in_thread, is_disk_full, reason
from chat.errors import DatabaseUnavailable

TIMEOUT_SECONDS = 4
KEPT_SECONDS = 1  # however many balancers ask

# A megabyte of temporary files, on the disk of the tables: written in a few milliseconds, without a
# row, a lock or anything that is left behind.
TAKE_ROOM = """
SET LOCAL work_mem = '64kB';
SELECT count(*) FROM unnest(array_fill(repeat('x', 65536), ARRAY[16]))
"""
# More than fits the pages that a table has. Some hosted databases limit tables alone.
WRITE = """
INSERT INTO chat_session (id, created_at, updated_at, verdict, review_note)
SELECT gen_random_uuid(), now(), now(), '', string_agg(gen_random_uuid()::text, '')
FROM generate_series(1, 2000)
"""

NO_EMBEDDINGS = "indexed without embeddings"
HARMLESS = ("ok", NO_EMBEDDINGS)

type Checks = Mapping[str, str]

_last: tuple[float, Checks] = (-KEPT_SECONDS, {})
_running: asyncio.Task[Checks] | None = None


async def checks() -> Checks:
    """Each part by name: `ok`, or what is wrong with it. At most a second old."""
    global _running  # noqa: PLW0603 - the one task of this process
    if time.monotonic() - _last[0] < KEPT_SECONDS:
        return _last[1]
    if _running is None or _running.done() or _running.get_loop() is not asyncio.get_running_loop():
        _running = asyncio.create_task(_check())
    return await asyncio.shield(_running)


def is_ready(found: Checks) -> bool:
    return all(state in HARMLESS for state in found.values())


async def _check() -> Checks:
    global _last  # noqa: PLW0603
    found = await _look()
    _last = (time.monotonic(), found)
    return found


async def _look() -> Checks:
    try:
        return await in_thread(_query, TIMEOUT_SECONDS)
    except (DatabaseUnavailable, Error) as error:
        if isinstance(error, Error):  # the other one is in the log
            logger.error("Readiness cannot be found out: {}", reason(error))
        return {"database": "unavailable", "migrations": "unknown"}


def _query() -> Checks:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        is_writable = cursor.fetchone() == ("off",)
    database = "read-only"
    if is_writable:
        database = "ok" if _has_room() else "disk full"
    if not _is_migrated():
        return {"database": database, "migrations": "missing"}
    return {"database": database, "migrations": "ok", **_book()}


def _book() -> Checks:
    """Nothing where no book is indexed."""
    lacks = Edition.objects.lacks_embeddings()
    return {} if lacks is None else {"book": NO_EMBEDDINGS if lacks else "ok"}


def _has_room() -> bool:
    try:
        _try_and_roll_back(TAKE_ROOM)
        if full_disk.is_on:  # the last write of a turn said so
            _try_and_roll_back(WRITE)
    except DatabaseError as error:
        if is_disk_full(error):
            full_disk.begin(error)
            return False
        if not isinstance(error.__cause__, ConfigurationLimitExceeded):  # of temporary files
            raise
    full_disk.end()
    return True


def _try_and_roll_back(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
        transaction.set_rollback(True)


def _is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
