"""GET and DELETE /chat/{session_id}."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.db import connection, transaction

from chat.api import concurrency
from chat.models import ChatSession, Message
from chat.sessions import MAX_PAGE_BYTES
from tests.helpers.waiting import eventually


@pytest.fixture
def session(ask):
    """A session of three exchanges."""
    session = str(uuid4())
    for number in range(3):
        ask(f"question {number}", session_id=session, page_url="https://book.example/1")
    return session


@pytest.fixture
def long_session(stored):
    """Stores a session of questions; at the end it is deleted."""
    session = ChatSession.objects.create()

    def store(*contents, **fields):
        Message.objects.bulk_create(
            Message(session=session, role="user", content=content, **fields) for content in contents
        )
        return session

    yield store
    session.delete()


def contents(page):
    return [message["content"] for message in page["messages"]]


def all_pages(client, session, **params):
    """Each page's answer, from the newest to the oldest."""
    answers = [client.get(f"/chat/{session.id}", params=params)]
    while (page := answers[-1].json())["has_more"]:
        before = page["messages"][0]["id"]
        answers.append(client.get(f"/chat/{session.id}", params=params | {"before": before}))
    return answers


def test_history_is_oldest_first_with_all_fields(client, session):
    page = client.get(f"/chat/{session}").json()

    assert page.keys() == {"session_id", "created_at", "updated_at", "messages", "has_more"}
    assert page["session_id"] == session
    assert page["has_more"] is False
    question, reply = page["messages"][:2]
    assert question == question | {
        "role": "user",
        "content": "question 0",
        "status": "complete",
        "error_code": None,
        "selected_text": None,
        "page_url": "https://book.example/1",
        "reply_to": None,
        "feedback": None,
        "correction": None,
    }
    assert reply == reply | {
        "role": "assistant",
        "content": "A scripted answer.",
        "status": "complete",
        "reply_to": question["id"],
        "page_url": None,
    }
    assert reply.keys() == {
        "id", "role", "content", "status", "error_code", "created_at", "selected_text",
        "page_url", "reply_to", "feedback", "correction", "replaced", "sources", "grounding",
    }  # fmt: skip


def test_history_comes_in_pages_from_the_newest(client, session):
    newest = client.get(f"/chat/{session}", params={"limit": 4}).json()
    older = client.get(
        f"/chat/{session}", params={"limit": 4, "before": newest["messages"][0]["id"]}
    ).json()

    assert newest["has_more"] is True
    assert older["has_more"] is False
    assert contents(older) == ["question 0", "A scripted answer."]
    assert contents(newest)[0::2] == ["question 1", "question 2"]


def test_a_page_that_is_exactly_full_has_no_more(client, session):
    assert client.get(f"/chat/{session}", params={"limit": 6}).json()["has_more"] is False


def test_before_the_first_message_there_is_no_other(client, session):
    first = client.get(f"/chat/{session}").json()["messages"][0]["id"]

    page = client.get(f"/chat/{session}", params={"before": first}).json()

    assert (page["messages"], page["has_more"]) == ([], False)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", ""])
