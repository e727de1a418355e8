"""Front ends that were made for another backend: their paths, and their names of things."""

from uuid import uuid4

import pytest

from chat.models import Message
from tests.helpers.streams import events_of, text_of

PASSAGE = "A node is an executable process that performs computation."
PATHS = ["/api/chat", "/api/v1/chat", "/ask", "/query", "/api/query"]
QUESTION = ["message", "query", "question", "query_text", "question_text"]
SELECTED_TEXT = ["selected_text", "selectedText", "context"]
SESSION = ["session_id", "sessionId", "conversation_id"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("stored")
def test_each_path_answers_with_both_names(client, path):
    session = f"session_{uuid4().hex}"

    answer = client.post(path, json={"query": "What is a node?", "session_id": session}).json()

    assert answer["answer"] == answer["response"] == "A scripted answer."
    assert answer["citations"] == answer["sources"] == []
    assert answer["session_id"] == session
    reply = Message.objects.get(id=answer["message_id"])
    assert reply.reply_to.door == "front-end"


def test_each_name_is_understood(client, model):
    session = f"session_{uuid4().hex}"
    for name in QUESTION:
        client.post("/ask", json={name: f"By {name}?", SESSION[QUESTION.index(name) % 3]: session})

    stored = client.get(f"/chat/{session}").json()["messages"][::2]
    assert [question["content"] for question in stored] == [f"By {name}?" for name in QUESTION]

    for name in SELECTED_TEXT:
        client.post("/ask", json={"question": "What is that?", name: PASSAGE})
        assert PASSAGE in model.prompt[-1]["content"]


def test_our_own_path_takes_the_question_by_its_other_names(client, model):
    for name in ("query", "question"):
        client.post("/chat", json={name: f"By {name}?"})
        assert model.prompt[-1]["content"] == f"By {name}?"
    assert client.post("/chat", json={"query_text": "?"}).status_code == 422


def test_a_session_id_without_content_begins_a_new_session(client):
    answer = client.post("/ask", json={"query": "?", "session_id": "", "context": " "})

    assert len(answer.json()["session_id"]) == 36


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Your question is missing."),
        ({"query_text": " "}, "Your question must not be empty."),
        ({"question": "?", "selectedText": 7}, "The selected text must be a text."),
        ({"question": "?", "sessionId": "7"}, "The session id must be a UUID or have 16 to 128 "),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(client, body, sentence):
    problem = client.post("/query", json=body)

    assert problem.status_code == 422
    assert problem.json()["detail"].startswith(sentence)
    assert problem.headers["Content-Type"] == "application/problem+json"


def test_they_stream_where_that_is_wanted(client):
    with client.stream("POST", "/api/chat", json={"query": "?", "stream": True}) as response:
        assert text_of([*events_of(response)]) == "A scripted answer."


def test_useChat_without_an_address_finds_its_own_path(client):  # noqa: N802 - its name
    session = uuid4().hex[:16]
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello?"}]}
    body = {"id": session, "messages": [message], "trigger": "submit-message"}

    with client.stream("POST", "/api/chat", json=body) as response:
        assert text_of([*events_of(response)]) == "A scripted answer."

    assert client.get(f"/api/chat/{session}/stream").status_code == 200


@pytest.mark.parametrize("path", [*PATHS, "/v1/chat/completions"])
def test_pages_of_the_book_may_call_them(client, path):
    origin = {"Origin": "http://localhost:3000"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-own"}

    preflight = client.options(path, headers=origin | asked)
    answer = client.post(path, json={}, headers=origin)

    assert preflight.headers["Access-Control-Allow-Headers"] == "x-own"
    assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
