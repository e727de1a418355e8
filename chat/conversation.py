"""One turn, from question to stored answer: open, ask, close.

Open and close are one short piece of database work each; in between, while the model works, no
connection and no transaction is held. The turn runs in a task of its own: a reader who goes away
does not end it.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from loguru import logger

from chat import limits, llm, prompts
from chat.database import in_database
from chat.errors import ChatError, InternalError, NotFound
from chat.models import ChatSession, Message, time_ordered_id


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader asks. Without a session id a new session begins."""

    text: str
    session_id: UUID | None = None
    selected_text: str | None = None
    page_url: str | None = None
    client: str | None = None  # whose rate this counts for; None: nobody's


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    session_id: UUID
    message_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """A question on its way. The ids are made here, so that database work can be repeated."""

    question: Question
    session_id: UUID
    question_id: UUID = field(default_factory=time_ordered_id)
    reply_id: UUID = field(default_factory=time_ordered_id)


_running: set[asyncio.Task[Answer]] = set()


async def answer(question: Question) -> Answer:
    """Ask the model and return its stored answer.

    Raises what `llm.complete` raises, DatabaseUnavailable, and RateLimited or BudgetExhausted
    before anything is stored. A failed turn keeps the question, and its reply says why. Cancelling
    this call does not cancel the turn.
    """
    task = asyncio.create_task(_take(Turn(question, question.session_id or uuid4())))
    _running.add(task)
    task.add_done_callback(_taken)
    return await asyncio.shield(task)


def _taken(task: asyncio.Task[Answer]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that asyncio does not report a reader who went away


async def finish_running() -> None:
    """Wait for the turns whose readers are gone; the server ends after it."""
    while _running:
        await asyncio.wait(_running)


async def _take(turn: Turn) -> Answer:
    question = turn.question
    logger.debug("Question: {}", question.text)
    exchanges = await in_database(lambda: _open(turn))
    try:
        completion = await llm.complete(_prompt(question, exchanges))
    except ChatError as error:
        code = error.code
        await in_database(lambda: _fail(turn, code))
        raise
    except Exception as error:
        await in_database(lambda: _fail(turn, InternalError.code))
        raise InternalError from error
    logger.debug("Answer: {}", completion.text)
    finished_at = timezone.now()
    await in_database(lambda: _complete(turn, completion, finished_at))
    return Answer(completion.text, turn.session_id, turn.reply_id, finished_at)


def _prompt(question: Question, exchanges: Iterable[tuple[str, str]]) -> prompts.Prompt:
    if question.selected_text:
        return prompts.passage_prompt(settings.BOOK_TITLE, question.selected_text, question.text)
    return prompts.conversation_prompt(settings.BOOK_TITLE, exchanges, question.text)


# Database work ------------------------------------------------------------------------------
def _open(turn: Turn) -> list[tuple[str, str]]:
    """Store the question and its pending reply; return the exchanges the model gets to see."""
    limits.admit(turn.question.client)
    question, now = turn.question, timezone.now()
    asked = Message(
        id=turn.question_id,
        session_id=turn.session_id,
        role=Message.Role.USER,
        content=question.text,
        created_at=now,
        selected_text=question.selected_text or "",
        page_url=question.page_url or "",
    )
    pending = Message(
        id=turn.reply_id,
        session_id=turn.session_id,
        role=Message.Role.ASSISTANT,
        status=Message.Status.PENDING,
        created_at=now,
        reply_to_id=turn.question_id,
    )
    with transaction.atomic():
        ChatSession.objects.touch(turn.session_id)
        Message.objects.store([asked, pending])
        return _exchanges(turn)


def _exchanges(turn: Turn) -> list[tuple[str, str]]:
    if turn.question.selected_text or turn.question.session_id is None:
        return []
    messages = Message.objects.filter(session_id=turn.session_id)
    pairs = messages.exchanges_before(turn.question_id, settings.CHAT_HISTORY_MESSAGES // 2)
    return [(question.content, reply.content) for question, reply in pairs]


def _complete(turn: Turn, completion: llm.Completion, finished_at: datetime) -> None:
    _close(
        turn,
        finished_at,
        status=Message.Status.COMPLETE,
        content=completion.text,
        model=completion.model,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        latency_ms=completion.latency_ms,
    )
    limits.spend(completion.tokens, finished_at)


def _fail(turn: Turn, code: str) -> None:
    _close(turn, timezone.now(), status=Message.Status.FAILED, error_code=code)


def _close(turn: Turn, finished_at: datetime, **columns: object) -> None:
    """Write the reply's end. A session deleted meanwhile stays deleted."""
    with transaction.atomic():
        Message.objects.filter(id=turn.reply_id).update(finished_at=finished_at, **columns)
        ChatSession.objects.filter(id=turn.session_id).update(updated_at=finished_at)


# Reading back and deleting ------------------------------------------------------------------
async def history(
    session_id: UUID, limit: int, before: UUID | None
) -> tuple[ChatSession, list[Message], bool]:
    """A session, one page of its messages (oldest first), and whether older ones exist.

    Raises NotFound.
    """

    def read() -> tuple[ChatSession, list[Message], bool]:
        session = ChatSession.objects.filter(id=session_id).first()
        if session is None:
            raise NotFound
        messages, has_more = Message.objects.filter(session=session).page(limit, before)
        return session, messages, has_more

    return await in_database(read)


async def delete(session_id: UUID) -> None:
    """Delete a session with its messages. Raises NotFound."""

    def remove() -> None:
        _, deleted = ChatSession.objects.filter(id=session_id).delete()
        if not deleted.get("chat.ChatSession"):
            raise NotFound

    await in_database(remove)
