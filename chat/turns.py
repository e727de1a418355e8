"""A turn in flight: what was asked, what the model has said so far, and how it ended.

A turn lives in the process that opened it, in a task of its own; whoever follows it (a reader's
stream, a plain request, a terminal) may go away without ending it.
"""

import asyncio
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.utils import timezone

from chat import llm
from chat.errors import ChatError
from chat.models import time_ordered_ids


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader asks. Without a session id a new session begins.

    `client` is whose rate this counts for (None: nobody's). `key` is the reader's own name for
    this question (the header Idempotency-Key): however often it is sent, it is asked once.
    """

    text: str
    session_id: UUID | None = None
    selected_text: str | None = None
    page_url: str | None = None
    client: str | None = None
    key: str = ""

    @property
    def fingerprint(self) -> str:
        """The same (64 hex digits) for the same question."""
        content = [self.text, self.selected_text, self.page_url]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def sessions_of_key(self) -> list[UUID]:
        """Where this key may have been seen before; a new question goes into the first.

        Without a session id a key counts within the client, and its session's id follows from
        both and the day. (Keys last 24 hours, so yesterday's may still count.)
        """
        if self.session_id:
            return [self.session_id]
        today = timezone.now().astimezone(UTC).date()
        return [self._session_of(today), self._session_of(today - timedelta(days=1))]

    def _session_of(self, day: date) -> UUID:
        secret = f"chat session {settings.SECRET_KEY}".encode()
        name = f"{self.client} {day} {self.key}".encode()
        return UUID(bytes=hmac.new(secret, name, hashlib.sha256).digest()[:16], version=4)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a turn ended well; `stopped` by the reader, its text may be short or missing."""

    text: str
    session_id: UUID
    message_id: UUID
    at: datetime
    finish_reason: str
    stopped: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Turn:
    """A question on its way to its answer.

    The ids are made here, so that database work can be repeated; a repeated question takes over
    those of the first time. `outcome` is set at the end.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.session_id = question.session_id or uuid4()
        if question.key:
            self.session_id = question.sessions_of_key()[0]
        self.question_id, self.reply_id = time_ordered_ids(2)
        self.attempt = uuid4()
        self.was_tried = False  # to be stored
        self.began = time.monotonic()
        self.first_token_ms: int | None = None
        self.outcome: Answer | ChatError | None = None
        self.saved_at = self.began  # when its reply was last written to
        self.unsaved = False  # whether there are words since then
        self._pieces: list[str] = []
        self._taken = 0
        self._changed = asyncio.Event()
        self._asking: asyncio.Task[llm.Completion] | None = None

    # Said by the model ----------------------------------------------------------------------
    async def ask(self, prompt: llm.Prompt, streaming: bool) -> llm.Completion | None:
        """The model's answer; None when it was stopped. Raises what `llm.complete` raises."""
        heard = self.say if streaming else None
        self._asking = asyncio.create_task(llm.complete(prompt, heard))
        await asyncio.wait({self._asking})
        return None if self._asking.cancelled() else self._asking.result()

    def say(self, piece: str) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = round((time.monotonic() - self.began) * 1000)
        self._pieces.append(piece)
        self.unsaved = True
        self._changed.set()

    def stop(self) -> None:
        """End the call to the model, if it is still running; what was said so far is kept."""
        if self._asking:
            self._asking.cancel()

    def end(self, outcome: Answer | ChatError) -> None:
        self.outcome = outcome
        self._changed.set()

    # Followed by a reader -------------------------------------------------------------------
    @property
    def text(self) -> str:
        """All that was said so far."""
        return "".join(self._pieces)

    def take(self) -> str:
        """What was said since this was last called."""
        words = "".join(self._pieces[self._taken :])
        self._taken = len(self._pieces)
        return words

    async def changed(self, seconds: float | None = None) -> bool:
        """Wait until more is said or the turn ends, `seconds` at most; whether it did."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        if self.outcome is None:
            self._changed.clear()
        return True

    async def answer(self) -> Answer:
        """Wait for the end. Raises the error that the turn ended with."""
        while self.outcome is None:
            await self.changed()
        if isinstance(self.outcome, ChatError):
            raise self.outcome
        return self.outcome


running: dict[UUID, Turn] = {}  # by their attempts; of this process
