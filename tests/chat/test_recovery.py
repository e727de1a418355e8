"""Killed, restarted, cut off: no question and no finished answer is lost."""

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import uuid4

import httpx2
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from loguru import logger

from chat import database, prompts
from chat.database import threads
from chat.models import ChatSession, Message
from chat.turn import close, heartbeat, open, service
from chat.turn.turn import Question, running
from llm import completions
from tests.helpers.scripted_model import Reply
from tests.helpers.streams import kinds, stream, streaming, text_of
from tests.helpers.turns import new_turn
from tests.helpers.waiting import eventually

WHOLE = ["start", "text-start", "text-delta", "text-end", "finish", "[DONE]"]


def reply_of(server, session):
    return server.client.get(f"/chat/{session}").json()["messages"][1]


def interrupted(server, session):
    """The reply, once it is seen that nobody writes it any more."""
    return eventually(
        lambda: (reply := reply_of(server, session))["status"] != "pending" and reply, 30
    )


def test_a_worker_killed_mid_answer_loses_nothing_that_was_stored(serve, model):
    server = serve()
    session, key = str(uuid4()), {"Idempotency-Key": str(uuid4())}
    model.says(Reply("One two three.", hold_after=2), "The whole answer.")

    with streaming(server.client, "Killed?", key, session_id=session) as events:
        next(events)
        eventually(lambda: reply_of(server, session)["content"])
        for worker in server.workers():
            worker.kill()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(events)
    server.wait_until_healthy()
    pending = reply_of(server, session)
    begin = time.monotonic()
    reply = interrupted(server, session)
    took = time.monotonic() - begin
    again = server.client.post(
        "/chat", json={"message": "Killed?", "session_id": session}, headers=key
    )

    assert pending["status"] == "pending"
    assert (reply["status"], reply["error_code"]) == ("failed", "interrupted")
    assert reply["content"] == "One two "
    assert took < 20
    assert again.json()["response"] == "The whole answer."
    assert again.json()["message_id"] == reply["id"]


def test_a_server_killed_and_started_again_shows_what_was_interrupted(serve, model):
    server = serve()
    session = str(uuid4())
    model.says(Reply(hold=True))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(
            httpx2.post,
            f"{server.base_url}/chat",
            json={"message": "Killed?", "session_id": session},
        )
        model.wait_for_requests(1)
        server.kill()
        assert isinstance(asking.exception(), httpx2.TransportError)

    reply = interrupted(serve(), session)

    assert (reply["status"], reply["error_code"]) == ("failed", "interrupted")
    assert reply["content"] == ""


def test_a_database_restarted_mid_answer_is_not_noticed(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), LLM_TIMEOUT_SECONDS="30")
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=1))

    with streaming(server.client, session_id=session) as events:
        begun = [next(events) for _ in range(3)]
        cluster.stop()
        time.sleep(1.5)  # a beat falls into it
        cluster.start()
        model.release()
        assert kinds(begun + list(events)) == WHOLE

    reply = reply_of(server, session)
    assert (reply["status"], reply["content"]) == ("complete", "One two three.")


@pytest.mark.parametrize("form", ["plain", "stream"])
def test_a_reader_gets_the_answer_while_the_database_is_away(serve, cluster, model, form):
    server = serve(DATABASE_URL=cluster.url(), LLM_TIMEOUT_SECONDS="30")
    session = str(uuid4())
    model.says(Reply("One two three.", hold=True))
    body = {"message": "?", "session_id": session, "stream": form == "stream"}

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(server.client.post, "/chat", json=body)
        model.wait_for_requests(1)
        cluster.stop()
        begin = time.monotonic()
        model.release()
        answer = asking.result()
        took = time.monotonic() - begin
    cluster.start()

    assert answer.status_code == 200
    assert "three." in answer.text
    assert took < 10
    reply = eventually(lambda: (r := reply_of(server, session))["status"] == "complete" and r, 20)
    assert reply["content"] == "One two three."


