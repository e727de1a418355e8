"""Close: store how the turn ended and count its tokens, then give its followers the outcome.

One statement, written by hand, that may be run twice. What a turn writes to its reply counts only
while the reply is still its own (`attempt`), so that a late writer spoils nothing.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone
from loguru import logger

from book.search import written_array
from chat.citations.evidence import NOTHING, Evidence, of_answer, of_passage
from chat.citations.excerpts import Excerpts
from chat.citations.instead import excerpts_as_answer
from chat.database import Statement, retry, run_statement
from chat.errors import DatabaseUnavailable
from chat.models import Message
from chat.turn import measures
from chat.turn.turn import Answer, Turn
from chat.webhooks import delivery, events
from llm import completions, telemetry
from llm.errors import CodedError

# Characters of an answer and a passage: what longer ones rest on is found in a thread, since the
# event loop would stand still meanwhile.
LONG = 6000
# With PostgreSQL away, a reader gets the answer after so long; storing it is still retried.
READER_WAITS_SECONDS = 5

# A reply that may still be written. It may have been marked as orphaned wrongly: if its attempt
# comes to write it, it was not.
WRITABLE = """
    (reply.status = 'pending' OR reply.status = 'failed' AND reply.error_code = 'interrupted')
"""
# The session first, as a deletion locks it and then its messages. A reply whose session was deleted
# is not written.
CLOSE = f"""
WITH session AS (
    UPDATE chat_session SET updated_at = %(at)s WHERE id = %(session)s RETURNING id
),
written AS (
    UPDATE chat_message AS reply SET
        status = %(status)s, content = %(content)s, error_code = %(error_code)s,
        model = %(model)s, finish_reason = %(finish_reason)s,
        prompt_tokens = %(prompt_tokens)s, completion_tokens = %(completion_tokens)s,
        latency_ms = %(latency_ms)s, first_token_ms = %(first_token_ms)s, finished_at = %(at)s,
        edition = %(edition)s, grounding = %(grounding)s, support = %(support)s,
        sources = %(sources)s::jsonb, nearest = %(nearest)s::jsonb, found = %(found)s::bigint[],
        misquotes = %(misquotes)s
    FROM session
    WHERE reply.session_id = %(session)s AND reply.id = %(reply)s
        AND reply.attempt = %(attempt)s AND {WRITABLE}
    RETURNING reply.id
)
"""  # noqa: S608
# Tokens count even if the reply was deleted or taken over meanwhile; but not twice, if an earlier
# run of this statement has counted them.
COUNT_TOKENS = """
INSERT INTO chat_daily_tokens AS used (day, tokens) SELECT %(day)s, %(tokens)s
WHERE EXISTS (SELECT FROM written) OR NOT EXISTS (
    SELECT FROM chat_message
    WHERE session_id = %(session)s AND id = %(reply)s AND attempt = %(attempt)s
)
ON CONFLICT (day) DO UPDATE SET tokens = used.tokens + excluded.tokens
"""
COUNT_NOTHING = "SELECT FROM written"


@dataclass(frozen=True, slots=True)
class End:
    """The columns of a reply that has ended."""

    status: Message.Status
    content: str
    error_code: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int | None = None
    evidence: Evidence = NOTHING

    def values(self) -> dict[str, Any]:
        """By column."""
        evidence = self.evidence
        values = {name: getattr(self, name) for name in End.__slots__}
        values |= {name: getattr(evidence, name) for name in Evidence.__slots__}
        return values | {
            "sources": json.dumps(evidence.sources),
            "nearest": json.dumps(evidence.nearest),
            "found": written_array(evidence.found),
        }


def closing(turn: Turn, at: datetime, tokens: int, end: End) -> Statement:
    """Writes the reply's end, and counts its tokens where a budget is kept. May be run twice."""
    budget = settings.CHAT_DAILY_TOKEN_BUDGET
    count = COUNT_TOKENS if budget else COUNT_NOTHING
    if settings.WEBHOOK_URL:
        count = with_events(count, is_silent(end), bool(budget))
    values = end.values() | {
        "session": turn.session_id,
        "reply": turn.reply_id,
        "attempt": turn.attempt,
        "first_token_ms": turn.first_token_ms,
        "at": at,
        "day": at.astimezone(UTC).date(),
        "tokens": tokens,
        "budget": budget,
    }
    return Statement(CLOSE + count, values)


def is_silent(end: End) -> bool:
    return end.evidence.grounding == Message.Grounding.SILENT


