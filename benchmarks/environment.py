"""What benchmarks run on, once this is imported: an empty PostgreSQL of their own, and Django.

The settings of this process, and of the commands it starts, name that database.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import django
import psycopg

from embedded.postgres import Cluster

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = CHECKOUT / ".embedded" / "bench"
DATABASE = "measured"
CLUSTER = Cluster(FOLDER)


def empty_database(name: str = DATABASE) -> str:
    """Its address. One of that name is dropped first."""
    with psycopg.connect(CLUSTER.start(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return CLUSTER.url(name)


def manage(*arguments: str, **environment: str) -> tuple[float, float]:
    """Run a command of ours: the seconds it took, and its peak memory in MB."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=os.environ | environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return time.monotonic() - begin, usage.ru_maxrss / 1024


os.environ |= {
    "DJANGO_SETTINGS_MODULE": "chatbackend.settings",
    "EMBEDDED": "true",
    "SECRET_KEY": "only for what is measured here",
    "OPENAI_API_KEY": "sk-none-is-asked",
    "DATABASE_URL": empty_database(),
    "LOG_LEVEL": "ERROR",
}
django.setup()
