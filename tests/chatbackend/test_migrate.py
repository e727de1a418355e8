"""`manage.py migrate`, which several hosts may start at once."""

import os
import subprocess
import sys
from uuid import uuid4

import psycopg
import pytest

from book.locks import try_lock
from chat.management.commands.migrate import LOCK
from tests.helpers.environment import CHECKOUT
from tests.helpers.folders import open_folder


@pytest.fixture(scope="module")
def cluster():
    from embedded.postgres import Cluster

    with open_folder() as folder:
        cluster = Cluster(folder, {"fsync": "off"})
        yield cluster
        cluster.stop()


@pytest.fixture
def empty_database(cluster):
    return cluster.start(f"empty_{uuid4().hex}")


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


def test_neither_the_lock_nor_waiting_for_it_keeps_a_concurrent_index_waiting(empty_database):
    """Such an index waits for every snapshot that is older than itself."""
    with psycopg.connect(empty_database) as holder:
        assert try_lock(holder, LOCK)
        waiting = begin_migrate(empty_database)
        assert waiting.stdout.readline() == "Waiting for another migrate to end.\n"
        with psycopg.connect(
            empty_database, autocommit=True, options="-c statement_timeout=10s"
        ) as connection:
            connection.execute("CREATE TABLE made (id int)")
            connection.execute("CREATE INDEX CONCURRENTLY made_id ON made (id)")
            connection.execute("DROP TABLE made")

    _, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, err


def test_a_database_that_is_away_is_a_sentence():
    process = begin_migrate("postgresql://nobody@127.0.0.1:1/none")
    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert err.startswith("CommandError: PostgreSQL cannot be reached: connection failed: ")
    assert len(err.splitlines()) == 1
