"""One odd frame loses no answer; only an error or a cut ends it."""

import json
from collections.abc import Iterator

import pytest

from llm.errors import ModelUnavailable
from tests.helpers.scripted_model import Reply, chunk, frames

HELLO = (chunk("Hel"), chunk("lo."), chunk(finish_reason="stop"))
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}

ODD = {
    "no choices": {"id": "x", "object": "chat.completion.chunk"},
    "choices empty": {"choices": []},
    "choices null": {"choices": None},
    "choices a string": {"choices": "?"},
    "choices an object": {"choices": {"0": {}}},
    "choice null": {"choices": [None]},
    "choice a string": {"choices": ["?"]},
    "delta null": {"choices": [{"delta": None}]},
    "delta missing": {"choices": [{"index": 0}]},
    "delta a list": {"choices": [{"delta": [1]}]},
    "content a number": {"choices": [{"delta": {"content": 7}}]},
    "content an empty list": {"choices": [{"delta": {"content": []}}]},
    "content of odd parts": {"choices": [{"delta": {"content": [None, 7, {"type": "image"}]}}]},
    "Azure's first": {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    "usage a string": {"choices": [], "usage": "many"},
    "usage a list": {"choices": [], "usage": [1]},
    "usage of odd numbers": {"choices": [], "usage": {"prompt_tokens": "x", "y": None}},
    "finish reason empty": {"choices": [{"delta": {}, "finish_reason": ""}]},
    "finish reason in words": {"choices": [{"delta": {}, "finish_reason": "null"}]},
    "error null": {"choices": [], "error": None},
    "a ping": 'event: ping\ndata: {"type": "ping"}',
    "an empty ping": "event: ping\ndata:",
    "empty data": "data: ",
    "data without a blank": "data:",
    "JSON's null": "data: null",
    "a number": "data: 7",
    "a list": "data: [1, 2]",
    "a string": 'data: "hello"',
    "no JSON": "data: {broken",
    "JSON nested too deeply": "data: " + "[" * 100_000,
    "an endless number": "data: " + "7" * 10_000,
    "a comment": ": OPENROUTER PROCESSING",
    "an empty comment": ":",
    "an id": "id: 7",
    "a retry": "retry: 1000",
    "a field of its own": "foo: bar",
    "no field": "hello",
    "blank lines": "\n\n\n",
}


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_frame_loses_no_answer(model, stream, asked, odd, place):
    data = [*HELLO[:place], odd, *HELLO[place:]]
    model.says(frames(*data, {"choices": [], "usage": USAGE}))

    completion = stream()

    assert completion.text == asked.text == "Hello."
    assert completion.finish_reason == "stop"
    assert completion.prompt_tokens == 11
    assert len(model.requests) == 1


@pytest.mark.parametrize("line", [b"data: \xff\xfe", b"\x00\x01\x02", b'data: {"a": "\xff"}'])
def test_bytes_that_are_no_text_lose_no_answer(model, stream, line):
    body = frames(*HELLO[:1], done=False).body + line + b"\n\n" + frames(*HELLO[1:]).body
    model.says(Reply(body=body, headers={"Content-Type": "text/event-stream"}))

    assert stream().text == "Hello."


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r", "\n", "\r\n"])
def test_lines_may_end_in_any_way(model, stream, end):
    model.says(frames(*HELLO, end=end))

    assert stream().text == "Hello."


@pytest.mark.parametrize("ending", ["\n\n", "\r\n\r\n"])
def test_a_stream_may_be_cut_anywhere_into_segments(model, stream, ending):
    body = frames(chunk("Grüße 🤖 "), *HELLO, end=ending).body
    for size in (1, 2, 3, 7, 50):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        model.says(Reply(pieces=pieces))

        assert stream().text == "Grüße 🤖 Hello."


def test_a_byte_order_mark_is_left_out(model, ask):
    answer = json.dumps(Reply("Hello.").completion("scripted")).encode()
    model.says(Reply(body=b"\xef\xbb\xbf" + answer), frames("\ufeff", *HELLO))

    assert ask().text == "Hello."
    assert ask().text == "Hello."


@pytest.mark.parametrize(
    "body", [frames(*HELLO).body, json.dumps(Reply("Hello.").completion("x")).encode()]
)
def test_a_byte_order_mark_may_come_in_pieces(model, stream, body):
    model.says(Reply(pieces=[b" ", b"\xef", b"\xbb", b"\xbf", b"\n", body], gap=0.02))

    assert stream().text == "Hello."


def test_one_event_may_be_spread_over_lines(model, stream):
    lines = "\n".join(f"data: {line}" for line in json.dumps(HELLO[0], indent=1).splitlines())
    model.says(frames(lines, *HELLO[1:]))

    assert stream().text == "Hello."


def test_one_line_may_hold_several_chunks(model, stream):
    line = " ".join(map(json.dumps, HELLO[:2]))
    model.says(frames(f"data: {line}", f"data: {line}{{broken", HELLO[2]))

    assert stream().text == "Hello."


def test_a_proxy_may_name_data_twice(model, stream):
    model.says(frames(*(f"data: data: {json.dumps(each)}" for each in HELLO)))

    assert stream().text == "Hello."


def test_data_may_lack_its_name(model, stream):
    model.says(frames(*map(json.dumps, HELLO)))

    assert stream().text == "Hello."


# The end --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "done"),
    [
        ((*HELLO,), False),
        (HELLO[:2], True),
        ((*HELLO[:2], "data:[DONE]"), False),
        ((*HELLO[:2], "[DONE]"), False),
        ((*HELLO[:2], "data: [DONE] "), False),
        ((*HELLO, "data: [DONE]", "data: and more"), True),
        ((*HELLO, {"choices": [{"delta": {"content": ""}, "finish_reason": None}]}), False),
    ],
)
def test_a_finish_reason_or_done_is_the_end(model, ask, data, done):
    model.says(frames(*data, done=done))

    assert ask().text == "Hello."


