"""POST /chat as a stream: the AI SDK's UI message stream, version 1."""

import asyncio
import itertools
import json
import time
from datetime import datetime
from uuid import UUID, uuid4

import httpx2
import pytest

from chat.api import ui_stream as wire
from chat.models import Message
from tests.helpers.scripted_model import Reply, chunk, frames, refusal
from tests.helpers.streams import HEADERS, events_of, kinds, parsed, stream, streaming, text_of
from tests.helpers.waiting import eventually

WHOLE = ["start", "text-start", "text-delta", "text-end", "finish", "[DONE]"]
FAILED = ["data-error", "error", "[DONE]"]


def test_an_answer_comes_as_the_promised_frames(client, model):
    model.says(Reply("Nodes compute things.", chunks=("Nodes ", "compute ", "things.")))
    session = str(uuid4())

    with client.stream(
        "POST", "/chat", json={"message": "?", "stream": True, "session_id": session}
    ) as response:
        assert response.status_code == 200
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        events = list(events_of(response))

    assert kinds(events) == WHOLE
    assert text_of(events) == "Nodes compute things."
    start, text_start, *deltas, text_end, finish, _ = events
    assert start.keys() == {"type", "messageId", "messageMetadata"}
    assert start["messageMetadata"] == {"session_id": session}
    assert text_start.keys() == text_end.keys() == {"type", "id"}
    assert {text_start["id"], text_end["id"], *(each["id"] for each in deltas)} == {"text"}
    assert all(delta.keys() == {"type", "id", "delta"} for delta in deltas)
    assert finish.keys() == {"type", "finishReason", "messageMetadata"}
    assert finish["finishReason"] == "stop"
    metadata = finish["messageMetadata"]
    assert metadata.keys() == {"timestamp", "session_id", "usage", "sources", "grounding"}
    assert datetime.fromisoformat(metadata["timestamp"]).tzinfo is not None
    assert metadata["usage"] == {"prompt_tokens": 11, "completion_tokens": 7}
    assert client.get(f"/chat/{session}").json()["messages"][1]["id"] == start["messageId"]


def test_a_new_session_is_named_at_the_start_and_can_be_continued(client, model):
    start = stream(client, "One?")[0]
    session = start["messageMetadata"]["session_id"]
    stream(client, "Two?", session_id=session)

    assert UUID(session).version == 4
    assert [m["content"] for m in model.prompt[1:]] == ["One?", "A scripted answer.", "Two?"]


@pytest.mark.usefixtures("stored")
def test_a_streamed_answer_is_stored_like_any_other(client, model):
    model.says(Reply("Some words.", finish_reason="length"))

    reply = Message.objects.get(id=stream(client)[0]["messageId"])

    assert (reply.status, reply.content) == ("complete", "Some words.")
    assert (reply.model, reply.finish_reason) == ("scripted", "length")
    assert (reply.prompt_tokens, reply.completion_tokens) == (11, 7)
    assert 0 <= reply.first_token_ms <= reply.latency_ms


