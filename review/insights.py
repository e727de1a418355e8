"""The figures of a period: questions, outcomes, times, tokens; what was asked about, and cited.

Three statements read the period's messages once each: one for the days and the total (GROUPING
SETS), one for the pages and passages, one for the book's sections (one grouping each, from which
several lists are taken). The ORM can express none; a query for each figure would read the messages
many times.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection

from book.models import address
from chat.ids import ids_around
from chat.models import WEAK_SUPPORT, Message
from llm import prices

DAY = timedelta(days=1)
MAX_DAYS = 366
LISTED = 10
UNANSWERED_LISTED = 20
PASSAGE_CHARS = 300
MOST_REPLIES = 20_000

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
    count(*) FILTER (WHERE grounding = 'book'),
    count(*) FILTER (WHERE grounding = 'passage'),
    count(*) FILTER (WHERE grounding = 'silent'),
    count(*) FILTER (WHERE grounding = 'uncited'),
    count(*) FILTER (WHERE grounding = 'excerpts'),
    count(*) FILTER (WHERE grounding = 'book' AND support < %(weak)s),
    count(*) FILTER (WHERE misquotes > 0),
    avg(support) FILTER (WHERE grounding = 'book'),
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

# Of so many replies at most, the newest, so that a year takes no longer than the page may.
SECTIONS = """
WITH replies AS MATERIALIZED (
    SELECT found, feedback = 'down' AS disliked,
        CASE grounding WHEN 'book' THEN sources ELSE '[]' END AS sources
    FROM chat_message
    WHERE role = 'assistant' AND id BETWEEN %(first)s AND %(last)s
        AND created_at >= %(since)s AND created_at < %(until)s
        AND (found <> '{}' OR grounding = 'book')
    ORDER BY id DESC LIMIT %(most)s
), cited AS (
    SELECT (source ->> 'section_id')::bigint AS section_id, count(*) AS cited,
        count(*) FILTER (WHERE disliked) AS disliked
    FROM replies, jsonb_array_elements(sources) AS source GROUP BY 1
), found AS (
    SELECT section_id, count(*) AS found, count(*) FILTER (WHERE place = 1) AS best
    FROM replies, unnest(found) WITH ORDINALITY AS each (section_id, place) GROUP BY 1
), counted AS MATERIALIZED (
    SELECT section.id, section.heading_path, section.page_url, section.anchor,
        coalesce(best, 0) AS best, coalesce(found, 0) AS found,
        coalesce(cited, 0) AS cited, coalesce(disliked, 0) AS disliked
    FROM cited FULL JOIN found USING (section_id) JOIN book_section section ON id = section_id
)
(SELECT 'cited', * FROM counted WHERE cited > 0 ORDER BY cited DESC, id LIMIT %(listed)s)
UNION ALL
(SELECT 'asked', * FROM counted WHERE best > 0 ORDER BY best DESC, found DESC, id LIMIT %(listed)s)
UNION ALL
(SELECT 'disliked', * FROM counted WHERE disliked > 0
    ORDER BY disliked DESC, cited, id LIMIT %(listed)s)
UNION ALL
(SELECT 'uncited', * FROM counted WHERE cited = 0 ORDER BY found DESC, id LIMIT %(listed)s)
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
    book: int = 0  # answers that cite the book
    passage: int = 0
    silent: int = 0
    uncited: int = 0
    excerpts: int = 0
    weakly_supported: int = 0
    misquoting: int = 0
    support: float | None = None  # mean of the answers that cite the book
    first_token: Percentiles | None = None
    duration: Percentiles | None = None

    @property
    def answered(self) -> int:
        return self.questions - self.failed - self.stopped

    @property
    def grounded(self) -> int:
        """Answers of which it is known what they rest on."""
        return self.book + self.passage + self.silent + self.uncited + self.excerpts

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
class SectionUse:
    """How often a section of the book was the best one found, found at all, and cited; and how
    many thumbs down answers got that cite it.
    """

    id: int
    heading_path: list[str]
    page_url: str
    anchor: str
    best: int
    found: int
    cited: int
    thumbs_down: int

    @property
    def name(self) -> str:
        return " \u203a ".join(self.heading_path) or address(self.page_url, self.anchor)


@dataclass(frozen=True, slots=True)
class BookUse:
    """Sections, each list by what it is called after, of the newest `MOST_REPLIES` at most; and
    questions that the book is silent on.
    """

    cited: list[SectionUse]
    asked: list[SectionUse]  # by how often they were the best one found
    disliked: list[SectionUse]
    uncited: list[SectionUse]  # found and never cited
    silent: list[Message]  # the newest replies that say so


@dataclass(frozen=True, slots=True)
class Insights:
    total: Figures
    days: list[Figures]  # all of the period's, oldest first
    pages: list[Place]  # with the most questions
    passages: list[Place]  # with the most questions
    failing: list[Place]  # passages with the most failed questions
    unanswered: list[Message]  # the newest questions whose replies failed without any text
    book: BookUse | None  # None where no answer rests on a book


def insights(since: date, until: date) -> Insights:
    """The days from `since` to `until`, both included."""
    period = _midnight(since), _midnight(min(until, date.max - DAY) + DAY)
    first, last = ids_around(*period)
    bounds = {"since": period[0], "until": period[1], "first": first, "last": last}
    *days, total = [_figures(row) for row in _rows(FIGURES, bounds | {"weak": WEAK_SUPPORT})]
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
        book=_book_use(bounds) if total.grounded else None,
    )


def _book_use(bounds: dict[str, Any]) -> BookUse:
    lists: dict[str, list[SectionUse]] = {"cited": [], "asked": [], "disliked": [], "uncited": []}
    for kind, *use in _rows(SECTIONS, bounds | {"most": MOST_REPLIES, "listed": LISTED}):
        lists[kind].append(SectionUse(*use))
    silent = Message.objects.silent().between(bounds["since"], bounds["until"])
    newest = silent.select_related("reply_to").order_by("-id")[:UNANSWERED_LISTED]
    return BookUse(**lists, silent=list(newest))


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
