"""An OpenAI-compatible server that costs next to nothing (`python -m benchmarks.model PORT`).

How it speaks is told by the model's name, or by `BENCH_MODEL` where that says nothing: in
`measured,delay=1,chunks=40,gap=0.025` it begins after a second (of silence, or of waiting for the
whole answer), and streams 40 chunks, 25 ms apart. Each chunk carries its number, so that one that
is lost or out of order is noticed whatever form it is passed on in.

Where its prompt has excerpts of a book it cites one of them, every tenth chunk; asked for
embeddings, it gives each text a vector of its own.

`GET /` tells how many calls there were, and how many of them at once at most, since it was asked.
After `GET /hurry`, and until the next `GET /`, it speaks without any pause, to warm its callers up.
"""

import asyncio
import json
import os
import random
import re
import signal
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, cast

import httptools
import uvloop

TEXT = (
    "The controller compares the wanted angle of each joint with the measured one, many times a "
    "second, and turns the difference into a torque. A high gain makes the arm quick, and nervous "
    "where it is too high; a damping term calms it. Begin with small gains, and raise them until "
    "the hand just does not overshoot."
)
MODEL_OF = re.compile(rb'"model": ?"([^"]*)"')
WANTS_STREAM = re.compile(rb'"stream": ?true')
WANTS_USAGE = re.compile(rb'"include_usage": ?true')
MARK = re.compile(rb"\[([a-z]\d[a-z]\d[a-z])\] ")  # of the excerpts in a prompt
EVERY = 10  # chunks
DIMENSIONS = 384
KNOBS = re.compile(r"(delay|chunks|gap)=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Speech:
    """How an answer comes: seconds of silence, pieces of a stream, and the seconds between them."""

    delay: float = 0
    chunks: int = 40
    gap: float = 0

    @classmethod
    def of(cls, name: str) -> Self:
        told = dict(KNOBS.findall(name))
        delay, gap = float(told.get("delay", 0)), float(told.get("gap", 0))
        return cls(delay, int(told.get("chunks", 40)), gap)

    @property
    def name(self) -> str:
        return f"measured,delay={self.delay:g},chunks={self.chunks},gap={self.gap:g}"


HURRIED = Speech()


def marker(number: int) -> str:
    return f"#{number:03d}#"


# What is said -------------------------------------------------------------------------------
def _json(content: dict[str, Any]) -> bytes:
    return json.dumps({"id": "measured", "created": 0, "model": "measured"} | content).encode()


def _response(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(**content: Any) -> bytes:
    return _chunked(b"data: " + _json({"object": "chat.completion.chunk"} | content) + b"\n\n")


def _delta(finish_reason: str | None = None, **delta: str) -> bytes:
    return _event(choices=[{"index": 0, "delta": delta, "finish_reason": finish_reason}])


USAGE = {"prompt_tokens": 120, "completion_tokens": 80, "total_tokens": 200}
MESSAGE = {"role": "assistant", "content": TEXT}
WHOLE = _response(
    _json(
        {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    )
)
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _delta(role="assistant", content="")
)
END = _delta("stop")
END_USAGE = _event(choices=[], usage=USAGE)
DONE = _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"


@cache
def chunk(number: int) -> bytes:
    return _delta(content=f"word {marker(number)} ")


def cited_chunk(number: int, marks: list[bytes]) -> bytes:
    if not marks or number % EVERY:
        return chunk(number)
    mark = marks[number // EVERY % len(marks)].decode()
    return _delta(content=f"word {marker(number)} [{mark}]. ")


def cited_whole(marks: list[bytes]) -> bytes:
    if not marks:
        return WHOLE
    content = f"{TEXT} [{marks[0].decode()}]"
    message = MESSAGE | {"content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _response(_json({"object": "chat.completion", "choices": [choice], "usage": USAGE}))


def embeddings(body: bytes) -> bytes:
    texts = json.loads(body)["input"]
    data = [
        {"object": "embedding", "index": place, "embedding": vector(text)}
        for place, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    return _response(_json({"object": "list", "data": data, "usage": USAGE}))


def vector(text: str) -> list[float]:
    chance = random.Random(text)
    return [round(chance.gauss(0, 1), 6) for _ in range(DIMENSIONS)]


@cache
def speech_of(name: bytes) -> Speech:
    return Speech.of(name.decode() if b"=" in name else os.environ.get("BENCH_MODEL", ""))


# How it is said -----------------------------------------------------------------------------
class State:
    calls = speaking = at_once = 0
    hurries = False


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.body = bytearray()
        self.next: asyncio.TimerHandle | None = None
        self.is_speaking = False
        self.url = b""
        self.marks: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.next:
            self.next.cancel()
        self.fall_silent()

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        body, self.body = bytes(self.body), bytearray()
        if self.url.endswith(b"/embeddings"):
            self.transport.write(embeddings(body))
        elif self.parser.get_method() == b"GET":
            self.transport.write(_response(_told(self.url == b"/hurry")))
        else:
            self.answer(body)

    def answer(self, body: bytes) -> None:
        named = MODEL_OF.search(body)
        speech = HURRIED if State.hurries else speech_of(named[1] if named else b"")
        State.calls += 1
        State.speaking += 1
        State.at_once = max(State.at_once, State.speaking)
        self.is_speaking = True
        begin = self.loop.time() + speech.delay
        self.marks = MARK.findall(body)
        if WANTS_STREAM.search(body):
            self.usage = END_USAGE if WANTS_USAGE.search(body) else b""
            self.at(begin, self.say, speech, begin, 0)
        else:
            self.at(begin, self.end, cited_whole(self.marks))

    def at(self, time: float, what: Any, *arguments: Any) -> None:
        if time <= self.loop.time():
            what(*arguments)
        else:
            self.next = self.loop.call_at(time, what, *arguments)

    def say(self, speech: Speech, begin: float, number: int) -> None:
        """One chunk, on time even if the one before was late; all of them where there is no gap."""
        until = number + 1 if speech.gap else speech.chunks
        chunks = (cited_chunk(each, self.marks) for each in range(number, until))
        said = HEAD * (number == 0) + b"".join(chunks)
        if until < speech.chunks:
            self.transport.write(said)
            self.at(begin + until * speech.gap, self.say, speech, begin, until)
        else:
            self.end(said + END + self.usage + DONE)

    def end(self, said: bytes) -> None:
        self.transport.write(said)
        self.fall_silent()

    def fall_silent(self) -> None:
        State.speaking -= self.is_speaking
        self.is_speaking = False


def _told(hurries: bool) -> bytes:
    told = json.dumps({"calls": State.calls, "at_once": State.at_once}).encode()
    State.calls, State.at_once, State.hurries = 0, State.speaking, hurries
    return told


async def serve(port: int, connection: type[Connection] = Connection) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ended.set)
    server = await loop.create_server(connection, "127.0.0.1", port, backlog=4096)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
