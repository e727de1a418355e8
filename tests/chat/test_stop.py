"""POST /chat/{session_id}/stop, and what a stopped answer is worth."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from chat.models import DailyTokens, Message
from tests.helpers.scripted_model import Reply
from tests.helpers.streams import kinds, stream, streaming, text_of
from tests.helpers.waiting import eventually

anywhere = pytest.mark.parametrize("here", [True, False], ids=["same-worker", "other-worker"])
STOPPED = ["text-delta", "text-end", "abort", "[DONE]"]


@pytest.fixture
def two_hosts(serve):
    """Two servers of one worker each, on one database."""
    return serve(WEB_CONCURRENCY="1"), serve(WEB_CONCURRENCY="1")


def asked_in_vain(client, session):
    """A plain question, with nobody to wait for its answer yet."""
    pool = ThreadPoolExecutor(1)
    asking = pool.submit(
        client.post, "/chat", json={"message": "Plain?", "session_id": session}, timeout=30
    )
    pool.shutdown(wait=False)
    return asking


@anywhere
def test_a_stop_ends_the_stream_and_the_call_within_two_seconds(two_hosts, model, here):
    one, other = two_hosts
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=2))

    with streaming(one.client, session_id=session) as events:
        begun = [next(events) for _ in range(3)]
        begin = time.monotonic()
        answer = (one if here else other).client.post(f"/chat/{session}/stop")
        rest = list(events)
        took = time.monotonic() - begin

    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["Content-Length"] == "0"
    assert "Content-Type" not in answer.headers
    assert kinds(begun + rest) == ["start", "text-start", *STOPPED]
    abort = rest[-2]
    assert abort.keys() == {"type", "reason"}
    assert took < 8
    assert eventually(lambda: model.hung_up)[0] - begin < 8
    reply = one.client.get(f"/chat/{session}").json()["messages"][1]
    assert (reply["status"], reply["content"]) == ("stopped", "One two ")
    assert reply["error_code"] is None


@anywhere
def test_a_stopped_plain_request_without_text_says_so(two_hosts, model, here):
    one, other = two_hosts
    session = str(uuid4())
    model.says(Reply(hold=True))
    asking = asked_in_vain(one.client, session)
    model.wait_for_requests(1)
    begin = time.monotonic()

    stopped = (one if here else other).client.post(f"/chat/{session}/stop")
    answer = asking.result()

    assert time.monotonic() - begin < 8
    assert stopped.status_code == 202
    assert (answer.status_code, answer.json()["code"]) == (409, "answer_stopped")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert eventually(lambda: model.hung_up)
    reply = one.client.get(f"/chat/{session}").json()["messages"][1]
    assert (reply["status"], reply["content"]) == ("stopped", "")


def test_a_stream_stopped_before_its_first_word_is_an_abort(client, model):
    session = str(uuid4())
    model.says(Reply(hold=True))

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(stream, client, session_id=session)
        model.wait_for_requests(1)
        assert client.post(f"/chat/{session}/stop").status_code == 202

        assert kinds(reading.result()) == ["start", "abort", "[DONE]"]


def test_all_pending_answers_of_a_session_are_stopped_and_no_others(client, model):
    session, other = str(uuid4()), str(uuid4())
    model.says(Reply(hold=True))
    asking = [asked_in_vain(client, each) for each in (session, session, other)]
    model.wait_for_requests(3)

    client.post(f"/chat/{session}/stop")

    assert [each.result().status_code for each in asking[:2]] == [409, 409]
    model.release()
    assert asking[2].result().status_code == 200


def test_with_nothing_pending_there_is_nothing_to_stop(client, ask):
    session = ask().json()["session_id"]

    answer = client.post(f"/chat/{session}/stop")

    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert client.get(f"/chat/{session}").json()["messages"][1]["status"] == "complete"


def test_an_unknown_session_cannot_be_stopped(client):
    answer = client.post(f"/chat/{uuid4()}/stop")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.post("/chat/me/stop").status_code == 422


def test_a_stopped_answer_with_text_is_history_and_one_without_is_not(client, model, ask):
    session = str(uuid4())
    for question, hold_after in (("Early?", 0), ("Late?", 2)):
        model.says(Reply("One two three.", hold_after=hold_after))
        with ThreadPoolExecutor(1) as pool:
            asked = len(model.requests)
            reading = pool.submit(stream, client, question, session_id=session)
            model.wait_for_requests(asked + 1)
            if hold_after:
                time.sleep(0.3)
            client.post(f"/chat/{session}/stop")
            reading.result()
    model.says("Fine.")

    ask("And now?", session_id=session)

    told = [m["content"] for m in model.prompt[1:]]
    assert told == ["Late?", "One two ", "And now?"]


@anywhere
def test_deleting_a_session_stops_its_pending_answer(two_hosts, model, here):
    one, other = two_hosts
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=1))

    with streaming(one.client, session_id=session) as events:
        next(events)
        begin = time.monotonic()
        deleted = (one if here else other).client.delete(f"/chat/{session}")
        rest = list(events)

    assert deleted.status_code == 204
    assert kinds(rest)[-2:] == ["abort", "[DONE]"]
    assert eventually(lambda: model.hung_up)[0] - begin < 8
    assert one.client.get(f"/chat/{session}").status_code == 404


def test_a_stop_while_the_model_is_tried_again_is_heeded(client, model):
    session = str(uuid4())
    model.says(Reply(status=500, body=b"{}"), Reply(hold=True))
    asking = asked_in_vain(client, session)
    model.wait_for_requests(1)

    client.post(f"/chat/{session}/stop")

    assert asking.result().status_code == 409


@pytest.mark.usefixtures("stored")
def test_what_a_stopped_answer_has_used_is_estimated(serve, model):
    DailyTokens.objects.all().delete()
    server = serve(CHAT_DAILY_TOKEN_BUDGET="1000000")
    session = str(uuid4())
    model.says(Reply("word " * 400, hold_after=200))

    with streaming(server.client, session_id=session) as events:
        next(events)
        time.sleep(0.3)
        server.client.post(f"/chat/{session}/stop")
        said = text_of(list(events))

    assert DailyTokens.objects.get().tokens > len(said) // 4 > 200


def test_stopping_asks_for_no_body_and_works_from_the_books_site(client):
    preflight = client.options(
        f"/chat/{uuid4()}/stop",
        headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"},
    )

    assert preflight.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


@pytest.mark.usefixtures("stored")
def test_many_stops_at_once_are_one_stop(client, model):
    session = str(uuid4())
    model.says(Reply(hold=True))
    asking = asked_in_vain(client, session)
    model.wait_for_requests(1)

    with ThreadPoolExecutor(8) as pool:
        stops = [pool.submit(client.post, f"/chat/{session}/stop") for _ in range(8)]
        statuses = {stop.result().status_code for stop in stops}

    assert asking.result().status_code == 409
    assert statuses <= {202, 204}
    assert Message.objects.filter(session_id=session, status="stopped").count() == 1
