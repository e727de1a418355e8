"""One turn, from question to stored answer: open, ask, close. What every door calls.

Open and close are one short piece of database work each; in between, while the model works, no
connection and no transaction is held. The turn runs in a task of its own: a client that disconnects
does not end it. Plain requests, streams and the terminal share this path.
"""

import asyncio
from uuid import UUID

from django.conf import settings
from loguru import logger

from chat import database, prompts
from chat.errors import (
    AnswerInProgress,
    AnswerStopped,
    DatabaseUnavailable,
    InternalError,
    NotFound,
)
from chat.models import ChatSession, Message
from chat.turn import close, heartbeat, idempotency, limits
from chat.turn.history import Exchanges
from chat.turn.open import finish_undoing, open_turn
from chat.turn.turn import Answer, Question, Turn, running, stop_running
from llm import completions
from llm.errors import CodedError

_tasks: set[asyncio.Task[None]] = set()


async def begin(question: Question, *, streaming: bool) -> Turn:
    """Open a turn; the model is being asked when this returns.

    With `streaming` its deltas can be followed as they come. Raises DatabaseUnavailable,
    RateLimited or BudgetExhausted, AnswerInProgress or IdempotencyKeyReused; nothing is stored
    then. A key that was answered before gives that answer, at once.
    """
    turn = Turn(question, idempotency.session_for(question))
    opened = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_run(turn, opened, streaming))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    await asyncio.shield(opened)
    return turn


async def answer(question: Question) -> Answer:
    """Ask, and wait for the stored answer.

    Raises what `begin` and `completions.complete` raise, and AnswerStopped. A failed turn keeps the
    question, and its reply says why. Cancelling this call does not cancel the turn.
    """
    turn = await begin(question, streaming=False)
    found = await turn.answer()
    if found.stopped and not found.text:
        raise AnswerStopped
    return found


async def stop(session_id: UUID, client: str | None) -> bool:
    """Stop the session's pending answers, whichever worker writes them; whether there were any.

    The text so far is kept. Raises NotFound or RateLimited.
    """
    is_pending = await limits.run_counted(client, "stop", lambda: _request_stop(session_id))
    stop_running(session_id)
    if is_pending:
        heartbeat.scan_for_orphans()  # its worker may have been killed, and would never stop it
    return is_pending


def _request_stop(session_id: UUID) -> bool:
    if Message.objects.pending().filter(session_id=session_id).update(stop_requested=True):
        return True
    if not ChatSession.objects.filter(id=session_id).exists():
        raise NotFound
    return False


async def finish() -> None:
    """Wait for the turns that are still running, and close what they used; a server's last act."""
    while _tasks:
        await asyncio.wait(_tasks)
    await finish_undoing()
    await database.close_connections()
    await completions.close_clients()


# The turn -----------------------------------------------------------------------------------
async def _run(turn: Turn, opened: "asyncio.Future[None]", streaming: bool) -> None:
    logger.debug("Question: {}", turn.question.text)
    try:
        exchanges = await _open(turn)
    except Exception as error:  # noqa: BLE001 - handed to the caller of `begin`
        # Retrieved here, so that asyncio does not report a client that disconnected meanwhile.
        opened.add_done_callback(asyncio.Future.exception)
        opened.set_exception(error)
        return
    opened.set_result(None)
    if turn.outcome is not None:
        return
    try:
        await _ask(turn, exchanges, streaming)
    except Exception as error:  # noqa: BLE001 - logged by `_unforeseen`; its reader must not wait
        turn.end(_unforeseen(error))
    finally:
        del running[turn.attempt]


async def _open(turn: Turn) -> Exchanges:
    try:
        opened = await open_turn(turn)
    except (AnswerInProgress, DatabaseUnavailable):
        # Does a worker still write it? And was nothing stored, in the last moment?
        heartbeat.scan_for_orphans()
        raise
    turn.session_id, turn.reply_id = opened.session_id, opened.reply_id
    if opened.finished is None:
        running[turn.attempt] = turn
        heartbeat.start()
    else:
        if opened.finished.content:
            turn.add_delta(opened.finished.content)
        turn.end(_stored_answer(opened.finished))
    return opened.exchanges


def _stored_answer(reply: Message) -> Answer:
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
    except CodedError as error:
        await close.failed(turn, error)
    except Exception as error:  # noqa: BLE001 - logged by `_unforeseen`
        await close.failed(turn, _unforeseen(error))
    else:
        logger.debug("Answer: {}", completion.text if completion else turn.text)
        if completion:
            await close.complete(turn, completion)
        else:
            await close.stopped(turn)


def _unforeseen(error: Exception) -> InternalError:
    logger.opt(exception=error).error("The turn failed")
    return InternalError(type(error).__name__)
