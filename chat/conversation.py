"""One turn, from question to stored answer: open, ask, close.

Open and close are one short piece of database work each (`chat.storage`); in between, while the
model works, no connection and no transaction is held. The turn runs in a task of its own: a
reader who goes away does not end it. Plain requests, streams and the terminal share this path.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import psycopg
from django.conf import settings
from django.utils import timezone
from loguru import logger

from chat import connections, heartbeat, llm, prompts, statements, storage
from chat.database import in_database
from chat.errors import (
    AnswerInProgress,
    AnswerStopped,
    ChatError,
    DatabaseUnavailable,
    InternalError,
    NotFound,
)
from chat.models import ChatSession, Message
from chat.statements import End, Exchanges
from chat.turns import Answer, Question, Turn, running

# With PostgreSQL away at the end of a turn, its reader is told the answer after so long …
READER_WAITS_SECONDS = 5
# … and storing it is tried for so long, with pauses that grow up to the last one.
STORE_FOR_SECONDS = 60
STORE_PAUSES_SECONDS = (0.1, 0.3, 1, 2, 5)

_tasks: set[asyncio.Task[None]] = set()


async def begin(question: Question, *, streaming: bool) -> Turn:
    """Open a turn; the model is being asked when this returns.

    With `streaming` its words can be followed as they come. Raises DatabaseUnavailable,
    RateLimited or BudgetExhausted, AnswerInProgress or IdempotencyKeyReused; nothing is stored
    then. A key that was answered before gives that answer, at once.
    """
    turn, opened = Turn(question), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_take(turn, opened, streaming))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    await asyncio.shield(opened)
    return turn


async def answer(question: Question) -> Answer:
    """Ask, and wait for the stored answer.

    Raises what `begin` and `llm.complete` raise, and AnswerStopped. A failed turn keeps the
    question, and its reply says why. Cancelling this call does not cancel the turn.
    """
    turn = await begin(question, streaming=False)
    found = await turn.answer()
    if found.stopped and not found.text:
        raise AnswerStopped
    return found


async def finish() -> None:
    """Wait for the turns whose readers are gone, and close what they used; a server's last act."""
    while _tasks:
        await asyncio.wait(_tasks)
    await connections.close()
    await llm.close_clients()


# The turn -----------------------------------------------------------------------------------
async def _take(turn: Turn, opened: "asyncio.Future[None]", streaming: bool) -> None:
    logger.debug("Question: {}", turn.question.text)
    try:
        exchanges = await _open(turn)
    except Exception as error:  # noqa: BLE001 - handed to whoever waits
        # Looked at here, so that asyncio does not report a reader who went away meanwhile.
        opened.add_done_callback(asyncio.Future.exception)
        opened.set_exception(error)
        return
    opened.set_result(None)
    if turn.outcome is not None:
        return
    try:
        await _ask(turn, exchanges, streaming)
    except Exception as error:  # noqa: BLE001 - logged by `_failed`; its reader must not wait
        turn.end(_failed(error))
    finally:
        del running[turn.attempt]


async def _open(turn: Turn) -> Exchanges:
    try:
        opened = await _opened(turn)
    except (AnswerInProgress, DatabaseUnavailable):
        # Is there somebody who writes it? And was nothing stored, in the last moment?
        heartbeat.watch()
        raise
    turn.session_id, turn.reply_id = opened.session_id, opened.reply_id
    if opened.answered is None:
        running[turn.attempt] = turn
        heartbeat.beat()
    else:
        if opened.answered.content:
            turn.say(opened.answered.content)
        turn.end(_answer(opened.answered))
    return opened.exchanges


