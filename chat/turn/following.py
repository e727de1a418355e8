"""Answers on their way, as their readers follow them: a turn of this process, or a stored reply,
which another worker may be writing.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from chat.citations.evidence import Evidence, Source
from chat.database import in_thread
from chat.errors import ChatError, DatabaseUnavailable
from chat.models import Message
from chat.turn import heartbeat, limits
from chat.turn.turn import Answer, Turn, running
from llm.errors import CodedError

# One that has just ended is given too: it may have been pending when its reader last looked.
RECENT_SECONDS = 5
# The worker that writes a reply saves it about once a second.
POLL_SECONDS = 0.5


class Followed(Protocol):
    """An answer on its way. `outcome` is set at its end."""

    @property
    def session_id(self) -> UUID: ...
    @property
    def reply_id(self) -> UUID: ...
    @property
    def sources(self) -> Sequence[Source]: ...
    @property
    def outcome(self) -> Answer | CodedError | None: ...
    def unread_text(self) -> str:
        """The text that came since this was last called."""
        ...

    async def wait_for_change(self, seconds: float) -> bool:
        """Wait until there is more text or the end, `seconds` at most; whether there is."""
        ...


class FollowedTurn:
    """A turn of this process; each of its followers reads it from the beginning."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._read = 0
        self._restarts = turn.restarts

    @property
    def session_id(self) -> UUID:
        return self._turn.session_id

    @property
    def reply_id(self) -> UUID:
        return self._turn.reply_id

    @property
    def sources(self) -> Sequence[Source]:
        return self._turn.sources

    @property
    def outcome(self) -> Answer | CodedError | None:
        return self._turn.outcome

    def unread_text(self) -> str:
        turn = self._turn
        if self._restarts != turn.restarts:
            self._restarts, self._read = turn.restarts, 0
        deltas = turn.deltas
        if not deltas and isinstance(turn.outcome, Answer):  # asked without a stream
            deltas = [turn.outcome.text]
        text = "".join(deltas[self._read :])
        self._read = len(deltas)
        return text

    async def wait_for_change(self, seconds: float) -> bool:
        return await self._turn.wait_for_change(seconds)


class FollowedReply:
    """A stored reply, looked at again and again while it is pending."""

    def __init__(self, reply: Message) -> None:
        self.session_id, self.reply_id = reply.session_id, reply.id
        self.sources: Sequence[Source] = ()
        self.outcome: Answer | CodedError | None = None
        self._text, self._read = "", 0
        self._take(reply)

    def _take(self, reply: Message) -> None:
        if not reply.content.startswith(self._text[: self._read]):
            self._read = 0  # those were thoughts of the model
        self._text, self.sources = reply.content, reply.sources
        self.outcome = outcome_of(reply)

    def unread_text(self) -> str:
        text = self._text[self._read :]
        self._read = len(self._text)
        return text

    async def wait_for_change(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.outcome is None and loop.time() < end:
            await asyncio.sleep(POLL_SECONDS)
            await self._look_again()
            if len(self._text) > self._read:
                return True
        return self.outcome is not None

    async def _look_again(self) -> None:
        rows = Message.objects.filter(session_id=self.session_id, id=self.reply_id)
        try:
            reply = await in_thread(rows.first)
        except DatabaseUnavailable as error:
            self.outcome = error
            return
        if reply is None:  # deleted, which stops it
            self.outcome = Answer(
                self._text, self.session_id, self.reply_id, timezone.now(), "", stopped=True
            )
            return
        self._take(reply)
        if self.outcome is None:
            heartbeat.scan_for_orphans()  # its worker may have been killed


async def follow(session_id: UUID, client: str | None) -> Followed | None:
    """The session's pending answer, or the one that ended a moment ago; None where there is none.

    Raises RateLimited or DatabaseUnavailable.
    """
    reply = await limits.run_counted(client, "read", lambda: _latest(session_id))
    if reply is None:
        return None
    for turn in running.values():
        if (turn.session_id, turn.reply_id) == (reply.session_id, reply.id):
            return FollowedTurn(turn)
    return FollowedReply(reply)


def _latest(session_id: UUID) -> Message | None:
    recent = Q(finished_at__gt=Now() - timedelta(seconds=RECENT_SECONDS))
    replies = Message.objects.replies().filter(session_id=session_id, replaced=False)
    found = replies.filter(recent | Q(status=Message.Status.PENDING))
    return found.order_by(F("finished_at").desc(nulls_first=True), "-id").first()


def outcome_of(reply: Message) -> Answer | CodedError | None:
    """How a stored reply has ended; None while it is pending."""
    if reply.status == Message.Status.PENDING:
        return None
    if reply.status == Message.Status.FAILED:
        error = ChatError()
        error.code = reply.error_code
        return error
    return stored_answer(reply)


def stored_answer(reply: Message) -> Answer:
    """Of a reply that is complete or stopped."""
    return Answer(
        text=reply.content,
        session_id=reply.session_id,
        message_id=reply.id,
        at=reply.finished_at or reply.created_at,
        finish_reason=reply.finish_reason,
        stopped=reply.status == Message.Status.STOPPED,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        evidence=Evidence(grounding=reply.grounding, sources=reply.sources, nearest=reply.nearest),
    )
