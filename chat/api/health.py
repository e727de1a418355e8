"""Is the service ready? For load balancers and operators; never asks the model."""

import asyncio
import time
from collections.abc import Mapping

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from chat.database import in_thread
from chat.errors import DatabaseUnavailable

TIMEOUT_SECONDS = 4
KEPT_SECONDS = 1  # however many balancers ask

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


async def _check() -> Checks:
    global _last  # noqa: PLW0603
    found = await _look()
    _last = (time.monotonic(), found)
    return found


async def _look() -> Checks:
    try:
        writable, migrated = await in_thread(_query, TIMEOUT_SECONDS)
    except (DatabaseUnavailable, Error):
        return {"database": "unavailable", "migrations": "unknown"}
    return {
        "database": "ok" if writable else "read-only",
        "migrations": "ok" if migrated else "missing",
    }


def _query() -> tuple[bool, bool]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        writable = cursor.fetchone() == ("off",)
    return writable, _is_migrated()


def _is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
