"""GET /chat/{session_id}/stream: the pending answer once more, whichever worker writes it."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import pytest

from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.server import running_server
from tests.helpers.streams import HEADERS, events_of, kinds, stream, streaming, text_of
from tests.helpers.waiting import eventually

anywhere = pytest.mark.parametrize("here", [True, False], ids=["same-worker", "other-worker"])
WHOLE = ["start", "text-start", "text-delta", "text-end", "finish", "[DONE]"]


@pytest.fixture(scope="module")
def hosts(environment, tmp_path_factory):
    """Two servers of one worker each, on one database."""
    logs, one = tmp_path_factory.mktemp("hosts"), {"WEB_CONCURRENCY": "1"}
    with (
        running_server(logs / "a", **environment | one) as first,
        running_server(logs / "b", **environment | one) as second,
    ):
        yield first.client, second.client


@pytest.fixture
def session(model):
    return f"session_{uuid4().hex}"


@contextmanager
def following(client, session):
    with client.stream("GET", f"/chat/{session}/stream") as response:
        assert response.status_code == 200, response.read()
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        yield events_of(response)


def follow(client, session):
    with following(client, session) as events:
        return list(events)


@anywhere
def test_the_pending_answer_comes_from_its_start_to_its_end(hosts, model, session, here):
    one, other = hosts
    model.says(Reply("One two three.", hold_after=2))

    with streaming(one, session_id=session) as first:
        begun = [next(first) for _ in range(3)]
        with following(one if here else other, session) as events:
            seen = [next(events) for _ in range(3)]
            model.release()
            seen += events
        begun += first

    assert kinds(seen) == WHOLE
    assert seen[0] == begun[0]
    assert text_of(seen) == "One two three."
    assert seen[-2] == begun[-2]


@anywhere
def test_a_stop_ends_it(hosts, model, session, here):
    one, other = hosts
    model.says(Reply("One two three.", hold_after=2))

    with streaming(one, session_id=session) as first:
        [next(first) for _ in range(3)]
        with following(one if here else other, session) as events:
            next(events)
            one.post(f"/chat/{session}/stop")
            assert kinds([*events])[-2:] == ["abort", "[DONE]"]


def test_a_plain_request_is_followed_too(hosts, model, session):
    one, _ = hosts
    model.says(Reply("One two three.", hold=True))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(one.post, "/chat", json={"message": "?", "session_id": session})
        model.wait_for_requests(1)
        with following(one, session) as events:
            model.release()
            assert text_of([*events]) == asking.result().json()["response"] == "One two three."


@anywhere
def test_an_answer_that_has_just_ended_is_given_and_an_older_one_is_not(hosts, session, here):
    one, other = hosts
    first = stream(one, session_id=session)
    asked = one if here else other

    again = follow(asked, session)

    assert (again[0], text_of(again), again[-2]) == (first[0], text_of(first), first[-2])
    end = time.monotonic() + 20
    while asked.get(f"/chat/{session}/stream").status_code == 200 and time.monotonic() < end:
        time.sleep(0.3)
    assert asked.get(f"/chat/{session}/stream").status_code == 204


def test_a_failure_is_a_sentence(hosts, model, session):
    one, other = hosts
    model.says(refusal(401))
    one.post("/chat", json={"message": "?", "session_id": session})

    _, data, error, _ = follow(other, session)

    assert (data["type"], data["data"]["code"]) == ("data-error", "model_misconfigured")
    assert error["errorText"].startswith("The language model is not set up correctly")


def test_where_nothing_is_pending_there_is_nothing(client):
    answer = client.get(f"/chat/{uuid4()}/stream")

    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/chat/me/stream").status_code == 422


def test_a_deleted_answer_ends(hosts, model, session):
    one, other = hosts
    model.says(Reply("One two three.", hold_after=1))

    with streaming(one, session_id=session), following(other, session) as events:
        next(events)
        one.delete(f"/chat/{session}")
        assert kinds([*events])[-2:] == ["abort", "[DONE]"]


def test_only_so_many_follow_one_session_at_once(hosts, model, session):
    one, _ = hosts
    model.says(Reply("One two three.", hold_after=1))

    with streaming(one, session_id=session) as first, ExitStack() as others:
        next(first)
        *_, last = [others.enter_context(following(one, session)) for _ in range(4)]
        refused = one.get(f"/chat/{session}/stream")
        model.release()
        assert kinds([*last]) == WHOLE

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert eventually(lambda: one.get(f"/chat/{session}/stream").status_code == 200)
