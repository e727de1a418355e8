"""Which replies cite a section of the book, and whose sections an edition has changed since.

PostgreSQL knows nothing about the insides of JSON, such as how rare a section is: these statements
leave its planner no choice.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from book.models import Edition, Place, Section
from chat.ids import ids_around
from chat.models import Message

USE_DAYS = 90
LISTED = 20
LISTED_OF_EACH = 5
MOST_REPLIES = 20_000
MOST_OUTDATED = 100

USE = """
SELECT count(*), count(*) FILTER (WHERE found[1] = %(section)s), count(*) FILTER (WHERE cites),
    count(*) FILTER (WHERE cites AND feedback = 'up'),
    count(*) FILTER (WHERE cites AND feedback = 'down')
FROM (
    SELECT found, feedback, grounding = 'book' AND sources @> %(source)s AS cites
    FROM (
        SELECT found, feedback, grounding, sources FROM chat_message
        WHERE role = 'assistant' AND id BETWEEN %(first)s AND %(last)s
        ORDER BY id DESC LIMIT %(replies)s
    ) AS recent
    WHERE found @> ARRAY[%(section)s::bigint]
) AS replies
"""
# A section that is cited often is soon met among the newest replies; one that is not has few, which
# the index finds.
NEWEST = """
WITH recent AS MATERIALIZED (
    SELECT id FROM (
        SELECT id, sources FROM chat_message WHERE role = 'assistant'
        ORDER BY id DESC LIMIT %(replies)s
    ) AS newest
    WHERE sources @> %(source)s ORDER BY id DESC LIMIT %(listed)s
), older AS MATERIALIZED (
    SELECT id FROM chat_message
    WHERE sources <> '[]' AND sources @> %(source)s
        AND (SELECT count(*) FROM recent) < %(listed)s
)
SELECT id FROM (SELECT id FROM recent UNION SELECT id FROM older) AS found
ORDER BY id DESC LIMIT %(listed)s
"""
# One pass over the newest replies, however many sections an edition has changed, and one over all
# corrected ones, of which there are few.
CITED = """
WITH citing AS MATERIALIZED (
    (SELECT id, sources, false AS is_corrected FROM chat_message
        WHERE role = 'assistant' AND sources <> '[]' AND correction = ''
        ORDER BY id DESC LIMIT %(replies)s)
    UNION ALL
    (SELECT id, sources, true FROM chat_message WHERE correction <> '' AND sources <> '[]')
)
SELECT (source ->> 'section_id')::bigint AS section_id, count(*) AS replies,
    count(*) FILTER (WHERE is_corrected) AS corrections,
    (array_agg(id ORDER BY is_corrected DESC, id DESC))[:%(listed)s]
FROM citing, jsonb_array_elements(sources) AS source
WHERE (source ->> 'section_id')::bigint = ANY(%(sections)s)
GROUP BY section_id ORDER BY corrections DESC, replies DESC, section_id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Use:
    """Of a section in the last `USE_DAYS` days, by the newest `MOST_REPLIES` at most: questions
    that found it, those it fitted best, answers that cite it, and the thumbs that these got.
    """

    found: int
    best: int
    cited: int
    thumbs_up: int
    thumbs_down: int


@dataclass(frozen=True, slots=True)
class Outdated:
    """A section that an edition no longer had as it was. `now` is what the current edition has in
    its place (None: nothing), `moved` whether that says the same.

    `replies` and `corrections` count the answers that cite it, of the newest `MOST_REPLIES` that
    cite anything and of all corrected ones; `newest` are some of them, corrected ones first.
    """

    section: Section
    now: Section | None
    moved: bool
    replies: int
    corrections: int
    newest: list[Message]


def use_of(section_id: int) -> Use:
    now = timezone.now()
    first, last = ids_around(now - timedelta(days=USE_DAYS), None)
    values = _section(section_id) | {"first": first, "last": last, "replies": MOST_REPLIES}
    return Use(*_rows(USE, values)[0])


def newest_citing(section_id: int) -> list[Message]:
    """Replies, with their questions."""
    values = _section(section_id) | {"listed": LISTED, "replies": MOST_REPLIES}
    keys = [key for (key,) in _rows(NEWEST, values)]
    return _replies(keys)


def outdated_by(edition: Edition) -> list[Outdated]:
    """The sections that this edition changed, moved or left out, and that some answer cites; those
    with corrections first.
    """
    former = {section.pk: section for section in _left_by(edition)}
    values = {
        "sections": list(former),
        "listed": LISTED_OF_EACH,
        "replies": MOST_REPLIES,
        "most": MOST_OUTDATED,
    }
    rows = _rows(CITED, values)
    now = _in_place_of([former[row[0]] for row in rows])
    replies = {reply.pk: reply for reply in _replies([key for row in rows for key in row[3]])}
    return [
        Outdated(
            former[key],
            now.get(key),
            key in now and now[key].content_hash == former[key].content_hash,
            count,
            corrected,
            [replies[each] for each in newest if each in replies],
        )
        for key, count, corrected, newest in rows
    ]


def _left_by(edition: Edition) -> Any:
    """The sections that the edition before had, and neither this nor a later one has."""
    published = Edition.objects.published()
    before = published.filter(number__lt=edition.number or 0).order_by("-number").first()
    later = Place.objects.filter(
        section=OuterRef("section"), edition__number__gte=edition.number or 0
    )
    places = Place.objects.filter(~Exists(later), edition=before)
    return Section.objects.filter(pk__in=places.values("section")).defer("sketch", "text")


def _in_place_of(sections: list[Section]) -> dict[int, Section]:
    """By a former section's id: the current one that says the same, or is at its address."""
    current = Place.objects.filter(edition__is_current=True, section=OuterRef("pk"))
    there = Section.objects.filter(
        Exists(current),
        Q(content_hash__in={each.content_hash for each in sections})
        | Q(page_url__in={each.page_url for each in sections}),
    ).defer("sketch", "text")
    found = list(there)
    by_address = {(each.page_url, each.anchor): each for each in found}
    by_content = {each.content_hash: each for each in found}
    pairs = (
        (
            each.pk,
            by_content.get(each.content_hash) or by_address.get((each.page_url, each.anchor)),
        )
        for each in sections
    )
    return {key: section for key, section in pairs if section}


def _replies(keys: list[UUID]) -> list[Message]:
    replies = Message.objects.filter(pk__in=keys).select_related("reply_to")
    return list(replies.order_by("-id"))


def _section(section_id: int) -> dict[str, Any]:
    return {"section": section_id, "source": json.dumps([{"section_id": section_id}])}


def _rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
