"""A limit on the pages that are made at the same time, so that readers' turns never wait for them.

Django makes each page in a thread of its own, with its own database connection: without a limit a
hundred log-ins are a hundred threads and connections, and the answers to readers wait for all.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

from chatbackend.paths import ADMIN, LOG_IN

type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# In each process. Log-ins have their own number, so that many of them keep nobody out who is in.
LOG_INS_AT_ONCE = 2
ADMIN_PAGES_AT_ONCE = 4
OTHER_PAGES_AT_ONCE = 2
# After each of the others, which are open to all, its place stays taken so many times as long as
# the page took: however many are asked for, they use a third of a worker's time.
PAUSES = 5
LONGEST_PAUSE_SECONDS = 1
MAX_WAITING = 300
MAX_WAIT_SECONDS = 60

BUSY = (
    b'<!doctype html><html lang="en"><title>Busy</title>'
    b"<p>The server is busy just now. Please try again in a moment.</p></html>"
)
HEADERS = [
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Content-Length", str(len(BUSY)).encode()),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Retry-After", b"10"),
]


class LimitedPages:
    """The application for pages, with a limited number of each kind at once."""

    def __init__(self, pages: Application) -> None:
        self._pages = pages
        self._log_ins = _Places(LOG_INS_AT_ONCE)
        self._admin = _Places(ADMIN_PAGES_AT_ONCE)
        self._others = _Places(OTHER_PAGES_AT_ONCE, PAUSES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        places = self._places(scope)
        if not await places.acquire():
            logger.warning("A page was refused: too many are being made and waited for")
            await send({"type": "http.response.start", "status": 429, "headers": HEADERS})
            await send({"type": "http.response.body", "body": BUSY})
            return
        begin = time.monotonic()
        release = _once(lambda: places.release(time.monotonic() - begin))

        async def release_and_send(event: Any) -> None:
            # What follows the view is only sending, at the client's pace.
            release()
            await send(event)

        try:
            await self._pages(scope, receive, release_and_send)
        finally:
            release()

    def _places(self, scope: Scope) -> "_Places":
        if scope["path"] == LOG_IN and scope["method"] == "POST":
            return self._log_ins
        return self._admin if scope["path"].startswith(ADMIN) else self._others


class _Places:
    """Taken in turn: first come, first served."""

    def __init__(self, count: int, pauses: float = 0) -> None:
        self._pauses = pauses
        self._free = asyncio.Semaphore(count)
        self._waiting = 0

    async def acquire(self) -> bool:
        """Whether there is a place, after a while if need be."""
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def release(self, seconds: float) -> None:
        """After a page that took so long."""
        pause = min(self._pauses * seconds, LONGEST_PAUSE_SECONDS)
        if pause:
            asyncio.get_running_loop().call_later(pause, self._free.release)
        else:
            self._free.release()


def _once(work: Callable[[], None]) -> Callable[[], None]:
    remaining = [work]

    def run() -> None:
        if remaining:
            remaining.pop()()

    return run
