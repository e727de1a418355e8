"""What the model sees of a session: its last finished exchanges, with corrections in place."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

type Exchanges = list[tuple[str, str]]  # (question, answer), oldest first

# Replies included in history: finished and with text; a stopped one counts, as far as it came.
# The session is named in each part, so that a database may be spread over sessions.
EXCHANGES = """
    SELECT
        earlier.id,
        (
            SELECT content FROM chat_message AS asked
            WHERE asked.session_id = %(session)s AND asked.id = earlier.reply_to_id
        ) AS question,
        CASE earlier.correction WHEN '' THEN earlier.content ELSE earlier.correction END AS answer,
        ARRAY(
            SELECT jsonb_path_query(earlier.sources, '$[*].section_id')::bigint
        ) AS cited
    FROM chat_message AS earlier
    WHERE earlier.session_id = %(session)s AND earlier.id < %(before)s
        AND earlier.role = 'assistant' AND earlier.status IN ('complete', 'stopped')
        AND earlier.content <> '' AND NOT earlier.replaced
    ORDER BY earlier.id DESC
    LIMIT %(exchanges)s
"""
OLDEST_FIRST = (
    f"SELECT question, answer, cited FROM ({EXCHANGES}) AS earlier ORDER BY id"  # noqa: S608
)


def values(session_id: UUID, before: UUID) -> dict[str, Any]:
    """What `EXCHANGES` is run with: the exchanges before that message."""
    return {
        "session": session_id,
        "before": before,
        "exchanges": settings.CHAT_HISTORY_MESSAGES // 2,
    }


def exchanges_before(session_id: UUID, reply_id: UUID) -> Exchanges:
    """The session's last finished exchanges before a reply."""
    return from_rows(rows_before(session_id, reply_id))


def rows_before(session_id: UUID, reply_id: UUID) -> list[tuple[Any, ...]]:
    """The same, for `from_rows` and `cited`."""
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_FIRST, values(session_id, reply_id))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def from_rows(rows: list[tuple[Any, ...]]) -> Exchanges:
    """Of rows that end with a question, its answer and the sections that this cites."""
    return [row[-3:-1] for row in rows if row[-3] is not None]


def cited(rows: list[tuple[Any, ...]]) -> list[int]:
    """The sections that the answers cite, of the same rows."""
    return [section_id for row in rows for section_id in row[-1] or ()]
