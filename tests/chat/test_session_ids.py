"""Ids that clients make: whatever an AI SDK client or an older front end calls its session."""

from uuid import UUID

import pytest

from chat.models import ChatSession
from tests.helpers.scripted_model import Reply
from tests.helpers.streams import stream, streaming

SESSION = "session_1764123456789_k3x9ab"


@pytest.fixture
def session(request):
    """An id that no other test has."""
    return f"{request.node.name[:60]}:{SESSION}".replace("[", ".").replace("]", ".")


def test_a_session_may_have_any_id_and_is_answered_with_it(client, ask, model, session):
    first = ask("First?", session_id=session).json()
    ask("Second?", session_id=session)

    assert first["session_id"] == session
    assert [m["content"] for m in model.prompt[1:]] == ["First?", "A scripted answer.", "Second?"]
    page = client.get(f"/chat/{session}").json()
    assert page["session_id"] == session
    assert len(page["messages"]) == 4


def test_each_path_takes_it(client, ask, session):
    message = ask(session_id=session).json()["message_id"]
    path = f"/chat/{session}"

    rated = client.put(f"{path}/messages/{message}/feedback", json={"rating": "up"})
    stopped = client.post(f"{path}/stop")
    deleted = client.delete(path)

    assert [each.status_code for each in (rated, stopped, deleted)] == [200, 204, 204]
    assert client.get(path).status_code == 404


def test_a_stream_names_it(client, session):
    start, *_, finish, _ = stream(client, session_id=session)

    assert start["messageMetadata"] == {"session_id": session}
    assert finish["messageMetadata"]["session_id"] == session


def test_it_stops_the_answer(client, model, session):
    model.says(Reply("One two three.", hold_after=1))

    with streaming(client, session_id=session) as events:
        next(events)
        assert client.post(f"/chat/{session}/stop").status_code == 202
        assert [*events][-2]["type"] == "abort"


def test_ids_that_differ_are_different_sessions(client, ask, session):
    ask(session_id=session)

    assert client.get(f"/chat/{session}x").status_code == 404


def test_a_uuid_is_itself(client, ask):
    mine = "26B64F67-e831-4e56-8f99-2a11eee29197"

    assert ask(session_id=mine).json()["session_id"] == mine.lower()
    client.delete(f"/chat/{mine}")


@pytest.mark.parametrize("bad", ["short", "x" * 15, "x" * 129, "with a space in it", "~" * 20])
def test_others_are_refused_with_a_sentence(ask, bad):
    answer = ask(session_id=bad)

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("The session id must be a UUID or have 16 to 128 ")


@pytest.mark.usefixtures("stored")
def test_no_key_of_the_server_is_in_its_digest(ask, session):
    """A renewed SECRET_KEY must not lose conversations."""
    ask(session_id=SESSION)

    found = ChatSession.objects.filter(id=UUID("b7414cd6-2d07-5456-a635-c0a55c3fc209"))
    assert found.exists()


def test_the_log_has_no_whole_id(server, client, session):
    client.get(f"/chat/{session}/nothing")
    client.get(f"/chat/{session}")

    assert f"/chat/{session[:8]}…" in server.log
    assert session[:16] not in server.log
