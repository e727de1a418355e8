"""What becomes of a service's oddities on their way to readers and staff, in the whole product."""

import json
from uuid import uuid4

import pytest

from chat.models import Message
from tests.helpers.scripted_model import Reply, chunk, frames, refusal
from tests.helpers.streams import stream, text_of

THOUGHT = "SECRET THOUGHT"


def answer(server, session, streaming):
    if streaming:
        return text_of(stream(server.client, "What is a node?", session_id=session))
    body = {"message": "What is a node?", "session_id": session}
    return server.client.post("/chat", json=body).json()["response"]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(f"<think>{THOUGHT}</think>\n\nA node."),
        Reply(chunks=("<th", f"ink>{THOUGHT}</", "think>A", " node.")),
        Reply(chunks=({"reasoning_content": THOUGHT}, "A node.")),
        frames(chunk([{"type": "thinking", "thinking": THOUGHT}]), chunk("A node.", "stop")),
    ],
)
def test_thoughts_reach_nobody(server, model, streaming, reply):
    session = str(uuid4())
    message = {"content": f"<think>{THOUGHT}</think>A node.", "reasoning_content": THOUGHT}
    model.says(reply if streaming else Reply(message=message))

    text = answer(server, session, streaming)
    answer(server, session, streaming)  # its history is in the prompt

    assert text == "A node."
    assert THOUGHT not in server.client.get(f"/chat/{session}").text
    assert THOUGHT not in json.dumps(model.requests)
    assert not Message.objects.filter(session_id=session, content__contains="SECRET").exists()


def test_a_thought_without_an_opening_tag_is_not_stored(serve, model):
    server = serve(WEB_CONCURRENCY="1")  # which knows nothing of the service yet
    session = str(uuid4())
    model.says(Reply(chunks=(THOUGHT, "\n</think>", "\n\nA node", " is a process.")))

    first, second = (answer(server, session, streaming=True) for _ in range(2))

    assert first.endswith("A node is a process.")
    assert second == "A node is a process."  # of this service it is known by now
    assert THOUGHT not in server.client.get(f"/chat/{session}").text
    assert THOUGHT not in json.dumps(model.requests)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(raw=[b"SSH-2.0-OpenSSH\r\n"]), 502, "model_unavailable"),
        (Reply(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]), 502, "model_unavailable"),
        (refusal(402, THOUGHT), 502, "model_misconfigured"),
        (refusal(400, f"{THOUGHT}: API key not valid"), 502, "model_misconfigured"),
        (refusal(400, f"{THOUGHT}: prompt is too long"), 422, "context_too_long"),
        (Reply(body=b'{"error": "SECRET THOUGHT"}'), 502, "model_unavailable"),
        (frames({"error": {"code": 429, "message": THOUGHT}}), 503, "model_rate_limited"),
        (Reply(status=307, headers={"Location": "/elsewhere"}), 502, "model_misconfigured"),
    ],
)
def test_readers_get_our_words_and_operators_the_services(
    server, model, streaming, reply, status, code
):
    model.says(reply)

    response = server.client.post("/chat", json={"message": "?", "stream": streaming})

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert THOUGHT not in response.text
    assert THOUGHT.encode() not in (reply.body or b"") or THOUGHT in server.log


def test_a_delay_is_handed_on(server, model):
    details = {"details": [{"retryDelay": "39s"}], "message": "Slow down."}
    model.says(Reply(status=429, body=json.dumps([{"error": details}]).encode()))

    response = server.client.post("/chat", json={"message": "?"})

    assert (response.status_code, response.headers["Retry-After"]) == (503, "39")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("streaming", [False, True])
def test_an_answer_that_was_cut_off_says_so(server, model, streaming):
    session = str(uuid4())
    model.says(Reply("word " * 100_000, chunks=("word " * 100,) * 1000))

    text = answer(server, session, streaming)

    [_, reply] = server.client.get(f"/chat/{session}").json()["messages"]
    assert len(text) == len(reply["content"]) == 200_000
    assert "was cut off" in server.log
    assert Message.objects.get(id=reply["id"]).finish_reason == "length"