async def _opened(turn: Turn) -> storage.Opened:
    """By one statement where nothing is in its way, or else by a closer look."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.DATABASE_TIMEOUT_SECONDS
    try:
        rows = await connections.run(
            statements.opening(turn, timezone.now()), too_late=lambda: _take_back(turn)
        )
    except connections.LOST:
        turn.was_tried = True
    except psycopg.IntegrityError:  # a twin, at this very moment
        pass
    else:
        if rows:
            return storage.Opened(turn.session_id, turn.reply_id, statements.exchanges(rows))
    left = max(deadline - loop.time(), 0.1)
    return await in_database(lambda: storage.open_closely(turn), left)


def _take_back(turn: Turn) -> None:
    task = asyncio.create_task(_persistently(lambda: in_database(lambda: storage.take_back(turn))))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _answer(reply: Message) -> Answer:
    """A reply that was stored earlier."""
    return Answer(
        text=reply.content,
        session_id=reply.session_id,
        message_id=reply.id,
        at=reply.finished_at or reply.created_at,
        finish_reason=reply.finish_reason,
        stopped=reply.status == Message.Status.STOPPED,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )


async def _ask(turn: Turn, exchanges: Exchanges, streaming: bool) -> None:
    question = turn.question
    prompt = prompts.prompt_for(
        settings.BOOK_TITLE, question.text, question.selected_text, exchanges
    )
    try:
        completion = await turn.ask(prompt, streaming)
    except ChatError as error:
        await _fail(turn, prompt, error)
    except Exception as error:  # noqa: BLE001 - logged by `_failed`
        await _fail(turn, prompt, _failed(error))
    else:
        logger.debug("Answer: {}", completion.text if completion else turn.text)
        await (_complete(turn, prompt, completion) if completion else _stop(turn, prompt))


def _failed(error: Exception) -> InternalError:
    logger.opt(exception=error).error("The turn failed")
    return InternalError(type(error).__name__)


async def _complete(turn: Turn, prompt: prompts.Prompt, completion: llm.Completion) -> None:
    answer = Answer(
        text=completion.text,
        session_id=turn.session_id,
        message_id=turn.reply_id,
        at=timezone.now(),
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )
    end = End(
        Message.Status.COMPLETE,
        completion.text,
        model=completion.model,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        latency_ms=completion.latency_ms,
    )
    tokens = completion.tokens or llm.estimated_tokens(prompt, completion.text)
    await _close(turn, answer, answer.at, tokens, end)


async def _stop(turn: Turn, prompt: prompts.Prompt) -> None:
    text, at = turn.text, timezone.now()
    stopped = Answer(text, turn.session_id, turn.reply_id, at, "", stopped=True)
    tokens = llm.estimated_tokens(prompt, text)
    await _close(turn, stopped, at, tokens, End(Message.Status.STOPPED, text))


async def _fail(turn: Turn, prompt: prompts.Prompt, error: ChatError) -> None:
    text = turn.text
    tokens = llm.estimated_tokens(prompt, text) if text else 0
    await _close(turn, error, timezone.now(), tokens, End(Message.Status.FAILED, text, error.code))


async def _close(
    turn: Turn, outcome: Answer | ChatError, at: datetime, tokens: int, end: End
) -> None:
    """Store how the turn ended, then tell its reader; but do not make a reader wait for long."""
    storing = asyncio.create_task(
        _persistently(lambda: connections.run(statements.closing(turn, at, tokens, end)))
    )
    await asyncio.wait({storing}, timeout=READER_WAITS_SECONDS)
    turn.end(outcome)
    await storing


async def _persistently(work: Callable[[], Awaitable[object]]) -> None:
    """Do it, again and again while PostgreSQL is away; for a while."""
    loop = asyncio.get_running_loop()
    end = loop.time() + STORE_FOR_SECONDS
    pauses = itertools.chain(STORE_PAUSES_SECONDS, itertools.repeat(STORE_PAUSES_SECONDS[-1]))
    while True:
        try:
            await work()
        except (DatabaseUnavailable, *connections.LOST):
            if loop.time() > end:
                logger.error("An answer could not be stored; the database is away for too long")
                return
        except psycopg.DataError as error:  # no pause makes it fit
            logger.opt(exception=error).error("An answer could not be stored")
            return
        except Exception as error:  # noqa: BLE001 - a migration that is taken back, perhaps
            if loop.time() > end:
                logger.opt(exception=error).error("An answer could not be stored")
                return
        else:
            return
        await asyncio.sleep(next(pauses))


# Stopping, reading back, judging, deleting --------------------------------------------------
async def stop(session_id: UUID) -> bool:
    """Stop the session's pending answers, whichever worker writes them; whether there were any.

    What was said so far is kept. Raises NotFound.
    """
    pending = await in_database(lambda: storage.request_stop(session_id))
    _stop_here(session_id)
    if pending:
        heartbeat.watch()  # its worker may be no more, and then nobody stops
    return pending


def _stop_here(session_id: UUID) -> None:
    """The turns of this process need not wait for its next beat."""
    for turn in running.values():
        if turn.session_id == session_id:
            turn.stop()


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

    session, messages, has_more = await in_database(read)
    if any(message.status == Message.Status.PENDING for message in messages):
        heartbeat.watch()  # perhaps its worker is no more
    return session, messages, has_more


async def give_feedback(session_id: UUID, message_id: UUID, rating: str, comment: str) -> None:
    """Store a reader's opinion on a reply (`up`, `down` or nothing). Raises NotFound."""

    def write() -> None:
        reply = Message.objects.replies().filter(session_id=session_id, id=message_id)
        if not reply.update(feedback=rating, feedback_comment=comment):
            raise NotFound

    await in_database(write)


async def delete(session_id: UUID) -> None:
    """Delete a session with its messages; pending answers are stopped. Raises NotFound."""

    tries = itertools.count(1)

    def remove() -> None:
        is_first = next(tries) == 1  # a second try does not know what the first one did
        _, deleted = ChatSession.objects.filter(id=session_id).delete()
        if is_first and not deleted.get("chat.ChatSession"):
            raise NotFound

    _stop_here(session_id)
    await in_database(remove)
    # Other workers find at their next beat that the reply is gone.
