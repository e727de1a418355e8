"""GET /health and /health/ready; the database gone and back."""

import asyncio
import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager

import psycopg
import pytest

from chat.api import health
from tests.helpers.folders import open_folder
from tests.helpers.waiting import eventually


def test_health_is_200_while_the_process_serves(client):
    answer = client.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


def test_health_may_be_asked_with_head(client):
    assert client.head("/health").status_code == 200
    assert client.head("/health/ready").status_code == 200


def test_ready_with_database_and_migrations(client, model):
    answer = client.get("/health/ready")

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok"},
    }
    assert model.requests == []


def test_a_database_without_migrations_is_not_ready(serve, cluster):
    server = serve(DATABASE_URL=cluster.start("empty"), WEB_CONCURRENCY="1")

    answer = server.client.get("/health/ready")

    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unready",
        "checks": {"database": "ok", "migrations": "missing"},
    }


def test_the_database_gone_and_back(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), WEB_CONCURRENCY="1")
    first = server.client.post("/chat", json={"message": "Before?"}).json()
    cluster.stop()

    gone = server.client.post("/chat", json={"message": "During?"})
    streamed = server.client.post("/chat", json={"message": "During?", "stream": True})
    unready = server.client.get("/health/ready")
    alive = server.client.get("/health")

    cluster.start()
    back = server.client.post(
        "/chat", json={"message": "After?", "session_id": first["session_id"]}
    )
    ready = eventually(lambda: server.client.get("/health/ready").status_code == 200)

    assert (gone.status_code, gone.json()["code"]) == (503, "database_unavailable")
    assert (streamed.status_code, streamed.json()["code"]) == (503, "database_unavailable")
    assert gone.elapsed.total_seconds() < 10
    assert unready.status_code == 503
    assert unready.json()["checks"] == {"database": "unavailable", "migrations": "unknown"}
    assert unready.elapsed.total_seconds() < 5
    assert alive.status_code == 200
    assert back.status_code == 200
    assert [m["content"] for m in model.prompt[1:]] == [
        "Before?",
        "A scripted answer.",
        "After?",
    ]
    assert ready


def test_a_database_that_does_not_answer_is_given_up_in_time(serve):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://chat@127.0.0.1:{silent.getsockname()[1]}/chat"
        server = serve(DATABASE_URL=url, WEB_CONCURRENCY="1")
        begin = time.monotonic()
        answer = server.client.post("/chat", json={"message": "?"}, timeout=15)
        took = time.monotonic() - begin
        ready = server.client.get("/health/ready", timeout=15)

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert took < 10
    assert ready.elapsed.total_seconds() < 5


# A full disk --------------------------------------------------------------------------------
@contextmanager
def small_disk():
    """A file system of 64 MB, for all users."""
    with open_folder() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder],
            check=False,
            capture_output=True,
        )
        if mounted.returncode:
            pytest.skip("mounting a small disk takes root's rights")
        try:
            folder.chmod(0o777)
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def on_small_disk(cluster):
    """The address of a database on a disk of its own, and the folder where that is."""
    with small_disk() as disk, psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        owner = (cluster.service.folder / "postgres").stat()
        tables = disk / "tables"
        tables.mkdir(mode=0o700)
        os.chown(tables, owner.st_uid, owner.st_gid)
        admin.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
        admin.execute("CREATE DATABASE small TEMPLATE chatbackend TABLESPACE small")
        yield cluster.url("small"), disk
        admin.execute("DROP DATABASE small WITH (FORCE)")


def fill(disk):
    """All but some pages."""
    with (disk / "filler").open("wb") as filler:
        room = os.statvfs(disk)
        filler.write(bytes(room.f_bavail * room.f_frsize - 100_000))


def database_of(server):
    return server.client.get("/health/ready").json()["checks"]["database"]


def test_a_full_disk_is_not_ready_until_there_is_room_again(serve, on_small_disk):
    url, disk = on_small_disk
    server = serve(DATABASE_URL=url, WEB_CONCURRENCY="1")
    assert database_of(server) == "ok"
    fill(disk)

    eventually(lambda: database_of(server) == "disk full")
    assert server.client.get("/health/ready").status_code == 503
    assert server.client.get("/health").status_code == 200
    (disk / "filler").unlink()
    eventually(lambda: database_of(server) == "ok")

    assert server.client.post("/chat", json={"message": "?"}).status_code == 200
    assert "PostgreSQL's disk is full: could not write to file" in server.log
    assert "No space left on device" in server.log
    assert "PostgreSQL can write again after" in server.log


# As databases with a quota do: the limit of Neon's projects does not concern temporary files.
NO_ROOM = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE 'could not extend file because project size limit (512 MB) has been exceeded'
    USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON chat_session EXECUTE FUNCTION no_room()
"""


def test_a_quota_that_refuses_turns_is_not_ready_until_one_can_be_stored(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), WEB_CONCURRENCY="1")
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute(NO_ROOM)
        refused = server.client.post("/chat", json={"message": "?"})
        eventually(lambda: database_of(server) == "disk full")
        admin.execute("DROP TRIGGER no_room ON chat_session")
        eventually(lambda: database_of(server) == "ok")

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert "exceeded" not in refused.text
    (line,) = [
        json.loads(line)
        for line in server.log.splitlines()
        if refused.json()["request_id"] in line and '"message": "Request"' in line
    ]
    assert line["reason"].startswith("could not extend file because project size limit")
    assert model.requests == []


# How often it is looked ---------------------------------------------------------------------
@pytest.fixture
def looks(monkeypatch):
    """How often the database was looked at."""
    made = []

    async def query(work, seconds):
        made.append(seconds)
        await asyncio.sleep(0.01)
        return {"database": "ok", "migrations": "ok"}

    monkeypatch.setattr(health, "in_thread", query)
    monkeypatch.setattr(health, "_last", (-health.KEPT_SECONDS, {}))
    return made


def test_one_look_answers_all_who_ask_within_a_second(looks, monkeypatch):
    async def ask():
        at_once = await asyncio.gather(*[health.checks() for _ in range(50)])
        later = await health.checks()
        return [*at_once, later]

    assert asyncio.run(ask()) == [{"database": "ok", "migrations": "ok"}] * 51
    assert len(looks) == 1

    looked_at, found = health._last
    monkeypatch.setattr(health, "_last", (looked_at - health.KEPT_SECONDS, found))
    asyncio.run(health.checks())
    assert len(looks) == 2


def test_a_client_that_leaves_takes_no_look_from_others(looks):
    async def ask():
        first = asyncio.create_task(health.checks())
        second = asyncio.create_task(health.checks())
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(ask()) == {"database": "ok", "migrations": "ok"}
    assert len(looks) == 1
