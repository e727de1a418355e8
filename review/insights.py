"""The figures of a period: questions, outcomes, times, tokens; the pages and passages asked about.

Two statements read the period's messages once each: one for the days and the total (GROUPING SETS),
one for the pages and passages (one grouping, from which three lists are taken). The ORM can express
neither; a query for each figure would read the messages many times.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection

from chat.ids import ids_around
from chat.models import Message
from llm import prices

DAY = timedelta(days=1)
MAX_DAYS = 366
LISTED = 10
UNANSWERED_LISTED = 20
PASSAGE_CHARS = 300

FIGURES = """
SELECT
    (created_at AT TIME ZONE 'UTC')::date AS day,
    count(*),
    count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'failed' AND content = ''),
    count(*) FILTER (WHERE status = 'stopped'),
    count(*) FILTER (WHERE feedback = 'up'),
    count(*) FILTER (WHERE feedback = 'down'),
    coalesce(sum(prompt_tokens), 0),
    coalesce(sum(completion_tokens), 0),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY first_token_ms),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms)
FROM chat_message
WHERE role = 'assistant' AND id BETWEEN %(first)s AND %(last)s
    AND created_at >= %(since)s AND created_at < %(until)s
GROUP BY GROUPING SETS ((day), ())
ORDER BY day
"""

# A page is an address without its fragment; passages are grouped by their digest.
PLACES = """
WITH places AS MATERIALIZED (
    SELECT
        split_part(question.page_url, '#', 1) AS page,
        min(left(question.selected_text, %(chars)s)) AS passage,
        count(*) AS asked,
        count(*) FILTER (WHERE reply.status = 'failed') AS failed,
        count(*) FILTER (WHERE reply.feedback = 'down') AS disliked
    FROM chat_message question JOIN chat_message reply ON reply.reply_to_id = question.id
    WHERE question.id BETWEEN %(first)s AND %(last)s
        AND reply.id BETWEEN %(first)s AND %(last)s
        AND reply.created_at >= %(since)s AND reply.created_at < %(until)s
    GROUP BY page, md5(question.selected_text)
)
(SELECT 'pages', page, '', sum(asked)::bigint AS most, sum(failed)::bigint, sum(disliked)::bigint
    FROM places WHERE page <> '' GROUP BY page ORDER BY most DESC, page LIMIT %(listed)s)
UNION ALL
(SELECT 'asked', page, passage, asked, failed, disliked
    FROM places WHERE passage <> '' ORDER BY asked DESC, page, passage LIMIT %(listed)s)
UNION ALL
(SELECT 'failed', page, passage, asked, failed, disliked
    FROM places WHERE passage <> '' AND failed > 0
    ORDER BY failed DESC, asked, page, passage LIMIT %(listed)s)
"""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In milliseconds."""

    p50: int
    p95: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a day (UTC), or of the whole period (`day` is None). A question counts for the day it was
    asked on.
    """

    day: date | None
    questions: int = 0
    failed: int = 0
    unanswered: int = 0  # failed without any text
    stopped: int = 0  # by the reader
    thumbs_up: int = 0
    thumbs_down: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token: Percentiles | None = None
    duration: Percentiles | None = None

    @property
    def answered(self) -> int:
        return self.questions - self.failed - self.stopped

    @property
    def cost(self) -> Decimal | None:
        """Estimated; None without LLM_PRICE_PER_MILLION."""
        return prices.cost(
            self.prompt_tokens, self.completion_tokens, settings.LLM_PRICE_PER_MILLION
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the book, or a passage of one (its beginning)."""

    page: str
    passage: str
    asked: int
    failed: int
    thumbs_down: int


@dataclass(frozen=True, slots=True)
class Insights:
    total: Figures
    days: list[Figures]  # all of the period's, oldest first
    pages: list[Place]  # with the most questions
    passages: list[Place]  # with the most questions
    failing: list[Place]  # passages with the most failed questions
    unanswered: list[Message]  # the newest questions whose replies failed without any text


def insights(since: date, until: date) -> Insights:
    """The days from `since` to `until`, both included."""
    period = _midnight(since), _midnight(min(until, date.max - DAY) + DAY)
    first, last = ids_around(*period)
    bounds = {"since": period[0], "until": period[1], "first": first, "last": last}
    *days, total = [_figures(row) for row in _rows(FIGURES, bounds)]
    found = {figures.day: figures for figures in days}
    places: dict[str, list[Place]] = {"pages": [], "asked": [], "failed": []}
    for kind, *place in _rows(PLACES, bounds | {"chars": PASSAGE_CHARS, "listed": LISTED}):
        places[kind].append(Place(*place))
    every_day = [since + number * DAY for number in range((until - since).days + 1)]
    return Insights(
        total=total,
        days=[found.get(day) or Figures(day) for day in every_day],
        pages=places["pages"],
        passages=places["asked"],
        failing=places["failed"],
        unanswered=_unanswered(*period),
    )


def _unanswered(since: datetime, until: datetime) -> list[Message]:
    replies = Message.objects.replies().failed().between(since, until).filter(content="")
    newest = replies.select_related("reply_to").order_by("-id")[:UNANSWERED_LISTED]
    return [reply.reply_to for reply in newest if reply.reply_to]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _figures(row: tuple[Any, ...]) -> Figures:
    return Figures(*row[:-2], *map(_percentiles, row[-2:]))


def _percentiles(found: list[float] | None) -> Percentiles | None:
    return Percentiles(*map(round, found)) if found else None
