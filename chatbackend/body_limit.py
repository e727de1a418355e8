"""The limit of a request's body, enforced before anything of it is kept or parsed."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings

type Event = dict[str, Any]
type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Event]]

# A body that is too large is still read (and dropped) up to here, so that a client which sends all
# of it first can read the answer.
DRAINED_BYTES = 16 * settings.MAX_BODY_BYTES


async def with_whole_body(scope: Scope, receive: Receive) -> Receive:
    """`receive` with the body already read; a body that is too large is dropped, and left empty.

    The header Content-Length then says how large it was, which is what Django checks.
    """
    body, size, more = [], 0, True
    while more and size <= DRAINED_BYTES:
        event = await receive()
        if event["type"] != "http.request":  # the client has disconnected
            return push_back(event, receive)
        size += len(event["body"])
        more = event["more_body"]
        if size <= settings.MAX_BODY_BYTES:
            body.append(event["body"])
        else:
            body.clear()
    if size > settings.MAX_BODY_BYTES:
        others = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        scope["headers"] = [*others, (b"content-length", str(size).encode())]
    return push_back({"type": "http.request", "body": b"".join(body), "more_body": False}, receive)


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
