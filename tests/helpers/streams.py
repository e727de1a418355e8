"""Reading a streamed answer, as a front end does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "content-encoding": "identity",
    "x-vercel-ai-ui-message-stream": "v1",
}


def parsed(block: str) -> Any:
    """One event: a frame, `[DONE]`, or a comment."""
    assert "\n" not in block
    if block.startswith(":"):
        return block
    data = block.removeprefix("data: ")
    return data if data == "[DONE]" else json.loads(data)


def events_of(response: httpx2.Response) -> Iterator[Any]:
    """Each event as soon as it is there."""
    rest = ""
    for text in response.iter_text():
        *blocks, rest = (rest + text).split("\n\n")
        yield from map(parsed, blocks)
    assert rest == ""


@contextmanager
def streaming(
    client: httpx2.Client, message: str = "?", headers: dict[str, str] | None = None, **body: Any
) -> Iterator[Iterator[Any]]:
    """The events of an answer that is on its way."""
    body = {"message": message, "stream": True} | body
    with client.stream("POST", "/chat", json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        yield events_of(response)


def stream(client: httpx2.Client, message: str = "?", **body: Any) -> list[Any]:
    """All the events of an answer."""
    with streaming(client, message, **body) as events:
        return list(events)


def kinds(events: list[Any]) -> list[str]:
    """The events' types; deltas next to each other count once."""
    found: list[str] = []
    for event in events:
        kind = event["type"] if isinstance(event, dict) else event
        if kind != "text-delta" or found[-1:] != ["text-delta"]:
            found.append(kind)
    return found


def text_of(events: list[Any]) -> str:
    return "".join(e["delta"] for e in events if isinstance(e, dict) and e["type"] == "text-delta")