@pytest.mark.parametrize(
    ("accept", "streamed"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.5", True),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("text/event-stream; q=0", False),
        ("", False),
    ],
    ids=["asked", "among-others", "anything", "any-text", "json", "refused", "empty"],
)
def test_an_accept_header_that_names_event_streams_asks_for_one(client, accept, streamed):
    answer = client.post("/chat", json={"message": "?"}, headers={"Accept": accept})

    is_stream = answer.headers["Content-Type"] == "text/event-stream"
    assert is_stream is streamed


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"message": ""}, 422, "invalid_request"),
        ({"message": "?", "session_id": "x"}, 422, "invalid_request"),
        ({"message": "?", "stream": "yes"}, 422, "invalid_request"),
    ],
    ids=["empty", "session", "stream"],
)
def test_what_can_be_refused_is_refused_as_json(client, body, status, code):
    answer = client.post("/chat", json={"stream": True} | body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (refusal(401), 502, "model_misconfigured"),
        (refusal(429, retry_after="20"), 503, "model_rate_limited"),
        (refusal(400, "maximum context length"), 422, "context_too_long"),
        (Reply(chunks=("", "  \n")), 502, "model_unavailable"),
        (Reply(cut=0), 502, "model_unavailable"),
        (Reply(body=b"data: nonsense\n\n"), 502, "model_unavailable"),
        (Reply(body=b'data: [1]\n\ndata: {"choices": [7]}\n\n'), 502, "model_unavailable"),
        (Reply(body=b'data: {"error": {"message": "no"}}\n\n'), 502, "model_unavailable"),
        (Reply(hold=True), 504, "model_timeout"),
    ],
    ids=["key", "rate", "context", "empty", "cut", "garbage", "shape", "error", "silent"],
)
def test_what_the_model_refuses_before_a_word_is_an_ordinary_error(
    client, model, reply, status, code
):
    model.says(reply)

    answer = client.post("/chat", json={"message": "?", "stream": True})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (Reply("one two three", cut=2), "model_unavailable", True),
        (frames(chunk("one "), {"error": {"message": "no"}}), "model_unavailable", True),
        (frames(chunk("one "), done=False), "model_unavailable", True),
        (Reply("one two three", hold_after=2), "model_timeout", True),
    ],
    ids=["cut", "error", "no-end", "silent"],
)
def test_a_failure_after_the_first_word_is_an_error_frame(client, model, reply, code, retryable):
    model.says(reply)
    session = str(uuid4())

    events = stream(client, session_id=session)

    assert kinds(events) == ["start", "text-start", "text-delta", *FAILED]
    data = {"code": code, "retryable": retryable}
    assert events[-3] == {"type": "data-error", "data": data, "transient": True}
    assert events[-2].keys() == {"type", "errorText"}
    assert events[-2]["errorText"].endswith("please try again.")
    assert len(model.requests) == 1  # what was said cannot be taken back
    stored = client.get(f"/chat/{session}").json()["messages"][1]
    assert (stored["status"], stored["error_code"]) == ("failed", code)
    assert stored["content"] == text_of(events)


def test_a_passing_failure_before_the_first_word_is_not_noticed(client, model):
    model.says(refusal(500), Reply(cut=0), Reply("Third time."))

    assert text_of(stream(client)) == "Third time."


def test_the_first_word_is_passed_on_while_the_model_still_speaks(client, model):
    model.says(Reply("One two three.", hold_after=1))

    with streaming(client) as events:
        assert kinds([next(events) for _ in range(3)]) == ["start", "text-start", "text-delta"]
        model.release()
        assert kinds(list(events)) == ["text-delta", "text-end", "finish", "[DONE]"]


def test_each_word_is_sent_at_once(client, model):
    model.says(Reply("a b c d e f g h", gap=0.2))

    with streaming(client) as events:
        times = [time.monotonic() for event in events if '"delta"' in json.dumps(event)]

    assert len(times) == 8
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 1


def test_silence_begins_the_stream_after_ten_seconds_and_is_filled(serve, model):
    server = serve(LLM_TIMEOUT_SECONDS="60")
    model.says(Reply("At last.", delay=27))
    begin = time.monotonic()

    with streaming(server.client) as events:
        assert next(events)["type"] == "start"
        assert 9 < time.monotonic() - begin < 18
        assert next(events) == ": keepalive"
        assert time.monotonic() - begin < 26
        rest = list(events)

    assert kinds([event for event in rest if event != ": keepalive"]) == WHOLE[1:]


def test_a_failure_after_ten_seconds_is_an_error_frame(serve, model):
    server = serve(LLM_TIMEOUT_SECONDS="12")
    model.says(Reply(hold=True))

    events = stream(server.client)

    assert kinds(events) == ["start", *FAILED]
    assert events[1]["data"]["code"] == "model_timeout"


