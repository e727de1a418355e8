"""`manage.py migrate`, which several hosts may start at once."""

import os
import subprocess
import sys

import psycopg
import pytest

from tests.helpers.environment import CHECKOUT
from tests.helpers.folders import open_folder


@pytest.fixture(scope="module")
def empty_database():
    from embedded.postgres import Cluster

    with open_folder() as folder:
        cluster = Cluster(folder, {"fsync": "off"})
        yield cluster.start("empty")
        cluster.stop()


def begin_migrate(url):
    """Without a model: no key is needed for it."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate"],
        cwd=CHECKOUT,
        env=os.environ | {"DATABASE_URL": url, "OPENAI_API_KEY": "", "EMBEDDED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_three_started_at_once_one_migrates_and_the_others_wait(empty_database):
    started = [begin_migrate(empty_database) for _ in range(3)]
    outputs = [process.communicate(timeout=120) for process in started]

    assert [process.returncode for process in started] == [0, 0, 0], outputs
    assert sum("Applying chat.0001_initial... OK" in out for out, _ in outputs) == 1
    assert sum("No migrations to apply." in out for out, _ in outputs) == 2


def test_one_that_waits_holds_nothing_that_the_other_waits_for(empty_database):
    """Such as a snapshot, for which an index that is made concurrently would wait."""
    with psycopg.connect(empty_database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [0x63686174])
        waiting = begin_migrate(empty_database)
        assert waiting.stdout.readline() == "Waiting for another migrate to end.\n"
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute("CREATE INDEX CONCURRENTLY made ON chat_message (content)")
            connection.execute("DROP INDEX made")

    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert "No migrations to apply." in out


def test_a_database_that_is_away_is_a_sentence():
    process = begin_migrate("postgresql://nobody@127.0.0.1:1/none")
    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert err.startswith("CommandError: PostgreSQL cannot be reached: connection failed: ")
    assert len(err.splitlines()) == 1
