"""GET and DELETE /chat/{session_id}."""

import time
from uuid import uuid4

import pytest
from django.db import connection

from chat.models import ChatSession, Message


@pytest.fixture
def session(ask):
    """A session of three exchanges."""
    session = str(uuid4())
    for number in range(3):
        ask(f"question {number}", session_id=session, page_url="https://book.example/1")
    return session


def contents(page):
    return [message["content"] for message in page["messages"]]


def test_history_is_told_oldest_first_with_all_fields(client, session):
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
        "page_url", "reply_to", "feedback", "correction",
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


def test_a_page_that_is_just_full_has_no_more(client, session):
    assert client.get(f"/chat/{session}", params={"limit": 6}).json()["has_more"] is False


def test_before_the_first_message_there_is_nothing(client, session):
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
@pytest.mark.parametrize("bad", ["7", "not-a-uuid", "%00", "0" * 33])
def test_what_is_no_uuid_is_refused(client, method, bad):
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
    assert "Index Scan Backward" in plan  # and so no more rows are read than told
    assert "Sort" not in plan
    assert "Rows Removed" not in plan
    ChatSession.objects.filter(id__in=[session.id, other.id]).delete()