def test_a_limit_out_of_range_is_refused(client, session, limit):
    answer = client.get(f"/chat/{session}", params={"limit": limit})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_session_is_not_found(client, method):
    answer = client.request(method, f"/chat/{uuid4()}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("bad", ["7", "not-a-uuid", "%00", "0" * 129, "a" * 15 + "~"])
def test_what_cannot_be_an_id_is_refused(client, method, bad):
    answer = client.request(method, f"/chat/{bad}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_before_must_be_a_uuid(client, session):
    assert client.get(f"/chat/{session}", params={"before": "x"}).status_code == 422


def test_a_deleted_session_is_gone_with_its_messages(client, session):
    deleted = client.delete(f"/chat/{session}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get(f"/chat/{session}").status_code == 404
    assert client.delete(f"/chat/{session}").status_code == 404


def test_deleting_one_session_leaves_the_others(client, session, ask):
    other = ask("Mine?").json()["session_id"]

    client.delete(f"/chat/{session}")

    assert contents(client.get(f"/chat/{other}").json())[0] == "Mine?"


@pytest.mark.usefixtures("stored")
def test_a_page_of_a_session_of_10_000_messages_reads_no_others(client):
    session, other = ChatSession.objects.create(), ChatSession.objects.create()
    messages = [Message(session=session, role="user", content=f"{n}") for n in range(10_000)]
    others = [Message(session=other, role="user", content="x") for _ in range(30_000)]
    Message.objects.bulk_create(messages + others)
    middle = messages[5_000].id
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_message")

    begin = time.monotonic()
    newest = client.get(f"/chat/{session.id}").json()
    page = client.get(f"/chat/{session.id}", params={"before": str(middle), "limit": 50}).json()
    took = time.monotonic() - begin

    assert contents(newest) == [f"{n}" for n in range(9_950, 10_000)]
    assert contents(page) == [f"{n}" for n in range(4_950, 5_000)]
    assert page["has_more"] is True
    assert took < 1
    older = Message.objects.filter(session=session, id__lt=middle).order_by("-id")[:51]
    plan = older.explain(analyze=True)
    assert "Index Scan Backward" in plan  # and so no more rows are read than shown
    assert "Sort" not in plan
    assert "Rows Removed" not in plan
    ChatSession.objects.filter(id__in=[session.id, other.id]).delete()


# Long messages ------------------------------------------------------------------------------
LONG = [
    pytest.param([f"{n} " + "🤖" * 4000 for n in range(200)], id="emoji"),
    pytest.param([f"{n} " + "\x01" * 20_000 for n in range(60)], id="escaped"),
    pytest.param([f"{n} " + "é" * 400_000 for n in range(3)], id="each-too-long"),
    pytest.param(["short", "🤖" * 200_000, "short too"], id="one-too-long"),
]


@pytest.mark.parametrize("texts", LONG)
def test_a_page_is_bounded_in_bytes_and_no_message_is_left_out(client, long_session, texts):
    session = long_session(*texts)

    answers = all_pages(client, session, limit=200)

    pages = [answer.json() for answer in answers]
    assert [text for page in reversed(pages) for text in contents(page)] == texts
    assert len(answers) > 1
    for answer, page in zip(answers, pages, strict=True):
        assert len(page["messages"]) == 1 or len(answer.content) < MAX_PAGE_BYTES + 1000
    fullest = max(len(answer.content) for answer in answers)
    assert fullest > MAX_PAGE_BYTES / 2


def test_passages_count_to_the_bytes_of_a_page(client, long_session):
    session = long_session(*(str(n) for n in range(60)), selected_text="🤖" * 20_000)

    for answer in all_pages(client, session):
        assert len(answer.content) < MAX_PAGE_BYTES + 1000


def test_short_messages_are_bounded_in_number_alone(client, long_session):
    session = long_session(*(f"{n} " + "x" * 2000 for n in range(200)))

    page = client.get(f"/chat/{session.id}", params={"limit": 200}).json()

    assert (len(page["messages"]), page["has_more"]) == (200, False)


def test_texts_are_written_as_utf_8(client, long_session):
    session = long_session('🤖 روبوٹ \u2028 " \\ \n')

    answer = client.get(f"/chat/{session.id}")

    assert "🤖 روبوٹ" in answer.content.decode()
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert contents(answer.json()) == ['🤖 روبوٹ \u2028 " \\ \n']


@pytest.mark.usefixtures("stored")
def test_the_lengths_of_texts_are_found_without_reading_them(long_session):
    session = long_session(*(f"{n} " + "x" * 500_000 for n in range(50)))
    sizes = Message.objects.filter(session=session)

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        before = toast_blocks_read(cursor)
        assert sizes.newest_within(10**9, 50) == 50
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        assert toast_blocks_read(cursor) == before


def toast_blocks_read(cursor):
    cursor.execute(
        "SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables"
        " WHERE relname = 'chat_message'"
    )
    return cursor.fetchone()[0]


# Many readings at once ----------------------------------------------------------------------
@contextmanager
def locked_sessions():
    """While nobody can read them, reading a page of history takes as long."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE chat_session IN ACCESS EXCLUSIVE MODE")
        yield


def waiting_readings():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
            " AND relation = 'chat_session'::regclass"
        )
        return cursor.fetchone()[0]


@pytest.fixture
def proxied(serve):
    """A server of one worker behind a proxy."""
    return serve(WEB_CONCURRENCY="1", NUM_PROXIES="1")


def from_client(number):
    return {"X-Forwarded-For": f"203.0.113.{number}"}


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("clients", [1, 12], ids=["one-client", "many-clients"])
def test_few_pages_are_read_at_once_and_the_others_wait(proxied, clients):
    asked = proxied.client.post("/chat", json={"message": "?"}).json()
    path = f"/chat/{asked['session_id']}"
    feedback = f"{path}/messages/{asked['message_id']}/feedback"

    with ThreadPoolExecutor(12) as pool:
        with locked_sessions():
            readings = [
                pool.submit(proxied.client.get, path, headers=from_client(number % clients))
                for number in range(12)
            ]
            eventually(lambda: waiting_readings() >= concurrency.PAGES_READ_AT_ONCE)
            rated = proxied.client.put(feedback, json={"rating": "up"})
            waiting = waiting_readings()
        statuses = {each.result().status_code for each in readings}

    assert waiting == concurrency.PAGES_READ_AT_ONCE
    assert rated.status_code == 200  # not all of the database's threads are taken
    assert statuses == {200}


@pytest.mark.usefixtures("stored")
def test_a_client_that_disconnects_frees_its_slots(proxied):
    session = proxied.client.post("/chat", json={"message": "?"}).json()["session_id"]
    request = f"GET /chat/{session} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    with locked_sessions():
        for _ in range(3 * concurrency.PAGES_PER_CLIENT):
            with socket.create_connection(("127.0.0.1", proxied.port)) as sock:
                sock.sendall(request)
        eventually(waiting_readings)

    answer = proxied.client.get(f"/chat/{session}")
    assert (answer.status_code, answer.elapsed.total_seconds() < 5) == (200, True)


def test_a_slot_is_taken_until_its_request_has_ended():
    """Without HTTP: the kernel would take a whole page for a client that does not read."""
    sent = asyncio.Event()

    async def request(begun):
        async with concurrency.slot_for_page("alice"):
            begun.append(len(begun))
        await sent.wait()

    async def requests():
        begun = []
        tasks = [asyncio.create_task(request(begun)) for _ in range(6)]
        await asyncio.wait(tasks, timeout=0.2)
        while_unsent = len(begun)
        sent.set()
        await asyncio.wait(tasks)
        return while_unsent, len(begun)

    assert asyncio.run(requests()) == (concurrency.PAGES_PER_CLIENT, 6)


def test_long_pages_come_one_after_the_other_at_a_pace():
    """However fast their client reads them."""

    async def request():
        async with concurrency.slot_for_page("bob") as slot:
            slot.size = concurrency.BYTES_PER_SECOND // 4

    async def seconds(count):
        begin = time.monotonic()
        await asyncio.gather(*[asyncio.create_task(request()) for _ in range(count)])
        return time.monotonic() - begin

    assert asyncio.run(seconds(concurrency.PAGES_PER_CLIENT)) < 0.24
    assert asyncio.run(seconds(3 * concurrency.PAGES_PER_CLIENT)) >= 0.5


# Caches -------------------------------------------------------------------------------------
def test_nothing_of_a_conversation_is_stored_by_caches(client, ask):
    asked = ask().json()
    path = f"/chat/{asked['session_id']}"
    reply = f"{path}/messages/{asked['message_id']}/feedback"

    answers = [
        ask(),
        ask(""),
        client.get(path),
        client.get(path, params={"limit": 0}),
        client.put(reply, json={"rating": "up"}),
        client.put(reply, json={}),
        client.post(f"{path}/stop"),
        client.delete(path),
        client.get(path),
        client.post(f"{path}/stop"),
        client.get("/chat"),
    ]

    assert [each.status_code for each in answers] == [
        200, 422, 200, 422, 200, 422, 204, 204, 404, 404, 405
    ]  # fmt: skip
    assert {each.headers["Cache-Control"] for each in answers} == {"no-store"}