def test_usage_is_null_where_the_service_does_not_tell(client, model):
    model.says(Reply(usage=None, finish_reason="tool_calls"))

    finish = stream(client)[-2]

    assert (finish["finishReason"], finish["messageMetadata"]["usage"]) == ("other", None)


def test_text_of_any_script_arrives_whole_however_it_is_cut(client, model):
    text = "روبوٹ 机器人 \U0001f916 e\u0301\n\n\u2028data: x\r\n"
    model.says(Reply(chunks=("", " ", *text, "\ud83e", "\udd16", "\0", "\ud800", "!")))

    events = stream(client)

    assert text_of(events) == f" {text}\U0001f916\ufffd!"


def test_no_frame_has_a_character_that_clients_split_lines_at(client, model):
    text = "a\u2028b\u2029c\x85d"
    model.says(text)

    with client.stream("POST", "/chat", json={"message": text, "stream": True}) as response:
        content = response.read().decode()

    assert not set(content) & set("\u2028\u2029\x85")
    assert text_of(parsed(block) for block in content.removesuffix("\n\n").split("\n\n")) == text


def test_a_refusal_in_words_is_an_answer(client, model):
    model.says(Reply(chunks=({"refusal": "I will not "}, {"refusal": "say."})))

    assert text_of(stream(client)) == "I will not say."


def test_allowed_origins_may_read_streams(client):
    answer = client.post(
        "/chat",
        json={"message": "?", "stream": True},
        headers={"Origin": "http://localhost:3000"},
    )

    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


@pytest.mark.usefixtures("stored")
def test_a_reader_who_goes_away_mid_stream_does_not_end_the_answer(client, model):
    model.says(Reply("One two three.", hold_after=1))
    with streaming(client) as events:
        reply_id = next(events)["messageId"]
        next(events)
    model.release()

    reply = eventually(lambda: Message.objects.exclude(status="pending").get(id=reply_id))

    assert (reply.status, reply.content) == ("complete", "One two three.")


@pytest.mark.usefixtures("stored")
def test_the_text_so_far_is_saved_about_once_a_second(client, model):
    model.says(Reply("One two three.", hold_after=2))
    with streaming(client) as events:
        reply_id = next(events)["messageId"]
        reply = eventually(
            lambda: Message.objects.get(id=reply_id, content="One two ", status="pending"), 3
        )
        model.release()
        list(events)

    assert Message.objects.get(id=reply.id).content == "One two three."


def test_200_streams_at_once_on_one_worker_miss_nothing(serve, model):
    server = serve(WEB_CONCURRENCY="1", CHAT_RATE="", LLM_TIMEOUT_SECONDS="60")
    chunks = tuple(f"~{number:03d}~ word " for number in range(40))
    model.says(Reply(chunks=chunks, gap=0.02))

    async def reader(client: httpx2.AsyncClient) -> str:
        async with client.stream(
            "POST", "/chat", json={"message": "?", "stream": True}, timeout=60
        ) as response:
            assert response.status_code == 200
            body = (await response.aread()).decode()
        events = [parsed(block) for block in body.removesuffix("\n\n").split("\n\n")]
        assert kinds(events) == WHOLE
        return text_of(events)

    async def everyone() -> list[str]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=server.base_url, limits=limits) as client:
            return await asyncio.gather(*(reader(client) for _ in range(200)))

    texts = asyncio.run(everyone())

    assert texts == ["".join(chunks)] * 200


def test_a_stream_that_breaks_on_our_side_says_so(monkeypatch):
    """Whatever happens in there, Django sees an ordinary end."""

    class Broken:
        session_id = reply_id = uuid4()
        outcome = None

        def unread_text(self):
            raise ValueError("broken")

    async def everything():
        return [frame async for frame in wire.frames(Broken(), "mine")]

    frames = asyncio.run(everything())

    assert frames[-1] == wire.DONE
    assert b'"internal_error"' in frames[1]
    assert b"broken" not in b"".join(frames)
