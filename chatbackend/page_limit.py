"""A limit on the pages that are made at the same time, so that readers' turns never wait for them.

Django makes each page in a thread of its own, with its own database connection: without a limit a
hundred log-ins are a hundred threads and connections, and the answers to readers wait for all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from loguru import logger

type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ADMIN_PAGES_AT_ONCE = 4  # in each process, as the other numbers
OTHER_PAGES_AT_ONCE = 8
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
    """An application that makes a limited number of pages at once. The others wait, first come,
    first served; one that would wait for too long is answered with 503.
    """

    def __init__(self, pages: Application, at_once: int) -> None:
        self._pages = pages
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not await self._acquire():
            logger.warning("No page could be made: too many are being made or waited for")
            await send({"type": "http.response.start", "status": 503, "headers": HEADERS})
            await send({"type": "http.response.body", "body": BUSY})
            return
        release = _once(self._free.release)

        async def release_and_send(event: Any) -> None:
            # What follows the view is only sending, at the client's pace.
            release()
            await send(event)

        try:
            await self._pages(scope, receive, release_and_send)
        finally:
            release()

    async def _acquire(self) -> bool:
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


def _once(work: Callable[[], None]) -> Callable[[], None]:
    remaining = [work]

    def run() -> None:
        if remaining:
            remaining.pop()()

    return run
