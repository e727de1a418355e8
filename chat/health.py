"""Is the service ready? Asked by balancers and operators; never asks the model."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from chat.database import in_database
from chat.errors import DatabaseUnavailable

PATIENCE_SECONDS = 4


async def checks() -> dict[str, str]:
    """Each part by name: `ok`, or what is wrong with it."""
    try:
        writable, migrated = await in_database(_look, PATIENCE_SECONDS)
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