def test_connections_cut_by_the_database_are_not_noticed(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), CHAT_RATE="")
    ask = {"message": "?"}
    for _ in range(20):
        server.client.post("/chat", json=ask)
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    assert {server.client.post("/chat", json=ask).status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
@pytest.mark.parametrize("reader", ["stays", "has-gone"])
def test_a_server_that_gets_sigterm_finishes_its_answers_first(serve, model, stored, reader, sign):
    server = serve(LLM_TIMEOUT_SECONDS="30")
    model.says(Reply("One two three.", hold_after=1))
    events = []

    with streaming(server.client) as arriving:
        reply_id = next(arriving)["messageId"]
        if reader == "stays":
            server.process.send_signal(sign)
            time.sleep(1)
            model.release()
            events = list(arriving)
    if reader == "has-gone":
        server.process.send_signal(sign)
        time.sleep(1)
        model.release()

    assert server.process.wait(20) == 0
    reply = Message.objects.get(id=reply_id)
    assert (reply.status, reply.content) == ("complete", "One two three.")
    if reader == "stays":
        assert kinds(events) == WHOLE[1:]


@pytest.mark.usefixtures("stored")
def test_an_answer_given_up_while_it_is_being_written_is_completed(client, model):
    model.says(Reply("One two three.", hold_after=1))

    with streaming(client) as events:
        reply = Message.objects.filter(id=next(events)["messageId"])
        reply.update(status="failed", error_code="interrupted")
        eventually(lambda: reply.get(status="pending"))
        reply.update(status="failed", error_code="interrupted")
        model.release()
        assert kinds(list(events)) == [*WHOLE[1:]]

    assert (reply.get().status, reply.get().error_code) == ("complete", "")


@pytest.mark.usefixtures("stored")
def test_a_late_writer_spoils_nothing(client, model):
    model.says(Reply("Too late.", hold_after=1))

    with streaming(client) as events:
        reply = Message.objects.filter(id=next(events)["messageId"])
        reply.update(attempt=uuid4(), status="complete", content="By another attempt.")
        assert kinds(list(events))[-2:] == ["abort", "[DONE]"]  # it need not go on either

    assert reply.get().content == "By another attempt."


@pytest.fixture
def ask_here(ask_llm, stored):
    """Takes a turn in this process."""

    async def asking():
        try:
            return await service.answer(Question("?", session_id=uuid4()))
        finally:
            await service.finish()

    yield lambda: asyncio.run(asking())

    # Each of the threads has a connection, without which the tests' database could not be dropped.
    together = threading.Barrier(settings.DATABASE_CONNECTIONS)
    for closing in [
        threads.submit(lambda: (together.wait(), connection.close()))
        for _ in range(settings.DATABASE_CONNECTIONS)
    ]:
        closing.result()


@pytest.fixture
def logged():
    lines = []
    sink = logger.add(lines.append, format="{level} {message}")
    yield lines
    logger.remove(sink)


def test_a_turn_is_two_statements_and_holds_no_connection_while_the_model_works(
    ask_here, monkeypatch, model
):
    done, in_use = [], set()
    usual, others = database._Connections.run, database._on_a_live_connection

    async def run(self, statement):
        in_use.add(id(statement))
        try:
            return await usual(self, statement)
        finally:
            in_use.discard(id(statement))
            done.append("OPEN" if "INSERT INTO chat_session" in statement.sql else "CLOSE")

    async def asked(*arguments, **options):
        done.append(f"model, {len(in_use)} in use")
        return await complete(*arguments, **options)

    complete = completions.complete
    monkeypatch.setattr(database._Connections, "run", run)
    monkeypatch.setattr(
        database, "_on_a_live_connection", lambda work: done.append("more") or others(work)
    )
    monkeypatch.setattr(completions, "complete", asked)

    ask_here()

    assert done == ["OPEN", "model, 0 in use", "CLOSE"]


@pytest.mark.parametrize(
    "error",
    [psycopg.OperationalError, psycopg.errors.UndefinedColumn, psycopg.errors.FeatureNotSupported],
)
def test_what_cannot_be_stored_for_a_minute_is_given_up_with_an_error_line(
    ask_here, monkeypatch, logged, error
):
    monkeypatch.setattr(database, "RETRY_FOR_SECONDS", 0.5)
    tries = []

    async def away(_):
        tries.append(time.monotonic())
        raise error("away, or changed for a moment")

    monkeypatch.setattr(close, "run_statement", away)

    answer = ask_here()

    assert answer.text == "A scripted answer."
    assert len(tries) > 3
    assert [line for line in logged if line.startswith("ERROR Storing an answer failed")]
    assert running == {}


def test_a_reader_hears_of_our_own_mistakes_too(ask_here, monkeypatch, logged):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(prompts, "prompt_for", broken)

    with pytest.raises(service.InternalError):
        ask_here()

    assert [line for line in logged if line.startswith("ERROR The turn failed")]
    assert running == {}


def test_the_beat_ends_where_there_is_nothing_to_do(monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "_scan_until", 0)

    async def beat():
        heartbeat.start()
        await asyncio.wait_for(heartbeat._beating, 1)

    asyncio.run(beat())


def test_streams_end_with_the_answer_they_began(client, model):
    """Side by side in one session, by plain requests and streams alike."""
    session = str(uuid4())
    model.says(Reply("Same for all.", gap=0.05))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(stream, client, f"{n}?", session_id=session) for n in range(8)]
        texts = {text_of(each.result()) for each in asked}

    assert texts == {"Same for all."}


# What an attack found -----------------------------------------------------------------------
@pytest.fixture
def locked(cluster):
    """Locks a session's row for as long as it lasts, as another transaction may."""

    @contextmanager
    def locking(session):
        with psycopg.connect(cluster.url()) as other:
            other.execute("SELECT FROM chat_session WHERE id = %s FOR UPDATE", [session])
            yield

    return locking


def test_after_a_503_nothing_is_stored(serve, cluster, locked, model):
    server = serve(DATABASE_URL=cluster.url())
    session, key = str(uuid4()), {"Idempotency-Key": str(uuid4())}
    server.client.post("/chat", json={"message": "Before?", "session_id": session})
    body = {"message": "During?", "session_id": session}

    with locked(session):
        refused = server.client.post("/chat", json=body, headers=key)
    time.sleep(0.5)
    messages = server.client.get(f"/chat/{session}").json()["messages"]
    again = server.client.post("/chat", json=body, headers=key)

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert [message["content"] for message in messages][::2] == ["Before?"]
    assert again.status_code == 200