def test_the_last_line_needs_no_end(model, stream):
    model.says(frames(*HELLO, end="", done=False), frames(HELLO[0]))
    body = frames(HELLO[0], done=False).body + json.dumps(chunk("lo.", "stop")).encode()
    model.says(Reply(body=body))

    assert stream().text == "Hello."


def test_text_may_come_after_a_finish_reason(model, stream):
    model.says(frames(chunk("Hel", "stop"), chunk("lo.", "stop")))

    assert stream().text == "Hello."


def test_nothing_counts_after_done(model, stream):
    model.says(frames(*HELLO, "data: [DONE]", chunk(" More."), {"error": {"message": "no"}}))

    assert stream().text == "Hello."


@pytest.mark.parametrize("pieces", [2, 1])
def test_a_stream_without_an_end_is_cut_off(model, stream, pieces):
    model.says(frames(*HELLO[:pieces], done=False))

    with pytest.raises(ModelUnavailable, match="broken off"):
        stream()


def test_a_lost_connection_is_a_cut(model, stream):
    model.says(Reply("Hello there.", cut=1))

    with pytest.raises(ModelUnavailable, match="broken off"):
        stream()


def test_a_connection_that_is_lost_after_the_finish_reason_loses_no_answer(model, stream):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"
    model.says(Reply(raw=[head, frames(*HELLO, done=False).body]))

    assert stream().text == "Hello."


def test_a_stream_that_stays_open_after_its_finish_reason_is_not_waited_for(
    model, stream, settings, monkeypatch
):
    monkeypatch.setattr("llm.call.LAST_FRAMES_SECONDS", 0.2)
    settings.LLM_TIMEOUT_SECONDS = 5

    def pieces() -> Iterator[bytes]:
        yield frames(*HELLO, done=False).body
        model.released.wait(20)

    model.says(Reply(pieces=pieces()))

    assert stream().text == "Hello."
    model.release()


@pytest.mark.parametrize("reply", [frames(*HELLO[:2], chunk(finish_reason="error"))])
def test_a_finish_reason_may_be_a_failure(model, stream, asked, reply):
    model.says(reply)

    with pytest.raises(ModelUnavailable):
        stream()

    assert asked.text == "Hello."


# Other formats --------------------------------------------------------------------------------
ANSWER = Reply("Hello.").completion("scripted")


@pytest.mark.parametrize(
    "body", [json.dumps(ANSWER), json.dumps(ANSWER, indent=2), f"\n\n {json.dumps(ANSWER)}\n"]
)
def test_a_server_may_answer_in_one_piece_where_a_stream_was_asked_for(model, stream, asked, body):
    model.says(Reply(body=body.encode()))

    completion = stream()

    assert completion.text == asked.text == "Hello."
    assert completion.prompt_tokens == 11


