"""GET /health and /health/ready; the database gone and back."""

import asyncio
import socket
import time

import pytest

from chat.api import health
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


@pytest.fixture
def looks(monkeypatch):
    """How often the database was looked at."""
    made = []

    async def query(work, seconds):
        made.append(seconds)
        await asyncio.sleep(0.01)
        return True, True

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
