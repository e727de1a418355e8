"""Idempotency-Key: however often a question is sent, it is asked and stored once."""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from itertools import islice
from uuid import uuid4

import httpx2
import pytest
from django.db import transaction
from django.utils import timezone

from chat.models import ChatSession, Message
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.streams import kinds, stream, streaming, text_of
from tests.helpers.waiting import eventually

KEY = "Idempotency-Key"


@pytest.fixture
def key():
    return {KEY: str(uuid4())}


@pytest.fixture
def again(client):
    """Sends a question under a key."""

    def sending(key, message="Once?", **body):
        return client.post("/chat", json={"message": message} | body, headers=key)

    return sending


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("session", [None, "given"], ids=["new-session", "known-session"])
def test_the_same_question_again_gets_the_stored_reply(again, key, model, session):
    session = session and str(uuid4())

    first = again(key, session_id=session)
    second = again(key, session_id=session)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert len(model.requests) == 1
    assert Message.objects.filter(session_id=first.json()["session_id"]).count() == 2


@pytest.mark.usefixtures("stored")
def test_twenty_at_the_same_instant_are_one_call_and_two_rows(server, key, model):
    session = str(uuid4())
    model.says(Reply("Once.", hold=True))

    def send(_):
        return httpx2.post(
            f"{server.base_url}/chat",
            json={"message": "At once?", "session_id": session},
            headers=key,
            timeout=30,
        )

    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(send, number) for number in range(20)]
        for _ in islice(as_completed(asking), 19):
            pass
        model.release()
        answers = [each.result() for each in asking]

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["code"] == "answer_in_progress"
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(model.requests) == 1
    assert Message.objects.filter(session_id=session).count() == 2


@pytest.mark.usefixtures("stored")
def test_twins_that_all_came_too_early_to_see_each_other_are_one_call(server, ask, key, model):
    """The session is locked until all of them have looked and found nothing."""
    session = ask("Before?").json()["session_id"]

    def send(_):
        body = {"message": "At once?", "session_id": session}
        return httpx2.post(f"{server.base_url}/chat", json=body, headers=key, timeout=30)

    with ThreadPoolExecutor(12) as pool:
        with transaction.atomic():
            ChatSession.objects.select_for_update().get(id=session)
            sent = [pool.submit(send, number) for number in range(12)]
            time.sleep(1.5)
        statuses = {each.result().status_code for each in sent}

    assert statuses == {200, 409} or statuses == {200}
    assert len(model.requests) == 2
    assert Message.objects.filter(session_id=session).count() == 4


@pytest.mark.usefixtures("stored")
def test_twenty_at_the_same_instant_without_a_session_begin_one(server, key, model):
    model.says(Reply("Once.", hold=True))
    before = ChatSession.objects.count()

    def send(_):
        body = {"message": "At once?"}
        return httpx2.post(f"{server.base_url}/chat", json=body, headers=key, timeout=30)

    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(send, number) for number in range(20)]
        eventually(lambda: sum(each.done() for each in asking) == 19, 30)
        model.release()
        statuses = sorted(each.result().status_code for each in asking)

    assert statuses == [200] + [409] * 19
    assert len(model.requests) == 1
    assert ChatSession.objects.count() == before + 1


def test_a_reply_may_be_asked_for_again_in_the_other_form(again, client, key, model):
    plain = again(key).json()
    streamed = stream(client, "Once?", headers=key)
    model.says("Something else.")
    other = {KEY: str(uuid4())}
    first = stream(client, "Twice?", headers=other)
    second = again(other, "Twice?").json()

    assert text_of(streamed) == plain["response"]
    assert kinds(streamed) == ["start", "text-start", "text-delta", "text-end", "finish", "[DONE]"]
    assert streamed[0]["messageId"] == plain["message_id"]
    finish = streamed[-2]
    assert finish["finishReason"] == "stop"
    assert finish["messageMetadata"] == {
        "timestamp": plain["timestamp"],
        "session_id": plain["session_id"],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7},
        "sources": [],
        "grounding": None,
    }
    assert second["response"] == text_of(first) == "Something else."
    assert second["timestamp"] == first[-2]["messageMetadata"]["timestamp"]
    assert len(model.requests) == 2


def test_while_the_answer_is_being_written_a_stream_is_refused_as_json(client, key, model):
    model.says(Reply("One two.", hold_after=1))

    with streaming(client, "Slow?", headers=key) as events:
        next(events)
        again = client.post("/chat", json={"message": "Slow?", "stream": True}, headers=key)
        model.release()
        list(events)

    assert (again.status_code, again.json()["code"]) == (409, "answer_in_progress")


@pytest.mark.parametrize(
    "change",
    [
        {"message": "Another?"},
        {"selected_text": "A passage."},
        {"page_url": "https://book.example/2"},
    ],
    ids=["message", "passage", "page"],
)
def test_another_question_under_the_same_key_is_refused(again, key, model, change):
    session = str(uuid4())
    again(key, session_id=session)

    answer = again(key, **{"session_id": session} | change)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(model.requests) == 1


