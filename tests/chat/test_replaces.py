"""`replaces`: another answer, or an edited question, in the place of an earlier one."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import httpx2
import pytest
from django.db import connection, transaction
from django.utils import timezone

from chat.models import ChatSession, Message
from chat.turn import open
from chat.turn.turn import Question
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.streams import kinds, stream, streaming, text_of
from tests.helpers.turns import new_turn
from tests.helpers.waiting import eventually

KEY = "Idempotency-Key"


@pytest.fixture
def conversation(ask, model):
    """A session with questions and replies: First? Second? Third?"""
    session = str(uuid4())
    for message in ("First?", "Second?", "Third?"):
        model.says(f"To {message}")
        ask(message, session_id=session)
    model.says("Answered.")
    return session


def rows(client, session):
    return client.get(f"/chat/{session}").json()["messages"]


def left(client, session):
    """What was not replaced."""
    return [row["content"] for row in rows(client, session) if not row["replaced"]]


def id_of(client, session, content):
    return next(row["id"] for row in rows(client, session) if row["content"] == content)


def test_a_question_takes_the_place_of_an_earlier_one_and_of_all_after_it(
    client, ask, model, conversation
):
    second = id_of(client, conversation, "Second?")
    model.says("Edited.")

    answer = ask("Second, edited?", session_id=conversation, replaces=second)

    assert answer.status_code == 200
    assert [m["content"] for m in model.prompt[1:]] == ["First?", "To First?", "Second, edited?"]
    listed = [(row["content"], row["replaced"]) for row in rows(client, conversation)]
    assert listed == [
        ("First?", False),
        ("To First?", False),
        ("Second?", True),
        ("To Second?", True),
        ("Third?", True),
        ("To Third?", True),
        ("Second, edited?", False),
        ("Edited.", False),
    ]
    ask("Next?", session_id=conversation)
    assert [m["content"] for m in model.prompt[3:]] == ["Second, edited?", "Edited.", "Next?"]


def test_a_streamed_answer_takes_the_place_of_another_again_and_again(client, model, conversation):
    """A page that has not read the session since still has the id of the first question."""
    third = id_of(client, conversation, "Third?")
    model.says("Another.", "Yet another.")

    again = [stream(client, "Third?", session_id=conversation, replaces=third) for _ in range(2)]

    assert [text_of(events) for events in again] == ["Another.", "Yet another."]
    assert left(client, conversation)[-3:] == ["To Second?", "Third?", "Yet another."]
    assert "Another." not in str(model.prompt)


def test_what_was_replaced_can_be_rated_and_is_deleted_with_its_session(client, ask, conversation):
    reply = id_of(client, conversation, "To First?")
    ask(session_id=conversation, replaces=id_of(client, conversation, "First?"))

    rated = client.put(f"/chat/{conversation}/messages/{reply}/feedback", json={"rating": "down"})

    assert rated.status_code == 200
    assert rows(client, conversation)[1]["feedback"]["rating"] == "down"
    assert client.delete(f"/chat/{conversation}").status_code == 204


def test_a_pending_answer_that_is_replaced_is_stopped_in_whatever_worker(serve, model):
    one, other = serve(WEB_CONCURRENCY="1"), serve(WEB_CONCURRENCY="1")
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=2), "Instead.")

    with streaming(one.client, "Long?", session_id=session) as events:
        begun = [next(events) for _ in range(3)]
        long = id_of(other.client, session, "Long?")
        begin = time.monotonic()
        instead = other.client.post(
            "/chat", json={"message": "Short?", "session_id": session, "replaces": long}
        )
        ended = kinds(begun + list(events))
        took = time.monotonic() - begin

    assert instead.json()["response"] == "Instead."
    assert ended[-2:] == ["abort", "[DONE]"]
    assert took < 2
    stopped = rows(one.client, session)[1]
    assert (stopped["status"], stopped["content"], stopped["replaced"]) == (
        "stopped",
        "One two ",
        True,
    )


@pytest.mark.usefixtures("stored")
def test_a_pending_answer_before_what_is_replaced_goes_on(client, ask, model):
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=1), "Second.", "Another.")

    with streaming(client, "First?", session_id=session) as events:
        next(events)
        ask("Second?", session_id=session)
        ask("Second?", session_id=session, replaces=id_of(client, session, "Second?"))
        assert not Message.objects.filter(session_id=session, stop_requested=True).exists()
        model.release()
        first = list(events)

    assert kinds(first)[-2:] == ["finish", "[DONE]"]
    assert left(client, session) == ["First?", "One two three.", "Second?", "Another."]


@pytest.mark.usefixtures("stored")
def test_of_many_at_the_same_moment_all_are_answered_and_the_last_stored_is_left(
    server, client, model, conversation
):
    """The session is locked until all of them have looked and seen nothing of each other."""
    second = id_of(client, conversation, "Second?")
    asked = len(model.requests)

    def send(number):
        body = {"message": f"Twin {number}?", "session_id": conversation, "replaces": second}
        return httpx2.post(f"{server.base_url}/chat", json=body, timeout=30)

    with ThreadPoolExecutor(6) as pool:
        with transaction.atomic():
            ChatSession.objects.select_for_update().get(id=conversation)
            sent = [pool.submit(send, number) for number in range(6)]
            eventually(lambda: waiting_for_a_lock() >= 6, 10)
        answers = [each.result() for each in sent]

    # Each stops what it replaces, which may have got no word yet.
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert {each.json()["code"] for each in answers if each.status_code == 409} <= {
        "answer_stopped"
    }
    assert Message.objects.filter(session_id=conversation).count() == 6 + 12
    first, reply, twin, its_reply = left(client, conversation)
    assert (first, reply, its_reply) == ("First?", "To First?", "Answered.")
    assert twin.startswith("Twin ")
    assert len(model.requests) <= asked + 6


def waiting_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        return cursor.fetchone()[0]


@pytest.fixture
def send(client, conversation):
    """Sends a question that replaces the third one, under one key."""
    headers, third = {KEY: str(uuid4())}, id_of(client, conversation, "Third?")

    def sending(**body):
        body = {"message": "Edited?", "session_id": conversation, "replaces": third} | body
        return client.post("/chat", json=body, headers=headers)

    return sending


def test_a_key_replaces_once(client, ask, model, send, conversation):
    first = send()
    ask("Next?", session_id=conversation)
    asked = len(model.requests)

    again = send()
    other = send(replaces=id_of(client, conversation, "Second?"))
    none = send(replaces=None)

    assert again.json() == first.json()
    assert left(client, conversation)[-4::2] == ["Edited?", "Next?"]
    for changed in (other, none):
        assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    assert len(model.requests) == asked


def test_a_failed_question_is_retried_on_its_rows_and_replaces_nothing_more(
    client, ask, model, send, conversation
):
    model.says(refusal(401), "In between.", "Now.")

    failed = send()
    ask("In between?", session_id=conversation)
    again = send()

    assert (failed.status_code, again.json()["response"]) == (502, "Now.")
    assert left(client, conversation)[-4:] == ["Edited?", "Now.", "In between?", "In between."]
    asked = [m["content"] for m in model.prompt[1:]]
    assert asked == ["First?", "To First?", "Second?", "To Second?", "Edited?"]


@pytest.mark.parametrize(
    ("replaces", "sentence"),
    [
        ("unknown", "The question to replace is not in this conversation."),
        ("a reply", "The question to replace is not in this conversation."),
        ("of another session", "The question to replace is not in this conversation."),
        ("no id", "The question to replace must be a UUID."),
        ("without a session", "The question to replace must come with the session_id of its "),
    ],
)
@pytest.mark.usefixtures("stored")
def test_what_is_no_question_of_the_session_is_refused_and_nothing_is_stored(
    client, ask, model, conversation, replaces, sentence
):
    other = ask("Elsewhere?").json()["session_id"]
    third = id_of(client, conversation, "Third?")
    values = {
        "unknown": {"replaces": str(uuid4())},
        "a reply": {"replaces": id_of(client, conversation, "To Third?")},
        "of another session": {"replaces": id_of(client, other, "Elsewhere?")},
        "no id": {"replaces": "Third?"},
        "without a session": {"replaces": third, "session_id": None},
    }
    asked, stored = len(model.requests), Message.objects.count()

    for streamed in (False, True):
        body = {"message": "?", "session_id": conversation, "stream": streamed}
        answer = client.post("/chat", json=body | values[replaces])
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "invalid_request")
        assert problem["detail"].startswith(sentence)
        assert problem["errors"][0]["loc"] == ["body", "replaces"]

    assert (len(model.requests), Message.objects.count()) == (asked, stored)
    assert len(left(client, conversation)) == 6


@pytest.mark.usefixtures("stored")
def test_in_an_unknown_session_there_is_nothing_to_replace(ask):
    session = uuid4()

    assert ask(session_id=str(session), replaces=str(uuid4())).status_code == 422
    assert not ChatSession.objects.filter(id=session).exists()


def test_a_question_over_the_limit_replaces_nothing_and_counts_as_any(serve, model):
    server = serve(CHAT_RATE="2/h", NUM_PROXIES="1")
    session = str(uuid4())
    address = {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}::1"}

    def send(replaces=None):
        body = {"message": "?", "session_id": session, "replaces": replaces}
        return server.client.post("/chat", json=body, headers=address).status_code

    first = send() and rows(server.client, session)[0]["id"]

    assert [send(str(uuid4())), send(first), send(first)] == [422, 200, 429]
    assert [row["replaced"] for row in rows(server.client, session)] == [True, True, False, False]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("superseded", [False, True], ids=["alone", "superseded"])
def test_what_is_stored_too_late_gives_back_what_it_replaced(client, ask, conversation, superseded):
    third = id_of(client, conversation, "Third?")
    late = new_turn(Question("Late?", session_id=UUID(conversation), replaces=UUID(third)))
    with connection.cursor() as cursor:
        cursor.execute(*open.opening(late, timezone.now()))
        replaced = open._replaced(cursor.fetchall())
    if superseded:
        ask("Retried?", session_id=conversation, replaces=third)

    for _ in range(2):  # the connection broke after the first
        open.undo(late, replaced)

    last = ["Retried?", "Answered."] if superseded else ["Third?", "To Third?"]
    assert left(client, conversation)[4:] == last
