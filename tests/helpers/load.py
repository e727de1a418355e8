"""Readers who ask one question after the other until they are told to go."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from tests.helpers.streams import kinds, parsed, text_of
from tests.helpers.waiting import eventually

PATIENCE_SECONDS = 60
CUT = "a stream that was cut"  # unless it goes on


@dataclass
class Asked:
    """A question on its way; `status` and `told` are what its reader heard last."""

    question: str
    form: str
    key: str | None
    session: str = field(default_factory=lambda: str(uuid4()))
    tries: int = 0
    cuts: int = 0  # of its stream, on the way
    status: object = None
    told: str = ""
    reply_id: str | None = None
    whole: bool = False


class Readers:
    """Every one asks in a form of its own: plain or streamed, with a key or without.

    With `try_again` those with a key ask until they have their answer, as a good front end does.
    """

    def __init__(self, url: str, count: int, *, try_again: bool) -> None:
        self.url = url
        self.try_again = try_again
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._read, args=[n]) for n in range(count)]

    @property
    def answered(self) -> list[Asked]:
        return [each for each in self.asked if each.whole]

    @property
    def failed(self) -> list[Asked]:
        return [each for each in self.asked if each.status is not None and not each.whole]

    @property
    def half_way(self) -> list[Asked]:
        """Those whose answer has begun."""
        return [each for each in self.asked if each.status == CUT]

    def wait_for_answers(self, more: int) -> None:
        enough = len(self.answered) + more
        eventually(lambda: len(self.answered) >= enough, PATIENCE_SECONDS)

    def _read(self, number: int) -> None:
        form, keyed = ("plain", "stream")[number % 2], number % 4 < 2
        asked = 0
        while not self.over.is_set():
            asked += 1
            question = Asked(f"{number}-{asked}", form, str(uuid4()) if keyed else None)
            self.asked.append(question)
            self._ask(question)
            end = time.monotonic() + PATIENCE_SECONDS
            while self.try_again and question.key and not question.whole and time.monotonic() < end:
                time.sleep(0.2)
                self._ask(question)

    def _ask(self, asked: Asked) -> None:
        body = {"message": asked.question, "session_id": asked.session}
        headers = {"Idempotency-Key": asked.key} if asked.key else {}
        asked.tries += 1
        try:
            # A connection for each: one that is kept may be closed just when it is used again,
            # which a browser deals with by itself.
            with httpx2.stream(
                "POST",
                f"{self.url}/chat",
                json=body | {"stream": asked.form == "stream"},
                headers=headers,
                timeout=PATIENCE_SECONDS,
            ) as answer:
                self._listen(asked, answer)
        except httpx2.TransportError as error:
            asked.cuts += asked.status == CUT
            asked.status = type(error).__name__

    def _listen(self, asked: Asked, answer: httpx2.Response) -> None:
        if asked.form == "plain" or answer.status_code != 200:
            answer.read()
            asked.status = answer.status_code
            if answer.status_code == 200:
                asked.told, asked.reply_id = answer.json()["response"], answer.json()["message_id"]
                asked.whole = True
            return
        events: list[Any] = []
        asked.status, rest = CUT, ""
        for text in answer.iter_text():
            *blocks, rest = (rest + text).split("\n\n")
            events += map(parsed, blocks)
            if events:
                asked.reply_id = events[0]["messageId"]
        asked.told = text_of(events)
        asked.status = kinds(events)[-2:]
        asked.whole = asked.status == ["finish", "[DONE]"]


@contextmanager
def reading(url: str, count: int = 8, *, try_again: bool = False) -> Iterator[Readers]:
    """Readers at work; at the end each waits for the answer to its last question."""
    readers = Readers(url, count, try_again=try_again)
    for thread in readers.threads:
        thread.start()
    try:
        yield readers
    finally:
        readers.over.set()
        for thread in readers.threads:
            thread.join()