def test_what_means_the_same_is_the_same(again, key, model):
    session = str(uuid4())
    again(key, "  Once? ", session_id=session, selected_text="  ")

    assert again(key, session_id=session.upper(), colour="blue").status_code == 200
    assert len(model.requests) == 1


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("session", [None, "given"], ids=["new-session", "known-session"])
def test_a_failed_turn_is_tried_again_on_the_same_rows(again, key, model, session):
    session = session and str(uuid4())
    model.says(refusal(401), "Now it works.")

    failed = again(key, session_id=session)
    row = Message.objects.filter(role="assistant").latest("id")
    assert (row.status, row.error_code) == ("failed", "model_misconfigured")
    answer = again(key, session_id=session)

    assert failed.status_code == 502
    assert answer.json()["response"] == "Now it works."
    assert answer.json()["message_id"] == str(row.id)
    reply = Message.objects.get(id=row.id)
    assert (reply.status, reply.error_code) == ("complete", "")
    assert Message.objects.filter(session_id=row.session_id).count() == 2


def test_a_turn_that_failed_half_way_is_streamed_from_the_beginning(client, key, model):
    model.says(Reply("One two three.", cut=1), "All of it.")
    stream(client, "Half?", headers=key)

    assert text_of(stream(client, "Half?", headers=key)) == "All of it."


def test_a_retry_sees_the_history_that_the_first_try_saw(again, ask, key, model):
    session = ask("Before?").json()["session_id"]
    model.says(refusal(401), "Later.", "Again.")
    again(key, session_id=session)
    ask("In between?", session_id=session)

    again(key, session_id=session)

    assert [m["content"] for m in model.prompt[1:]] == ["Before?", "A scripted answer.", "Once?"]


def test_a_stopped_reply_is_replayed_as_it_was(client, again, key, model):
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=2))
    with streaming(client, "Once?", headers=key, session_id=session) as events:
        for _ in range(3):
            next(events)
        client.post(f"/chat/{session}/stop")
        list(events)

    replayed = stream(client, "Once?", headers=key, session_id=session)

    assert again(key, session_id=session).json()["response"] == "One two "
    assert kinds(replayed) == ["start", "text-start", "text-delta", "text-end", "abort", "[DONE]"]
    assert len(model.requests) == 1


def test_keys_count_within_their_session(again, key, model):
    again(key, session_id=str(uuid4()))
    again(key, session_id=str(uuid4()))
    again(key)

    assert len(model.requests) == 3


def test_keys_never_count_across_clients(serve, model, key):
    server = serve(NUM_PROXIES="1")

    def send(address):
        headers = key | {"X-Forwarded-For": address}
        return server.client.post("/chat", json={"message": "Once?"}, headers=headers).json()

    alice, bob, alice_again = send("203.0.113.7"), send("203.0.113.8"), send("203.0.113.7")

    assert alice == alice_again
    assert bob["session_id"] != alice["session_id"]
    assert len(model.requests) == 2


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("session", [None, "given"], ids=["new-session", "known-session"])
def test_keys_last_24_hours(again, key, model, session):
    session = session and str(uuid4())
    first = again(key, session_id=session).json()
    questions = Message.objects.filter(session_id=first["session_id"], role="user")

    questions.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert again(key, session_id=session).json() == first
    questions.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    later = again(key, session_id=session)

    assert later.status_code == 200
    assert later.json()["message_id"] != first["message_id"]
    assert len(model.requests) == 2


@pytest.mark.parametrize("value", ["!", "~" * 255], ids=["shortest", "longest"])
def test_a_key_is_1_to_255_visible_ascii_characters(again, value):
    assert again({KEY: value}, session_id=str(uuid4())).status_code == 200


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "The Idempotency-Key header must not be empty."),
        ("a" * 256, "The Idempotency-Key header must have at most 255 characters."),
        ("a b", "The Idempotency-Key header must have visible ASCII characters only."),
    ],
    ids=["empty", "long", "space"],
)
def test_any_other_key_is_refused(again, value, sentence):
    answer = again({KEY: value})

    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)


def test_a_key_of_other_characters_is_refused(client):
    for value in (b"caf\xc3\xa9", b"caf\xe9", b"tab\there"):
        answer = client.post("/chat", json={"message": "?"}, headers={KEY.encode(): value})
        assert answer.status_code == 422


def test_a_stored_reply_is_returned_even_to_a_client_over_its_limit(serve, model, key):
    server = serve(CHAT_RATE="1/h", NUM_PROXIES="1")
    headers = key | {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}::1"}

    def send(message="Once?", **more):
        return server.client.post("/chat", json={"message": message}, headers=headers | more)

    first, again, another = send(), send(), send("New?", **{KEY: "another"})

    assert first.json() == again.json()
    assert another.status_code == 429
