"""How many pages of history are on their way at once; the others wait.

A page may be long, and it is held in memory until its client has read it. A client that asks for
many pages, read or unread, holds only a few of them; all together keep few database threads busy.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from weakref import WeakValueDictionary

from chat.errors import DatabaseUnavailable, RateLimited

PAGES_OF_A_CLIENT = 4
PAGES_BEING_READ = 4
TIMEOUT_SECONDS = 8

_of_client: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
_being_read = asyncio.Semaphore(PAGES_BEING_READ)


@asynccontextmanager
async def a_page(client: str) -> AsyncIterator[None]:
    """Wait until a page may be read from the database, which is done in this context.

    It counts as one of the client's until the current task, the request's, ends: then it has been
    sent, or the client has disconnected. Raises RateLimited or DatabaseUnavailable after too long.
    """
    pages = _of_client.setdefault(client, asyncio.Semaphore(PAGES_OF_A_CLIENT))
    try:
        await asyncio.wait_for(pages.acquire(), TIMEOUT_SECONDS)
    except TimeoutError:
        raise RateLimited(retry_after=1) from None
    request = cast(asyncio.Task[object], asyncio.current_task())
    request.add_done_callback(lambda _: pages.release())
    try:
        await asyncio.wait_for(_being_read.acquire(), TIMEOUT_SECONDS)
    except TimeoutError:
        raise DatabaseUnavailable("too many pages of history are being read") from None
    try:
        yield
    finally:
        _being_read.release()
