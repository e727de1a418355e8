"""The statements of a turn, written by hand: one opens it, one closes it, two look after many.

As queries of the ORM they are six, and four, and building them costs several times what PostgreSQL
needs to run them (docs/performance.md). They mean what the models mean, which tests hold them to.
Each names the session in all it reads and writes, so that a database may be spread over sessions.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from chat import limits
from chat.connections import Statement
from chat.models import Message
from chat.turns import Turn

# Of a reply that is still to be written. It may have been given up wrongly: who writes it is here.
UNFINISHED = """
    (reply.status = 'pending' OR reply.status = 'failed' AND reply.error_code = 'interrupted')
"""

# Each part reads what the one before returned, and so comes after it; where a part returns nothing
# (refused by the limits, or asked before), nothing after it is done. Locks are taken in this order:
# the client's window, the session.
OPEN = """
WITH admitted AS ({admitted}),
session AS (
    INSERT INTO chat_session (id, created_at, updated_at)
    SELECT %(session)s, %(now)s, %(now)s FROM admitted
    ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING id
),
question AS (
    INSERT INTO chat_message (
        session_id, id, role, content, created_at,
        selected_text, page_url, idempotency_key, fingerprint
    )
    SELECT
        id, %(question)s, 'user', %(content)s, %(now)s,
        %(selected_text)s, %(page_url)s, %(key)s, %(fingerprint)s
    FROM session
    RETURNING session_id, id
),
reply AS (
    INSERT INTO chat_message (
        session_id, id, role, content, created_at, status, reply_to_id, attempt, beat_at
    )
    SELECT
        session_id, %(reply)s, 'assistant', '', %(now)s, 'pending', id, %(attempt)s, now()
    FROM question
    RETURNING id
)
SELECT said.question, said.answer FROM reply {said}
"""
NOTHING_SAID = "LEFT JOIN (SELECT NULL AS question, NULL AS answer) AS said ON false"
SAID = """
LEFT JOIN LATERAL (
    SELECT
        earlier.id,
        (
            SELECT content FROM chat_message AS asked
            WHERE asked.session_id = %(session)s AND asked.id = earlier.reply_to_id
        ) AS question,
        CASE earlier.correction WHEN '' THEN earlier.content ELSE earlier.correction END AS answer
    FROM chat_message AS earlier
    WHERE earlier.session_id = %(session)s AND earlier.id < %(reply)s
        AND earlier.role = 'assistant' AND earlier.status IN ('complete', 'stopped')
        AND earlier.content <> ''
    ORDER BY earlier.id DESC
    LIMIT %(exchanges)s
) AS said ON true
ORDER BY said.id
"""
NOT_SEEN = """
    NOT EXISTS (
        SELECT FROM chat_message
        WHERE session_id = ANY(%(sessions)s) AND idempotency_key = %(key)s
            AND idempotency_key <> ''
    )
"""
IN_BUDGET = """
    coalesce((SELECT tokens FROM chat_daily_tokens WHERE day = %(day)s), 0) < %(budget)s
