"""One turn, from question to stored answer: open, retrieve, ask, close. What every door calls.

Open, retrieve and close are one short piece of database work each; in between, while the model
works, no connection and no transaction is held. The turn runs in a task of its own: a client that
disconnects does not end it. Plain requests, streams and the terminal share this path.
"""

import asyncio
from uuid import UUID

from django.conf import settings
from loguru import logger

from chat import database, prompts
from chat.errors import (
    AnswerInProgress,
    AnswerStopped,
    BudgetExhausted,
    DatabaseUnavailable,
    InternalError,
    NotFound,
)
from chat.models import ChatSession, Message
from chat.turn import close, heartbeat, idempotency, limits, measures
from chat.turn.following import stored_answer
from chat.turn.open import Opened, finish_undoing, open_turn
from chat.turn.retrieve import Retrieval
from chat.turn.turn import Answer, Question, Turn, running, stop_running
from chat.webhooks import delivery
from llm import telemetry
from llm.completions import Completion, close_clients
from llm.errors import CodedError, ContextTooLong, ModelError, ModelUnavailable

# For a model whose context has no room for all that were found.
FEW_SECTIONS = 3

_tasks: set[asyncio.Task[None]] = set()


async def begin(question: Question, *, streaming: bool, stop_if_cancelled: bool = False) -> Turn:
    """Open a turn; the model is being asked when this returns.

    With `streaming` its deltas can be followed as they come. With `stop_if_cancelled` the turn is
    stopped where this call is cancelled; otherwise it goes on. Raises DatabaseUnavailable,
    RateLimited, BudgetExhausted, AnswerInProgress, IdempotencyKeyReused or NothingToReplace;
    nothing is stored then. A key that was answered before gives that answer, at once.
    """
    turn = Turn(question, idempotency.session_for(question))
    opened = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(_run(turn, opened, streaming))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    try:
        await asyncio.shield(opened)
    except asyncio.CancelledError:
        if stop_if_cancelled:
            turn.stop()
        raise
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
    await delivery.stop()
    await finish_undoing()
    await database.close_connections()
    await close_clients()


# The turn -----------------------------------------------------------------------------------
async def _run(turn: Turn, opened: "asyncio.Future[None]", streaming: bool) -> None:
    with telemetry.span("turn") as turn.span:
        await _take(turn, opened, streaming)


async def _take(turn: Turn, opened: "asyncio.Future[None]", streaming: bool) -> None:
    logger.debug("Question: {}", turn.question.text)
    retrieval = Retrieval(turn.question)
    try:
        found = await _open(turn)
    except Exception as error:  # noqa: BLE001 - handed to the caller of `begin`
        # Retrieved here, so that asyncio does not report a client that disconnected meanwhile.
        opened.add_done_callback(asyncio.Future.exception)
        opened.set_exception(error)
        measures.refused(turn, error)
        await retrieval.drop()
        return
    opened.set_result(None)
    if turn.outcome is not None:
        await retrieval.drop()
        return
    try:
        await _answer(turn, found, retrieval, streaming)
    except Exception as error:  # noqa: BLE001 - logged by `_unforeseen`; its reader must not wait
        failure = _unforeseen(error)
        turn.end(failure)
        measures.ended(turn, "failed", failure.code)
    finally:
        del running[turn.attempt]


async def _open(turn: Turn) -> Opened:
    try:
        with telemetry.span("open"):
            opened = await open_turn(turn)
    except (AnswerInProgress, DatabaseUnavailable):
        # Does a worker still write it? And was nothing stored, in the last moment?
        heartbeat.scan_for_orphans()
        raise
    turn.session_id, turn.reply_id = opened.session_id, opened.reply_id
    turn.has_book = opened.edition is not None
    if opened.finished is None:
        running[turn.attempt] = turn
        heartbeat.start()
    else:
        answer = stored_answer(opened.finished)
        turn.write(answer.text, answer.evidence.sources)
        turn.end(answer)
        measures.ended(turn, "replayed", evidence=answer.evidence)
    return opened


async def _answer(turn: Turn, opened: Opened, retrieval: Retrieval, streaming: bool) -> None:
    """Retrieve, ask, close."""
    try:
        completion = await _ask(turn, opened, retrieval, streaming)
    except (ModelError, BudgetExhausted) as error:
        await _close_without_model(turn, error, opened, retrieval)
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


async def _ask(
    turn: Turn, opened: Opened, retrieval: Retrieval, streaming: bool
) -> Completion | None:
    """None where it was stopped."""
    if not turn.question.selected_text:
        turn.excerpts = await retrieval.excerpts(opened)
    if not opened.in_budget:
        raise limits.budget_exhausted()
    with telemetry.span("ask"):
        completion = await _ask_model(turn, opened, streaming)
    turn.finish_text("" if streaming or not completion else completion.text)
    if completion and turn.citing and not turn.text.strip():
        raise ModelUnavailable("the answer is nothing but marks")
    return completion


async def _ask_model(turn: Turn, opened: Opened, streaming: bool) -> Completion | None:
    """With fewer excerpts where the model's context has no room for all of them."""
    try:
        return await turn.ask(_prompt(turn, opened), streaming)
    except ContextTooLong:
        if not turn.excerpts or len(turn.excerpts.sections) <= FEW_SECTIONS:
            raise
        turn.excerpts = turn.excerpts.first(FEW_SECTIONS)
    return await turn.ask(_prompt(turn, opened), streaming)


def _prompt(turn: Turn, opened: Opened) -> prompts.Prompt:
    question = turn.question
    return prompts.prompt_for(
        settings.BOOK_TITLE,
        question.text,
        question.selected_text,
        opened.exchanges,
        excerpts=turn.excerpts,
    )


async def _close_without_model(
    turn: Turn, error: CodedError, opened: Opened, retrieval: Retrieval
) -> None:
    """With excerpts of the book where that is wanted and there are some, or else as failed."""
    excerpts = None
    may_stand_in = settings.CHAT_EXCERPTS_INSTEAD_OF_ERRORS and not turn.text
    if may_stand_in and not isinstance(error, ContextTooLong):
        try:
            excerpts = turn.excerpts or await retrieval.excerpts(opened)
        except DatabaseUnavailable as failure:
            logger.warning("No excerpts could be read: {}", failure)
    if excerpts and excerpts.sections:
        await close.with_excerpts(turn, excerpts, error)
    else:
        await close.failed(turn, error)


def _unforeseen(error: Exception) -> InternalError:
    logger.opt(exception=error).error("The turn failed")
    return InternalError(type(error).__name__)
