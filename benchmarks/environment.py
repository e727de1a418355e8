"""What benchmarks run on, once this is imported: an empty PostgreSQL of their own, and Django.

The settings of this process, and of the commands it starts, name that database.
"""

import os
from pathlib import Path

import django
import psycopg

from chatbackend.embedded.postgres import Cluster

CHECKOUT = Path(__file__).resolve().parents[1]
DATABASE = "measured"


def empty_database() -> str:
    cluster = Cluster(CHECKOUT / ".embedded" / "bench")
    with psycopg.connect(cluster.start(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    return cluster.start(DATABASE)


os.environ |= {
    "DJANGO_SETTINGS_MODULE": "chatbackend.settings",
    "EMBEDDED": "true",
    "SECRET_KEY": "only for what is measured here",
    "OPENAI_API_KEY": "sk-none-is-asked",
    "DATABASE_URL": empty_database(),
    "LOG_LEVEL": "ERROR",
}
django.setup()
