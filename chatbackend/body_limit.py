"""The limit of a request's body, enforced before anything of it is kept or parsed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

from chat.errors import Unavailable

type Event = dict[str, Any]
type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Event]]

# A body that is too large is still read (and dropped) up to here, so that a client which sends all
# of it first can read the answer.
DRAINED_BYTES = 16 * settings.MAX_BODY_BYTES
# Of all bodies that are still coming, in one process.
MOST_INCOMPLETE_BYTES = 2**26

# Nearly all questions are smaller. Larger bodies are parsed at a pace, one after the other, since
# each takes the time of some turns, and most are refused then, which is counted nowhere.
LARGE_BYTES = 2**16
LARGE_BYTES_PER_SECOND = 2**22

INCOMPLETE = "chatbackend.incomplete"

_incomplete_bytes = 0
_large = asyncio.Lock()


async def with_whole_body(scope: Scope, receive: Receive) -> Receive:
    """`receive` with the body already read; a body that is too large is dropped, and left empty.

    The header Content-Length then says how large it was, which is what Django checks. `INCOMPLETE`
    is in the scope where some of it is still to come. Raises Unavailable where too many bodies are
    still to come.
    """
    event = await receive()
    if event["type"] == "http.request" and event["more_body"]:
        event = await _rest_of(event, receive)
    if event["type"] != "http.request":
        return push_back(event, receive)
    if event.get("is_incomplete"):
        scope[INCOMPLETE] = True
    size = event.get("size", len(event["body"]))
    if size > settings.MAX_BODY_BYTES:
        event["body"] = b""
        others = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        scope["headers"] = [*others, (b"content-length", str(size).encode())]
    elif size > LARGE_BYTES:
        async with _large:
            await asyncio.sleep(size / LARGE_BYTES_PER_SECOND)
    return push_back(event, receive)


async def _rest_of(event: Event, receive: Receive) -> Event:
    """The events of one body as one event, with its `size` and whether it `is_incomplete`; or the
    event that the client has left.
    """
    global _incomplete_bytes  # noqa: PLW0603
    parts, size, kept = [event["body"]], len(event["body"]), 0
    try:
        while event["more_body"] and size <= DRAINED_BYTES:
            _incomplete_bytes += size - kept
            kept = size
            if _incomplete_bytes > MOST_INCOMPLETE_BYTES:
                raise Unavailable("too many bodies are still coming", retry_after=1)
            event = await receive()
            if event["type"] != "http.request":
                return event
            size += len(event["body"])
            parts.append(event["body"])
            if size > settings.MAX_BODY_BYTES:
                parts.clear()
    finally:
        _incomplete_bytes -= kept
    return {
        "type": "http.request",
        "body": b"".join(parts),
        "more_body": False,
        "size": size,
        "is_incomplete": event["more_body"],
    }


def push_back(event: Event, receive: Receive) -> Receive:
    """`receive`, with `event` first; the rest of a body is dropped."""
    waiting = [event]

    async def pushed_back() -> Event:
        if waiting:
            return waiting.pop()
        while (following := await receive())["type"] == "http.request":
            pass
        return following

    return pushed_back