def with_events(count: str, silent: bool, has_budget: bool) -> str:
    """The statement's last part, which also writes the webhook's events; returns their kinds."""
    rows = [events.SILENT] * silent + [events.BUDGET] * has_budget
    if not rows:
        return count
    counted = f", counted AS ({count} RETURNING day, tokens)" if has_budget else ""
    return f"{counted} {events.INSERT} {' UNION ALL '.join(rows)} {events.RETURNING}"


async def _store(statement: Statement) -> None:
    rows = await run_statement(statement)
    if settings.WEBHOOK_URL and any(rows):
        delivery.start()


# The ends of a turn -------------------------------------------------------------------------
async def complete(turn: Turn, completion: completions.Completion) -> None:
    text = turn.text if turn.citing else completion.text
    evidence = await _evidence(turn, text)
    answer = Answer(
        text=text,
        session_id=turn.session_id,
        message_id=turn.reply_id,
        at=timezone.now(),
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        evidence=evidence,
    )
    end = End(
        Message.Status.COMPLETE,
        text,
        model=completion.model,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        latency_ms=turn.elapsed_ms,
        evidence=evidence,
    )
    await _close(turn, answer, answer.at, end)


async def with_excerpts(turn: Turn, excerpts: Excerpts, error: CodedError) -> None:
    """No model answered, because of the error: excerpts of the book are the answer."""
    question, at, reason = turn.question, timezone.now(), "other"
    text, evidence = excerpts_as_answer(excerpts, question.text, question.language)
    answer = Answer(text, turn.session_id, turn.reply_id, at, reason, evidence=evidence)
    turn.write(text, evidence.sources)
    end = _without_answer(turn, Message.Status.COMPLETE, text, evidence=evidence)
    await _close(turn, answer, at, replace(end, finish_reason=reason), error.code)


async def stopped(turn: Turn) -> None:
    text, at = turn.text, timezone.now()
    evidence = await _evidence(turn, text)
    answer = Answer(text, turn.session_id, turn.reply_id, at, "", stopped=True, evidence=evidence)
    await _close(
        turn, answer, at, _without_answer(turn, Message.Status.STOPPED, text, "", evidence)
    )


async def failed(turn: Turn, error: CodedError) -> None:
    text = turn.text
    evidence = await _evidence(turn, text)
    end = _without_answer(turn, Message.Status.FAILED, text, error.code, evidence)
    await _close(turn, error, timezone.now(), end)


async def _evidence(turn: Turn, text: str) -> Evidence:
    """What the text rests on, such as it is."""
    passage, question = turn.question.selected_text, turn.question.text
    if turn.citing:
        find = partial(of_answer, text, turn.citing.cited, question)
    elif passage and turn.has_book:
        find = partial(of_passage, text, passage, question)
    else:
        return NOTHING
    try:
        if len(text) + len(passage or "") <= LONG:
            return find()
        return await asyncio.to_thread(find)
    except Exception as error:  # noqa: BLE001 - the answer is worth more than what it rests on
        logger.opt(exception=error).error("What an answer rests on was not found")
        grounding = "book" if turn.sources else "passage" if passage else ""
        return replace(NOTHING, grounding=grounding, sources=turn.sources)


def _without_answer(
    turn: Turn,
    status: Message.Status,
    text: str,
    error_code: str = "",
    evidence: Evidence = NOTHING,
) -> End:
    """An end without a whole answer; what services report of its tokens is kept all the same."""
    return End(
        status,
        text,
        error_code,
        prompt_tokens=turn.spending.prompt_tokens,
        completion_tokens=turn.spending.completion_tokens,
        evidence=evidence,
    )


async def _close(
    turn: Turn, outcome: Answer | CodedError, at: datetime, end: End, error_code: str = ""
) -> None:
    """Store the end, then give the outcome; but do not make a reader wait for long.

    `error_code` is what is measured where the end itself has none.
    """
    tokens = turn.spending.tokens
    with telemetry.span("close"):
        storing = asyncio.create_task(
            retry(lambda: _store(closing(turn, at, tokens, end)), "Storing an answer")
        )
        is_away = isinstance(outcome, DatabaseUnavailable)
        await asyncio.wait({storing}, timeout=0 if is_away else READER_WAITS_SECONDS)
        turn.end(outcome)
        measures.ended(turn, end.status.value, end.error_code or error_code, end.evidence)
        await storing
