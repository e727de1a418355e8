"""Is the service ready? For load balancers and operators; never asks the model."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from chat.database import in_thread
from chat.errors import DatabaseUnavailable

TIMEOUT_SECONDS = 4


async def checks() -> dict[str, str]:
    """Each part by name: `ok`, or what is wrong with it."""
    try:
        writable, migrated = await in_thread(_look, TIMEOUT_SECONDS)
    except DatabaseUnavailable:
        return {"database": "unavailable", "migrations": "unknown"}
    return {
        "database": "ok" if writable else "read-only",
        "migrations": "ok" if migrated else "missing",
    }


def _look() -> tuple[bool, bool]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        writable = cursor.fetchone() == ("off",)
    return writable, _is_migrated()


def _is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
