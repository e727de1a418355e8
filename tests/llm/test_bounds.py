"""However much a service sends, it is read up to a limit, and a cut is reported."""

import asyncio
import gzip
import resource
import time
from contextlib import suppress
from itertools import repeat

import pytest

from llm import answers, transport
from llm.errors import ModelError, ModelTimeout, ModelUnavailable
from tests.helpers.broken_http import bomb
from tests.helpers.scripted_model import Reply, chunk, frames

MOST_READ = 3 * transport.MAX_BODY_BYTES  # with what waits in buffers


class Counted:
    """Pieces without end, and how many bytes of them were taken."""

    def __init__(self, piece, first=b""):
        self.first, self.piece = first, piece
        self.taken = 0

    def __iter__(self):
        for piece in (self.first, *([self.piece] * 20_000)):  # bounded: 1 GB and more
            if piece:
                self.taken += len(piece)
                yield piece


def text_frame(size):
    return frames(chunk("x" * size), done=False).body


START = b'{"choices":[{"message":{"content":"'
FLOODS = {
    "text": Counted(text_frame(50_000)),
    "small deltas": Counted(text_frame(1) * 500),
    "pings": Counted(b": ping\n\n" * 10_000),
    "empty lines": Counted(b"\n" * 100_000),
    "odd frames": Counted(b"data: {}\n\n" * 10_000),
    "thoughts": Counted(frames(chunk(reasoning_content="x" * 50_000), done=False).body),
    "a line of data without end": Counted(b"x" * 100_000, b"data: "),
    "a line without end": Counted(b"x" * 100_000),
    "a comment without end": Counted(b"x" * 100_000, b": "),
    "an event without end": Counted(b"data: [\n" * 10_000),
    "JSON without end": Counted(b"[" * 100_000),
    "blank space without end": Counted(b" " * 100_000),
    "a string without end": Counted(b"x" * 100_000, START),
    "escapes without end": Counted(rb"\ud83e\udd16\n" * 5_000, START),
    "false escapes without end": Counted(rb"\q" * 50_000, START),
    "a delta without end": Counted(b"y" * 100_000, b'data: {"choices":[{"delta":{"content":"'),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_read_up_to_a_limit(model, ask, asked, flood):
    flood.taken = 0
    model.says(Reply(pieces=flood))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    try:
        completion = ask()
    except ModelUnavailable:
        completion = None

    assert flood.taken < MOST_READ
    assert len(model.requests) == 1  # once was enough
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB
    if completion:
        assert completion.finish_reason == "length"
        assert len(completion.text) <= answers.MAX_TEXT_CHARS


def test_a_flood_leaves_most_of_the_time_to_others(model, stream, monkeypatch):
    pauses, sleep = [], asyncio.sleep

    async def pause(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(transport, "PAUSES", 3)
    monkeypatch.setattr(transport.asyncio, "sleep", pause)
    model.says(Reply(body=b"data: {}\n\n" * 40_000))
    worked = time.thread_time()

    with pytest.raises(ModelUnavailable):
        stream()

    assert sum(pauses) > 2 * (time.thread_time() - worked)


@pytest.mark.parametrize("name", ["JSON without end", "a string without end"])
def test_an_answer_in_one_piece_is_read_up_to_a_lower_limit(model, complete, name):
    FLOODS[name].taken = 0
    model.says(Reply(pieces=FLOODS[name]))

    with suppress(ModelUnavailable):
        complete()

    assert FLOODS[name].taken < transport.MAX_BODY_BYTES


@pytest.mark.parametrize(
    "name",
    ["text", "small deltas", "a string without end", "escapes without end", "a delta without end"],
)
def test_what_came_before_the_limit_is_an_answer_that_was_cut_off(model, ask, name, logged):
    model.says(Reply(pieces=FLOODS[name]))

    completion = ask()

    assert completion.finish_reason == "length"
    assert len(completion.text) > 10_000
    assert "was cut off" in "\n".join(logged)


def test_a_text_that_ends_after_the_limit_is_cut_too(model, ask):
    model.says(Reply("word " * 100_000, chunks=("word " * 100,) * 1000))

    completion = ask()

    assert len(completion.text) == answers.MAX_TEXT_CHARS
    assert completion.finish_reason == "length"


def test_a_text_within_the_limit_is_whole(model, ask):
    text = "wörd " * (answers.MAX_TEXT_CHARS // 5)
    model.says(Reply(text, chunks=(text[: len(text) // 2], text[len(text) // 2 :])))

    completion = ask()

    assert completion.text == text
    assert completion.finish_reason == "stop"


def test_the_limit_grows_with_the_tokens_that_are_asked_for(model, complete, settings):
    settings.LLM_MAX_OUTPUT_TOKENS = 100_000
    model.says("word " * 100_000)

    assert complete().finish_reason == "stop"


@pytest.mark.parametrize(
    ("encoding", "wbits", "payload"),
    [
        ("gzip", 31, b" "),
        ("gzip", 31, b"data: {}\n\n"),
        ("gzip", 31, b"["),
        ("deflate", 15, b"\n"),
        ("deflate", -15, b"x"),
    ],
)
def test_a_bomb_is_unpacked_up_to_the_limit(model, ask, encoding, wbits, payload):
    packed = b"".join(bomb(wbits, payload))
    model.says(Reply(body=packed, headers={"Content-Encoding": encoding}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ModelUnavailable):
        ask()

    assert len(model.requests) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_a_bomb_within_a_bomb_is_bounded(model, ask):
    packed = gzip.compress(b"".join(bomb(31)))
    model.says(Reply(body=packed, headers={"Content-Encoding": "gzip, gzip"}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ModelUnavailable):
        ask()

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br", "nonsense"])
def test_what_cannot_be_unpacked_is_not_read(model, ask, encoding):
    model.says(Reply(body=b"\x00" * 1000, headers={"Content-Encoding": encoding}))

    with pytest.raises(ModelUnavailable):
        ask()


@pytest.mark.parametrize("status", [400, 429, 500, 302])
def test_an_error_without_end_is_read_up_to_a_limit(model, ask, status):
    flood = Counted(b"x" * 100_000, b'{"error": {"message": "')
    model.says(Reply(status=status, pieces=flood))

    with pytest.raises(ModelError):
        ask()

    assert flood.taken < MOST_READ


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        [OK, *repeat(b"X: x\r\n" * 1000, 20_000)],
        [OK + b"X: ", *repeat(b"x" * 10_000, 20_000)],
        [*repeat(b"x" * 10_000, 20_000)],
        [OK + CHUNKED + b"0\r\n", *repeat(b"X: x\r\n" * 1000, 20_000)],
        [OK + CHUNKED + b"1;x=", *repeat(b"x" * 10_000, 20_000)],
        [*repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 20_000)],
    ],
    ids=["headers", "a header", "a status line", "trailers", "a chunk's extension", "continue"],
)
def test_http_without_end_is_bounded(model, complete, settings, raw):
    settings.LLM_TIMEOUT_SECONDS = 3
    model.says(Reply(raw=raw))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises((ModelUnavailable, ModelTimeout)):
        complete()

    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
    )  # kB: aiohttp queues heads that are to be continued
