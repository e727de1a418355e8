"""The benchmarks' model, which may be asked to answer as no service should.

`python -m benchmarks.attack.model PORT`. A question `hostile NAME.` gets the output of that name;
any other one is answered as usual.
"""

import re
import sys
from collections.abc import Iterator
from itertools import chain, repeat

import uvloop

from benchmarks.model import Connection, serve
from tests.helpers.broken_http import BROKEN, JSON, OK, bomb

NAMED = re.compile(rb"hostile ([^.\"]+)\.")
STREAM = OK + b"Content-Type: text/event-stream\r\n\r\n"
PARTS = 20_000  # bounded: about a gigabyte
# The first line of a body, then what follows it again and again.
ENDLESS = {
    "an endless line": (STREAM + b"data: ", b"x" * 2**16),
    "an endless text": (OK + JSON + b'\r\n{"choices":[{"message":{"content":"', b"x" * 2**16),
    "endless events": (STREAM, b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n' * 1000),
    "endless pings": (STREAM, b": ping\n\n" * 10_000),
}
PACKED = OK + JSON + b"Content-Encoding: gzip\r\n\r\n"
# A thousand times as large when unpacked; what they unpack to.
BOMBS = {"a gzip bomb": b" ", "a gzip bomb of events": b"data: {}\n\n"}
ELSEWHERE = b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
FAILURES = {**BROKEN, "a redirect": [ELSEWHERE]}
FLOODS = [*ENDLESS, *BOMBS]


def output(name: str) -> Iterator[bytes]:
    if name in ENDLESS:
        first, part = ENDLESS[name]
        return chain([first], repeat(part, PARTS))
    if name in BOMBS:
        return chain([PACKED], bomb(31, BOMBS[name]))
    return iter(FAILURES[name])


class HostileConnection(Connection):
    """Sends an output as fast as its client takes it, then closes the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.output: Iterator[bytes] | None = None
        self.is_paused = False

    def answer(self, body: bytes) -> None:
        if named := NAMED.search(body):
            self.output = output(named[1].decode())
            self.send()
        else:
            super().answer(body)

    def send(self) -> None:
        while self.output and not self.is_paused and not self.transport.is_closing():
            part = next(self.output, None)
            if part is None:
                self.transport.close()
            else:
                self.transport.write(part)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        if self.output:
            self.loop.call_soon(self.send)


if __name__ == "__main__":
    for payload in BOMBS.values():
        bomb(31, payload)  # takes seconds, once
    uvloop.run(serve(int(sys.argv[1]), HostileConnection))
