"""All the ways in together: one rate, one storage, and each with its name in the admin."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx2
import pytest

from chat.models import Message
from review.admin.filters import DoorFilter

SLOW_DOWN = "You are asking faster than this chat allows; please wait a moment."
TEXT_IN_PARTS = [{"type": "text", "text": "?"}]


def own(session, **more):
    return {"message": "?", "session_id": session, **more}


def ai_sdk(session):
    message = {"id": "1", "role": "user", "parts": TEXT_IN_PARTS}
    return {"id": session, "messages": [message], "trigger": "submit-message"}


def front_end(session):
    return {"query": "?", "sessionId": session}


def openai(session, **more):
    return {"messages": [{"role": "user", "content": "?"}], "user": session, **more}


def mcp(session):
    call = {"name": "ask", "arguments": {"question": "?", "session_id": session}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}


# Path, body, what is accepted, and the name that staff see.
JSON, STREAM, ANY = "application/json", "text/event-stream", "*/*"
DOORS = [
    ("/chat", own, ANY, ""),
    ("/chat", lambda session: own(session, stream=True), ANY, ""),
    ("/chat", ai_sdk, ANY, "ai-sdk"),
    ("/api/chat", front_end, ANY, "front-end"),
    ("/ask", front_end, ANY, "front-end"),
    ("/query", front_end, STREAM, "front-end"),
    ("/v1/chat/completions", openai, ANY, "openai"),
    ("/v1/chat/completions", lambda session: openai(session, stream=True), ANY, "openai"),
    ("/mcp", mcp, JSON, "mcp"),
    ("/mcp", mcp, f"{JSON}, {STREAM}", "mcp"),
]


class Asked(NamedTuple):
    path: str
    body: dict[str, Any]
    door: str
    session: UUID
    answer: httpx2.Response


@pytest.fixture
def ask(serve):
    """Asks by a door, in a new session, always from the same address."""
    client = serve(CHAT_RATE="10/m", NUM_PROXIES="1").client
    client.headers["X-Forwarded-For"] = "192.0.2.18"

    def asking(path, body_of, accept, door):
        session = uuid4()
        body = body_of(str(session))
        answer = client.post(path, json=body, headers={"Accept": accept})
        return Asked(path, body, door, session, answer)

    return asking


def sentence_of_refusal(asked):
    """As a client of this door finds it; fails where its form is another's."""
    answer = asked.answer
    if asked.path == "/mcp":
        result = answer.json()["result"]
        assert (answer.status_code, result["isError"]) == (200, True)
        return result["content"][0]["text"]
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    if asked.path.startswith("/v1/"):
        assert answer.json()["error"]["code"] == "rate_limited"
        return answer.json()["error"]["message"]
    if asked.door == "ai-sdk":
        assert answer.headers["Content-Type"].startswith("text/plain")
        return answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "rate_limited"
    return answer.json()["detail"]


@pytest.mark.django_db
def test_twenty_questions_through_all_doors_are_ten_answers(ask, admin_client):
    answered = [ask(*door) for door in DOORS]
    with ThreadPoolExecutor(len(DOORS)) as pool:  # a refusal takes its time
        refused = list(pool.map(ask, *zip(*DOORS, strict=True)))

    for asked in answered:
        assert asked.answer.status_code == 200, asked
        assert "scripted" in asked.answer.text, asked
    for asked in refused:
        assert sentence_of_refusal(asked).startswith(SLOW_DOWN), asked
    doors = {asked.session: asked.door for asked in answered}
    sessions = [asked.session for asked in answered + refused]
    stored = Message.objects.questions().filter(session__in=sessions)
    assert sorted(stored.values_list("session", "door")) == sorted(doors.items())
    for name in {*doors.values()} - {""}:
        listed = admin_client.get("/admin/chat/chatsession/", {"door": name}).context["cl"]
        found = doors.keys() & {row.pk for row in listed.result_list}
        assert found == {session for session, door in doors.items() if door == name}, name
        (shown,) = (each for each in listed.filter_specs if isinstance(each, DoorFilter))
        assert (name, name) in shown.lookup_choices
