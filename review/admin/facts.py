"""What the session list shows of each session, at a cost that no length of a session raises."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from chat.models import WEAK_SUPPORT

MAX_MESSAGES = 1_000  # counted; a longer session has "1,000+"
MAX_FLAGGED = 100
RECENT_MESSAGES = 200  # whose pages are shown

# Each part reads a limited number of entries of an index (in its order, so that the rest is not
# read). An aggregate over the messages of 50 sessions would read all of them, and a script can ask
# tens of thousands of questions in one session.
FACTS = """
SELECT
    session.id,
    (SELECT count(*) FROM (
        SELECT FROM chat_message WHERE session_id = session.id
        ORDER BY id DESC LIMIT %(messages)s
    ) AS found),
    {flags},
    (SELECT coalesce(array_agg(DISTINCT page_url) FILTER (WHERE page_url <> ''), '{{}}') FROM (
        SELECT page_url FROM chat_message WHERE session_id = session.id
        ORDER BY id DESC LIMIT %(recent)s
    ) AS found)
FROM unnest(%(sessions)s::uuid[]) AS session (id)
"""
FLAG = """(SELECT count(*) FROM (
        SELECT FROM chat_message
        WHERE session_id = session.id AND {condition} LIMIT %(flagged)s
    ) AS found)"""
# Each is the condition of a partial index.
FLAGS = {
    "failed": "status = 'failed'",
    "stopped": "status = 'stopped'",
    "disliked": "feedback = 'down'",
    "corrected": "correction <> ''",
    "silent": "grounding = 'silent'",
    "weak": f"grounding = 'book' AND support < {WEAK_SUPPORT}",
    "misquoting": "misquotes > 0",
}
STATEMENT = FACTS.format(
    flags=",\n    ".join(FLAG.format(condition=each) for each in FLAGS.values())
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers of messages up to one more than their maximum, in the order of FLAGS; the pages of
    the recent ones.
    """

    total: int = 0
    failed: int = 0
    stopped: int = 0
    disliked: int = 0
    corrected: int = 0
    silent: int = 0
    weak: int = 0
    misquoting: int = 0
    pages: tuple[str, ...] = ()


def facts_of(sessions: list[UUID]) -> dict[UUID, Facts]:
    """The facts of the sessions of one page, in one query."""
    values: dict[str, Any] = {
        "sessions": sessions,
        "messages": MAX_MESSAGES + 1,
        "flagged": MAX_FLAGGED + 1,
        "recent": RECENT_MESSAGES,
    }
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, values)
        return {session: Facts(*row) for session, *row in cursor.fetchall()}


def up_to(maximum: int, count: int) -> str:
    """`1,000+` for more than the maximum."""
    return f"{maximum:,}+" if count > maximum else f"{count:,}"
