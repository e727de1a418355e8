"""What the attackers speak: HTTP by hand, on sockets that may do what no browser would."""

import asyncio
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

LENGTH = re.compile(rb"(?i)\r\ncontent-length: ?(\d+)")
LONGEST_HEAD = 2**16
PATIENCE_SECONDS = 120
type Outcomes = Counter[str]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to attack until when (of the monotonic clock), and what is stored there."""

    port: int
    until: float
    emoji_session: str
    cookie: str  # of a member of staff

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self.until

    async def rest(self) -> None:
        await asyncio.sleep(max(self.until - time.monotonic(), 0))


def request(method: str, path: str, *headers: str, body: bytes | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def question(text: str, *headers: str, **fields: object) -> bytes:
    body = json.dumps({"message": text} | fields).encode()
    return request("POST", "/chat", "Content-Type: application/json", *headers, body=body)


class Connection:
    """One that is kept, and made anew when it was closed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, receive_buffer: int = 0) -> None:
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.target.port))
        limit = receive_buffer or LONGEST_HEAD
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=limit)

    async def send(self, data: bytes) -> None:
        if self.writer is None:
            await self.open()
        assert self.writer
        self.writer.write(data)
        await self.writer.drain()

    async def ask(self, data: bytes) -> str:
        """The answer's status, or that there was none."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.send(data)
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                body = int(length[1]) if length else 0
                while body > 0:
                    body -= len(await self.reader.readexactly(min(body, LONGEST_HEAD)))
        except (OSError, EOFError, asyncio.LimitOverrunError):
            await self.close()
            return "closed"
        if b"\r\nconnection: close" in head.lower() or not length:
            await self.close()
        return head[9:12].decode()

    async def close(self) -> None:
        if self.writer:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
        self.writer = None


async def at_once(count: int, attack: Callable[[int], Awaitable[Outcomes]]) -> Outcomes:
    """By so many attackers; what all of them got."""
    found = await asyncio.gather(*map(attack, range(count)))
    return sum(found, Counter())


async def hammer(target: Target, count: int, requests: list[bytes]) -> Outcomes:
    """On so many connections, each request as soon as the one before is answered."""

    async def one(number: int) -> Outcomes:
        outcomes: Outcomes = Counter()
        async with Connection(target) as connection:
            while target.is_open:
                data = requests[(number + outcomes.total()) % len(requests)]
                outcomes[await connection.ask(data)] += 1
        return outcomes

    return await at_once(count, one)
