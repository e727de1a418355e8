"""Readers who ask, each as soon as the answer before is there, and check every answer.

A process of its own, so that it takes no time from what it measures: `python -m benchmarks.load`
reads a `Load` as JSON and writes a `Result`. Of each reader's turns a third begin a session, a
third go on in it, and a third go on in an older one; every fourth is about a selected passage.
"""

import asyncio
import json
import random
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast
from uuid import UUID

import httptools
import uvloop

from benchmarks.model import TEXT, marker

MARKER = re.compile(marker(0).replace("000", r"(\d{3})").encode())
SESSION = re.compile(rb'"session_id": ?"([0-9a-f-]{36})"')
QUESTION = "How do I choose the gains of a joint's controller so that the arm does not overshoot?"
PASSAGE = "The torque is the sum of a part for the error and one for its rate of change. " * 4


@dataclass
class Load:
    """What to ask of whom. `sessions` are ids of stored ones, `chunks` those of each stream.

    Readers ask the same questions, unless they `all_differ`. With `clients`, the first half of an
    IPv4 address, each reader names an address of its own, as a proxy would.
    """

    port: int
    readers: int
    turns: int
    chunks: int = 0  # 0: plain answers
    ramp: float = 0  # the seconds in which the readers come
    patience: float = 120
    pause: float = 0  # before a reader's next question
    clients: str = ""
    all_differ: bool = False
    sessions: list[str] = field(default_factory=list)


@dataclass
class Result:
    answered: int = 0
    begun: int = 0  # sessions
    seconds: float = 0
    cpu_seconds: float = 0  # of this process
    missing: int = 0  # chunks
    at_once: int = 0  # turns that were begun and not answered yet, at most
    answer_seconds: list[float] = field(default_factory=list)
    first_seconds: list[float] = field(default_factory=list)  # to the first chunk
    errors: dict[str, int] = field(default_factory=dict)

    def failed(self, why: str) -> None:
        self.errors[why] = self.errors.get(why, 0) + 1


class Wrong(Exception):
    """An answer that is not what the model said, or not where it was asked."""


