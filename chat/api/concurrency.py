"""How many pages of history are prepared and sent at once, and how fast; further requests wait.

A page may be long, and it stays in memory until its client has read it. Hence a limit per client.
The limit on pages being read from the database leaves threads for everything else, and the pace at
which a client gets long pages leaves CPU: one of 512 KiB costs as much as a dozen turns.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from weakref import WeakValueDictionary

from chat.errors import DatabaseUnavailable, RateLimited

PAGES_PER_CLIENT = 2
PAGES_READ_AT_ONCE = 1
TIMEOUT_SECONDS = 8
BYTES_PER_SECOND = 2**21  # of each of a client's slots

_slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
_reading = asyncio.Semaphore(PAGES_READ_AT_ONCE)


class Slot:
    """`size` is to be set to the bytes of the page that takes it."""

    size = 0


@asynccontextmanager
async def slot_for_page(client: str) -> AsyncIterator[Slot]:
    """Wait for a slot; the page is read within the context.

    The client's slot is freed when the current task, the request's, has ended: then the page has
    been sent, or the client has disconnected. A long page keeps it for longer. Raises
    RateLimited or DatabaseUnavailable after `TIMEOUT_SECONDS`.
    """
    slots = _slots.setdefault(client, asyncio.Semaphore(PAGES_PER_CLIENT))
    try:
        await asyncio.wait_for(slots.acquire(), TIMEOUT_SECONDS)
    except TimeoutError:
        raise RateLimited(retry_after=1) from None
    request = cast(asyncio.Task[object], asyncio.current_task())
    slot, loop = Slot(), asyncio.get_running_loop()
    request.add_done_callback(
        lambda _: loop.call_later(slot.size / BYTES_PER_SECOND, slots.release)
    )
    try:
        await asyncio.wait_for(_reading.acquire(), TIMEOUT_SECONDS)
    except TimeoutError:
        raise DatabaseUnavailable("too many pages of history are being read") from None
    try:
        yield slot
    finally:
        _reading.release()
