"""Server-sent events as the models' services send them: from bytes to JSON objects.

Read more leniently than the standard asks. Most services send one line of data for each event;
some end events with one line end, some spread JSON over several lines, some leave the `data:` out,
and nearly all put other things between (pings, comments, empty events). None of that may cost a
reader the answer, so what makes no sense is left out.
"""

import json
from typing import Any

from django.conf import settings

MAX_LINE_BYTES = 2**20
# A token is two lines, or a few more; thoughts may come beside the answer's.
MAX_LINES = 100_000
LINES_PER_TOKEN = 8
DONE = b"[DONE]"
DECODER = json.JSONDecoder()


class Frames:
    """`feed` takes bytes as they come and returns the objects that are complete with them.

    `is_cut` says that there are more lines, or longer ones, than any answer has.
    """

    def __init__(self) -> None:
        self.is_done = False  # [DONE] has come
        self.is_cut = False
        self.overlong = b""  # the beginning of a line that is too long
        self._lines_left = MAX_LINES + LINES_PER_TOKEN * settings.LLM_MAX_OUTPUT_TOKENS
        self._rest: list[bytes] = []  # of the last line, which may go on
        self._rest_size = 0
        self._is_error = False  # the current event's name is "error"
        self._broken: list[bytes] = []  # this event's lines, from one on that is no JSON alone

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        lines = data.splitlines(keepends=True)
        if self._rest and lines:
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest, self._rest_size = [], 0
        if lines and not lines[-1].endswith((b"\n", b"\r")):
            self._keep(lines.pop())
        self._lines_left -= len(lines)
        if self._lines_left < 0:
            self.is_cut = True
            return self._objects(lines[: self._lines_left])
        return self._objects(lines)

    def _keep(self, line: bytes) -> None:
        self._rest_size += len(line)
        self._rest.append(line)
        if self._rest_size > MAX_LINE_BYTES:
            self.is_cut = True
            self.overlong = b"".join(self._rest)
            self._rest, self._rest_size = [], 0

    def finish(self) -> list[dict[str, Any]]:
        """The end of the stream, which also ends its last line and event."""
        return self._objects([b"".join(self._rest), b""])

    def _objects(self, lines: list[bytes]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for each in lines:
            line = each.strip()
            if line.startswith(b"data:"):
                found += self._data(line[5:].strip())
            elif line:
                found += self._other(line)
            elif self._broken or self._is_error:
                found += self._end_event()
            if self.is_done:
                break
        return found

    def _other(self, line: bytes) -> list[dict[str, Any]]:
        if line.startswith((b"{", b"[")):  # without `data:`
            return self._data(line)
        if line.startswith(b"error:"):  # llama.cpp
            self._is_error = True
            return self._data(line[6:].strip())
        if line.startswith(b"event:"):
            self._is_error = line[6:].strip().lower() == b"error"
        return []

    def _data(self, value: bytes) -> list[dict[str, Any]]:
        if value.startswith(DONE):
            self.is_done = True
            return []
        found = _parsed(value.removeprefix(b"data:"))  # which some proxies put before their own
        if found is None or self._broken:
            self._broken.append(value)
        if found is None:
            return []
        return [found] if type(found) is dict and not self._is_error else self._named(found)

    def _end_event(self) -> list[dict[str, Any]]:
        broken, self._broken = self._broken, []
        found = _parsed(b"\n".join(broken)) if len(broken) > 1 else None
        if found is None and broken and self._is_error:
            found = str(b"\n".join(broken), "utf-8", "replace")  # an error in plain words
        objects = [] if found is None else self._named(found)
        self._is_error = False
        return objects

    def _named(self, found: object) -> list[dict[str, Any]]:
        """As objects; an event that is named so is an error, whatever its data look like."""
        if self._is_error:
            is_wrapped = isinstance(found, dict) and found.get("error")
            return [found if is_wrapped else {"error": found or "?"}]  # type: ignore[list-item]
        each = found if isinstance(found, list) else [found]
        return [one for one in each if isinstance(one, dict)]


def _parsed(value: bytes) -> object | None:
    """JSON as Python, several documents as a list; None for what is none, or is nothing."""
    text = str(value, "utf-8", "replace")
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except json.JSONDecodeError as error:
        return _documents(text) if error.msg == "Extra data" else None
    except (ValueError, RecursionError):
        return None


def _documents(text: str) -> list[object] | None:
    """JSON documents, one right after the other."""
    found, place = [], 0
    try:
        while place < len(text):
            document, place = DECODER.raw_decode(text, place)
            found.append(document)
            place += len(text[place:]) - len(text[place:].lstrip())
    except (ValueError, RecursionError):
        return None
    return found