class Readers:
    """All of them, and what they saw."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.result = Result()
        self.left = load.turns
        self.asking = 0
        self.known = set(load.sessions)
        self.done = asyncio.Event()

    async def run(self) -> Result:
        begin, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as coming:
            for number in range(self.load.readers):
                coming.create_task(self.come(number))
        await self.done.wait()
        self.result.seconds = time.perf_counter() - begin
        self.result.cpu_seconds = time.process_time() - cpu
        return self.result

    async def come(self, number: int) -> None:
        await asyncio.sleep(self.load.ramp * number / self.load.readers)
        await Reader(self, number).connect()

    def take_turn(self) -> bool:
        self.left -= 1
        if self.left < 0:
            return False
        self.asking += 1
        self.result.at_once = max(self.result.at_once, self.asking)
        return True

    def give_back_turn(self) -> None:
        self.asking -= 1
        if self.left <= 0 and not self.asking:
            self.done.set()


class Reader(asyncio.Protocol):
    """One, on a connection that is kept; a lost one is an error, and made anew."""

    transport: asyncio.Transport

    def __init__(self, readers: Readers, number: int) -> None:
        self.readers, self.load, self.result = readers, readers.load, readers.result
        self.loop = asyncio.get_running_loop()
        self.number, self.turn = number, 0
        self.random = random.Random(number)
        self.latest = self.oldest = self.session = ""
        self.waiting: asyncio.TimerHandle | None = None
        self.next: asyncio.TimerHandle | None = None
        self.client = ""
        if self.load.clients:
            address = f"{self.load.clients}.{number // 250}.{number % 250}"
            self.client = f"X-Forwarded-For: {address}\r\n"

    async def connect(self) -> None:
        try:
            await self.loop.create_connection(lambda: self, "127.0.0.1", self.load.port)
        except OSError as error:
            self.result.failed(f"no connection: {error}")
            if self.readers.take_turn():
                self.readers.give_back_turn()
                self.loop.call_later(0.1, self.reconnect)

    def reconnect(self) -> None:
        self.connecting = self.loop.create_task(self.connect())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpResponseParser(self)
        self.ask()

    # Ask ------------------------------------------------------------------------------------
    def ask(self) -> None:
        if not self.readers.take_turn():
            self.transport.close()
            return
        self.session = self.chosen_session()
        self.turn += 1
        asked = f"{self.turn}, {self.number}" if self.load.all_differ else f"{self.turn}"
        question: dict[str, object] = {"message": f"{QUESTION} ({asked})"}
        if self.session:
            question["session_id"] = self.session
        if (self.number + self.turn) % 4 == 0:
            question["selected_text"] = PASSAGE
        if self.load.chunks:
            question["stream"] = True
        body = json.dumps(question).encode()
        head = (
            f"POST /chat HTTP/1.1\r\nHost: 127.0.0.1:{self.load.port}\r\n"
            f"{self.client}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.body = bytearray()
        self.first = 0.0
        self.waiting = self.loop.call_later(self.load.patience, self.transport.abort)
        self.began = time.perf_counter()
        self.transport.write(head.encode() + body)

    def chosen_session(self) -> str:
        """'' for a new one."""
        match self.turn % 3:
            case 0:
                return ""
            case 1:
                return self.latest
            case _:
                stored = self.load.sessions
                return self.random.choice(stored) if stored else self.oldest

    # Listen ---------------------------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.result.failed(f"not HTTP: {error}")
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        self.body += data
        if not self.first and self.load.chunks and MARKER.search(self.body):
            self.first = time.perf_counter()

    def on_message_complete(self) -> None:
        ended = time.perf_counter()
        try:
            self.check(self.parser.get_status_code(), bytes(self.body))
        except Wrong as wrong:
            self.result.failed(str(wrong))
        else:
            self.result.answered += 1
            self.result.answer_seconds.append(ended - self.began)
            if self.first:
                self.result.first_seconds.append(self.first - self.began)
        self.end_turn()
        if not self.parser.should_keep_alive():
            self.transport.close()
        elif self.load.pause:
            self.next = self.loop.call_later(self.load.pause, self.ask)
        else:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.next:
            self.next.cancel()
        if self.waiting:
            self.result.failed(f"connection lost: {exc or 'closed, or too slow'}")
            self.end_turn()
        if self.readers.left > 0:
            self.reconnect()

    def end_turn(self) -> None:
        if self.waiting:
            self.waiting.cancel()
            self.waiting = None
        self.readers.give_back_turn()

    # Check ----------------------------------------------------------------------------------
    def check(self, status: int, body: bytes) -> None:
        if status != 200:
            raise Wrong(f"{status}: {body[:120]!r}")
        if self.load.chunks:
            self.check_chunks(body)
        elif json.loads(body)["response"].removesuffix(" [1]") != TEXT:
            raise Wrong("another text")
        self.check_session(body)

    def check_chunks(self, body: bytes) -> None:
        heard = [int(number) for number in MARKER.findall(body)]
        self.result.missing += self.load.chunks - len(set(heard))
        if heard != list(range(self.load.chunks)):
            raise Wrong("chunks are missing, doubled or out of order")

    def check_session(self, body: bytes) -> None:
        found = SESSION.search(body)
        session = str(UUID(found[1].decode())) if found else ""
        if self.session and session != self.session:
            raise Wrong("another session")
        if not self.session:
            if not session or session in self.readers.known:
                raise Wrong("no new session")
            self.result.begun += 1
            self.readers.known.add(session)
            self.latest = session
            self.oldest = self.oldest or session


def main() -> None:
    load = Load(**json.load(sys.stdin))

    async def run() -> Result:
        return await Readers(load).run()

    json.dump(asdict(uvloop.run(run())), sys.stdout)


if __name__ == "__main__":
    main()