def test_a_server_that_ends_undoes_a_commit_that_came_after_its_503(serve, cluster, locked, model):
    server = serve(DATABASE_URL=cluster.url())
    session = str(uuid4())
    ask = {"message": "?", "session_id": session}
    server.client.post("/chat", json=ask)

    with locked(session):
        assert server.client.post("/chat", json=ask).status_code == 503
        server.stop()
    time.sleep(0.5)

    with psycopg.connect(cluster.url()) as other:
        count = "SELECT count(*) FROM chat_message WHERE session_id = %s"
        assert other.execute(count, [session]).fetchone() == (2,)


@pytest.mark.parametrize("look", ["retry", "stop"])
def test_a_retry_or_a_stop_makes_workers_scan_for_orphaned_replies(hasty, stored, model, look):
    """Also where no worker started lately, and all of them are idle."""
    server = hasty
    session, key = str(uuid4()), {"Idempotency-Key": str(uuid4())}
    body = {"message": "Once?", "session_id": session}
    server.client.post("/chat", json=body, headers=key)
    reply = Message.objects.filter(session_id=session, role="assistant")
    time.sleep(5)  # the worker has scanned for orphaned replies, and found none
    long_ago = timezone.now() - timedelta(minutes=5)
    reply.update(status="pending", content="", beat_at=long_ago, attempt=uuid4())

    if look == "retry":
        assert server.client.post("/chat", json=body, headers=key).status_code == 409
    else:
        assert server.client.post(f"/chat/{session}/stop").status_code == 202

    eventually(lambda: reply.get(status="failed", error_code="interrupted"), 30)


def test_a_database_that_was_read_only_is_used_again(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), WEB_CONCURRENCY="1", LLM_TIMEOUT_SECONDS="30")
    session = str(uuid4())
    model.says(Reply("Precious.", hold=True))

    def read_only(value):
        with psycopg.connect(cluster.url(), autocommit=True) as connection:
            connection.execute(
                f"ALTER DATABASE chatbackend SET default_transaction_read_only={value}"
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    with ThreadPoolExecutor(1) as pool:
        body = {"message": "?", "session_id": session}
        asking = pool.submit(server.client.post, "/chat", json=body)
        model.wait_for_requests(1)
        read_only("on")
        model.release()
        told = asking.result()
        refused = server.client.post("/chat", json={"message": "?"})
        unready = server.client.get("/health/ready")
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER DATABASE chatbackend RESET default_transaction_read_only")

    assert told.json()["response"] == "Precious."
    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert (unready.status_code, unready.json()["checks"]["database"]) == (503, "read-only")
    reply = eventually(lambda: (r := reply_of(server, session))["status"] == "complete" and r, 20)
    assert reply["content"] == "Precious."
    assert server.client.post("/chat", json={"message": "?"}).status_code == 200


@pytest.mark.usefixtures("stored")
def test_opening_twice_is_opening_once(settings):
    """As when a connection breaks right after the commit; also at the edge of the limit."""
    settings.CHAT_RATE = (1, 3600)
    turn = new_turn(Question("?", client=f"client {uuid4()}", session_id=uuid4()))
    turn.was_tried = True

    first, second = open.open_with_checks(turn), open.open_with_checks(turn)

    assert first == second == open.Opened(turn.session_id, turn.reply_id, [])
    assert Message.objects.filter(session_id=turn.session_id).count() == 2


@pytest.mark.usefixtures("stored")
def test_what_is_stored_too_late_is_taken_back():
    """The reader was told that nothing was stored; what others have said stays."""
    before, late = new_turn(Question("?", session_id=uuid4())), new_turn(Question("?"))
    open.open_with_checks(before)
    again = new_turn(Question("?", session_id=before.session_id))
    for turn in (late, again):
        open.open_with_checks(turn)
        open.undo(turn)

    assert not ChatSession.objects.filter(id=late.session_id).exists()
    assert Message.objects.filter(session_id=before.session_id).count() == 2


def test_deleting_does_not_deadlock_with_the_stop_it_causes(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), LLM_TIMEOUT_SECONDS="30", CHAT_RATE="")
    model.says(Reply("One two.", hold_after=1))

    def ask(session):
        with suppress(httpx2.TransportError):
            server.client.post(
                "/chat", json={"message": "?", "session_id": session, "stream": True}
            )

    with ThreadPoolExecutor(6) as pool:
        for _ in range(10):
            session, asked = str(uuid4()), len(model.requests)
            asking = [pool.submit(ask, session) for _ in range(6)]
            model.wait_for_requests(asked + 6)
            assert server.client.delete(f"/chat/{session}").status_code == 204
            for each in asking:
                each.result()

    with psycopg.connect(cluster.url()) as connection:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        (found,) = connection.execute(deadlocks).fetchone()
    assert found <= 1  # in the wrong order every third deletion had one