"""

type Exchanges = list[tuple[str, str]]


def opening(turn: Turn, now: datetime, is_admitted: bool = False) -> Statement:
    """Stores a question and its pending reply; its rows tell what was said before (`exchanges`).

    No rows at all, and nothing stored: the limits refuse it, or its key was seen before. A twin
    that comes at this very moment is an IntegrityError. With `is_admitted` neither the limits nor
    the key are looked at.
    """
    question = turn.question
    follows = question.session_id is not None and not question.selected_text
    values: dict[str, Any] = {
        "session": turn.session_id,
        "question": turn.question_id,
        "reply": turn.reply_id,
        "attempt": turn.attempt,
        "now": now,
        "content": question.text,
        "selected_text": question.selected_text or "",
        "page_url": question.page_url or "",
        "key": question.key,
        "fingerprint": question.fingerprint if question.key else "",
        "exchanges": settings.CHAT_HISTORY_MESSAGES // 2,
    }
    said = SAID if follows else NOTHING_SAID
    conditions = []
    if question.key and not is_admitted:
        conditions.append(NOT_SEEN)
        values["sessions"] = question.sessions_of_key()
    if settings.CHAT_DAILY_TOKEN_BUDGET and not is_admitted:
        conditions.append(IN_BUDGET)
        values |= {"day": now.astimezone(UTC).date(), "budget": settings.CHAT_DAILY_TOKEN_BUDGET}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    admitted = f"SELECT {where}"
    if settings.CHAT_RATE and question.client and not is_admitted:
        admitted = limits.COUNT.format(where=where)
        values |= limits.counted(question.client, *settings.CHAT_RATE)
    return Statement(OPEN.format(admitted=admitted, said=said), values)


def exchanges(rows: list[tuple[Any, ...]]) -> Exchanges:
    """(question, answer) pairs from the rows of `opening`, oldest first."""
    return [(question, answer) for question, answer in rows if question is not None]


# Close --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class End:
    """What a reply has become."""

    status: Message.Status
    content: str
    error_code: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int | None = None


# The session first, as a deletion locks it and then its messages. A reply whose session was deleted
# is not written.
CLOSE = """
WITH session AS (
    UPDATE chat_session SET updated_at = %(at)s WHERE id = %(session)s RETURNING id
),
written AS (
    UPDATE chat_message AS reply SET
        status = %(status)s, content = %(content)s, error_code = %(error_code)s,
        model = %(model)s, finish_reason = %(finish_reason)s,
        prompt_tokens = %(prompt_tokens)s, completion_tokens = %(completion_tokens)s,
        latency_ms = %(latency_ms)s, first_token_ms = %(first_token_ms)s, finished_at = %(at)s
    FROM session
    WHERE reply.session_id = %(session)s AND reply.id = %(reply)s
        AND reply.attempt = %(attempt)s AND {unfinished}
    RETURNING reply.id
)
{spent}
"""
# Used is used, also by an answer that was deleted or taken over meanwhile; but an earlier run of
# this work has counted it.
SPENT = """
INSERT INTO chat_daily_tokens AS used (day, tokens) SELECT %(day)s, %(tokens)s
WHERE EXISTS (SELECT FROM written) OR NOT EXISTS (
    SELECT FROM chat_message
    WHERE session_id = %(session)s AND id = %(reply)s AND attempt = %(attempt)s
)
ON CONFLICT (day) DO UPDATE SET tokens = used.tokens + excluded.tokens
"""
NOTHING_COUNTED = "SELECT FROM written"


def closing(turn: Turn, at: datetime, tokens: int, end: End) -> Statement:
    """Writes the reply's end, and counts its tokens where a budget is kept. May be run twice."""
    spent = SPENT if settings.CHAT_DAILY_TOKEN_BUDGET else NOTHING_COUNTED
    values = asdict(end) | {
        "session": turn.session_id,
        "reply": turn.reply_id,
        "attempt": turn.attempt,
        "first_token_ms": turn.first_token_ms,
        "at": at,
        "day": at.astimezone(UTC).date(),
        "tokens": tokens,
    }
    return Statement(CLOSE.format(unfinished=UNFINISHED, spent=spent), values)


# In between ---------------------------------------------------------------------------------
# Of all turns of a process at once. Their sessions are named beside their ids, since neither ids
# nor a join tell in which partitions they are. As a query of the ORM the second one has three
# placeholders for each turn: with 400 of them psycopg took 20 ms to read it, each time.
SAVE = """
UPDATE chat_message AS reply
SET content = saved.content, beat_at = now(), status = 'pending', error_code = ''
FROM unnest(%(sessions)s::uuid[], %(replies)s::uuid[], %(attempts)s::uuid[], %(texts)s::text[])
    AS saved (session_id, id, attempt, content)
WHERE reply.session_id = ANY(%(sessions)s::uuid[])
    AND reply.session_id = saved.session_id AND reply.id = saved.id
    AND reply.attempt = saved.attempt AND {unfinished}
"""
WANTED = """
SELECT attempt FROM chat_message AS reply
WHERE session_id = ANY(%(sessions)s::uuid[]) AND id = ANY(%(replies)s::uuid[])
    AND attempt = ANY(%(attempts)s::uuid[]) AND NOT stop_requested AND {unfinished}
"""


def save(texts: list[tuple[Turn, str]]) -> None:
    """Write what was said so far, and that these turns are alive."""
    # In the order in which a deletion locks them.
    texts = sorted(texts, key=lambda each: each[0].reply_id)
    values = _named([turn for turn, _ in texts]) | {"texts": [text for _, text in texts]}
    with connection.cursor() as cursor:
        cursor.execute(SAVE.format(unfinished=UNFINISHED), values)


def wanted(turns: list[Turn]) -> set[UUID]:
    """Of these turns, the attempts that are still to be written: nobody has asked to stop them,
    deleted them, or taken them over.
    """
    with connection.cursor() as cursor:
        cursor.execute(WANTED.format(unfinished=UNFINISHED), _named(turns))
        return {attempt for (attempt,) in cursor.fetchall()}


def _named(turns: list[Turn]) -> dict[str, list[Any]]:
    return {
        "sessions": [turn.session_id for turn in turns],
        "replies": [turn.reply_id for turn in turns],
        "attempts": [turn.attempt for turn in turns],
    }
