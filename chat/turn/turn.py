"""A turn in flight: the question, the text so far, and how it ended.

A turn lives in the process that opened it, in a task of its own; its followers (a reader's stream,
a plain request, a terminal) may disconnect without ending it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from chat.citations.citing import Citing
from chat.citations.evidence import NOTHING, Evidence, Source
from chat.citations.excerpts import Excerpts
from chat.ids import time_ordered_ids
from llm import completions, telemetry
from llm.errors import CodedError
from llm.spending import Spending


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader asks. Without a session id a new session begins.

    `client` is whose rate this counts for (None: nobody's). `idempotency_key` is the client's own
    name for this question: however often it is sent, it is asked once. `door` is the API it came
    in by; empty for our own.
    """

    text: str
    session_id: UUID | None = None
    selected_text: str | None = None
    page_url: str | None = None
    client: str | None = None
    idempotency_key: str = ""
    door: str = ""
    replaces: UUID | None = None  # a question of the session, with all after it
    language: str = ""  # ISO 639-1, of sentences that are ours: excerpts, silence


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
    evidence: Evidence = NOTHING


class Turn:
    """A question on its way to its answer.

    The ids are made here, so that database work can be repeated; a repeated question takes over
    those of the first time. `outcome` is set at the end.
    """

    def __init__(self, question: Question, session_id: UUID) -> None:
        self.question = question
        self.session_id = session_id
        self.question_id, self.reply_id = time_ordered_ids(2)
        self.attempt = uuid4()
        self.open_was_tried = False
        self.began = time.monotonic()
        self.first_token_ms: int | None = None
        self.spending = Spending()  # of all calls made for it, also of those that failed
        self.outcome: Answer | CodedError | None = None
        self.has_book = False
        self.excerpts: Excerpts | None = None  # of the book, that the answer is to rest on
        self.citing: Citing | None = None
        self._sources: Sequence[Source] = ()  # of a text that is not the model's
        self.saved_at = self.began  # when its reply was last written to
        self.span: telemetry.Span = telemetry.NO_SPAN  # of the turn as a whole
        self.unsaved = False  # whether there is text since then
        self.deltas: list[str] = []  # of its text so far
        self.restarts = 0  # how often they were discarded
        self._changed = asyncio.Event()
        self._asking: asyncio.Task[completions.Completion] | None = None
        self._streaming = False
        self._is_stopped = False

    @property
    def elapsed_ms(self) -> int:
        """What its reader has waited so far: the search of the book is a part of it."""
        return round((time.monotonic() - self.began) * 1000)

    # Written by the model -------------------------------------------------------------------
    async def ask(
        self, prompt: completions.Prompt, streaming: bool
    ) -> completions.Completion | None:
        """The model's answer; None when it was stopped. Raises what `complete` raises."""
        if self._is_stopped:  # while its excerpts were searched
            return None
        if self.excerpts:
            self.citing = Citing(self.excerpts, self.question.text)
        self._streaming = streaming
        on_delta = self._add_written if streaming else None
        asking = completions.complete(
            prompt, on_delta, spending=self.spending, on_discard=self.discard_text
        )
        self._asking = asyncio.create_task(asking)
        await asyncio.wait({self._asking})
        return None if self._asking.cancelled() else self._asking.result()

    def _add_written(self, written: str) -> None:
        """What the model writes, as its reader gets it."""
        self._add(self.citing.feed(written) if self.citing else written)

    def finish_text(self, written: str = "") -> None:
        """The model is at the end of what it has streamed, or has `written` this at once."""
        if self.citing:
            self._add(self.citing.feed(written))
            self._add(self.citing.finish(self.question.language))

    def write(self, text: str, sources: Sequence[Source]) -> None:
        """A text that is not this turn's model's."""
        self._sources = sources
        self._add(text)

    def _add(self, delta: str) -> None:
        if not delta:
            return
        if self.first_token_ms is None and self._streaming:
            self.first_token_ms = self.elapsed_ms
        self.deltas.append(delta)
        self.unsaved = True
        self._changed.set()

    def discard_text(self) -> None:
        """What came so far were thoughts of the model: they are not stored, though already sent."""
        if self.citing:
            self.citing.restart()
        self.deltas.clear()
        self.restarts += 1
        self.unsaved = True

    def stop(self) -> None:
        """Cancel the call to the model, now or as soon as it begins; the text so far is kept."""
        self._is_stopped = True
        if self._asking:
            self._asking.cancel()

    def end(self, outcome: Answer | CodedError) -> None:
        self.outcome = outcome
        self._changed.set()

    # Followed by a reader -------------------------------------------------------------------
    @property
    def sources(self) -> Sequence[Source]:
        """What the text cites so far, by number."""
        return self._sources or (self.citing.sources if self.citing else ())

    @property
    def text(self) -> str:
        """All of the text so far."""
        return "".join(self.deltas)

    async def wait_for_change(self, seconds: float | None = None) -> bool:
        """Wait until there is more text or the turn ends, `seconds` at most; whether it did."""
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
            await self.wait_for_change()
        if isinstance(self.outcome, CodedError):
            raise self.outcome
        return self.outcome


running: dict[UUID, Turn] = {}  # the turns of this process, by their attempts


def stop_running(session_id: UUID) -> None:
    """Stop the session's turns in this process at once, without waiting for the heartbeat."""
    for turn in running.values():
        if turn.session_id == session_id:
            turn.stop()