def test_a_server_may_send_a_whole_answer_as_its_only_event(model, ask):
    model.says(frames(Reply("Hello.").completion("scripted")))

    assert ask().text == "Hello."


def test_a_server_may_stream_where_one_piece_was_asked_for(model, complete):
    model.says(frames(*HELLO, {"choices": [], "usage": USAGE}))

    completion = complete()

    assert (completion.text, completion.prompt_tokens) == ("Hello.", 11)


def test_a_server_may_send_an_object_in_each_line(model, stream):
    model.says(Reply(body="\n".join(map(json.dumps, HELLO)).encode()))

    assert stream().text == "Hello."


def test_a_whole_message_with_the_last_chunk_is_not_said_twice(model, stream):
    last = {"choices": [{"delta": {}, "message": {"content": "Hello."}, "finish_reason": "stop"}]}
    model.says(frames(*HELLO[:2], last))

    assert stream().text == "Hello."


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
         {"type": "text", "text": "Hello."}],
        [{"type": "reasoning", "text": "Hm."}, {"type": "output_text", "text": "Hello."}],
        [{"type": "text", "text": {"value": "Hello."}}],
        ["Hel", "lo."],
        [{"text": "Hello."}],
        {"type": "text", "text": "Hello."},
        [{"type": "text", "text": "Hello."}, {"type": "image_url", "image_url": {"url": "x"}}],
    ],
)  # fmt: skip
def test_content_may_come_in_parts(model, ask, content):
    model.says(Reply(message={"content": content}, chunks=({"content": content},)))

    assert ask().text == "Hello."


def test_text_may_stand_where_older_completions_have_it(model, ask):
    choices = [{"index": 0, "text": "Hello.", "finish_reason": "stop"}]
    model.says(frames({"choices": choices}))

    assert ask().text == "Hello."


def test_a_refusal_is_an_answer(model, ask):
    model.says(Reply(message={"content": None, "refusal": "No."}, chunks=({"refusal": "No."},)))

    assert ask().text == "No."


def test_half_of_a_pair_waits_for_the_other(model, stream, asked):
    halves = [
        f'data: {{"choices": [{{"delta": {{"content": "{half}"}}}}]}}\n\n'.encode()
        for half in ("\\ud83e", "\\udd16!")
    ]
    model.says(Reply(pieces=[*halves, b"data: [DONE]\n\n"], gap=0.05))

    assert stream().text == asked.text == "🤖!"
    assert asked.deltas == ["🤖!"]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (None, (None, None)),
        ({"prompt_tokens": -1}, (None, None)),
        ({"prompt_tokens": "many", "completion_tokens": 7}, (None, 7)),
        ({"prompt_tokens": 11.0, "completion_tokens": 7.0}, (11, 7)),
        ({"prompt_tokens": True, "completion_tokens": 7}, (None, 7)),
        ({"prompt_tokens": 2**31, "completion_tokens": 7}, (None, 7)),
        ({"input_tokens": 11, "output_tokens": 7}, (11, 7)),
        ({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 40}, (11, 29)),
        ({"prompt_tokens": 11, "total_tokens": 40}, (11, 29)),
        ({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 1}, (11, 7)),
        ({"prompt_tokens": float("inf"), "completion_tokens": 7}, (None, 7)),
    ],
)  # fmt: skip
def test_usage_may_be_missing_or_nonsense(model, ask, usage, tokens):
    model.says(Reply("Hello.", usage=usage))

    completion = ask()

    assert completion.text == "Hello."
    assert (completion.prompt_tokens, completion.completion_tokens) == tokens


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [], "usage": USAGE},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USAGE},
        {"choices": [{"delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": USAGE}},
    ],
)
def test_usage_is_found_where_services_put_it(model, stream, last):
    model.says(frames(*HELLO, last))

    assert stream().completion_tokens == 7


def test_the_last_usage_counts(model, stream):
    early = {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12}
    model.says(frames({"usage": early, **HELLO[0]}, *HELLO[1:], {"choices": [], "usage": USAGE}))

    completion = stream()

    assert (completion.prompt_tokens, completion.completion_tokens) == (11, 7)
