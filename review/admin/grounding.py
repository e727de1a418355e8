"""What a reply rests on, as the transcript shows it."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef

from book.models import Place, Section
from chat.models import WEAK_SUPPORT, Message

# To say that the book does not cover a question takes no more. What is longer answers it beyond the
# book (BOOK_ANSWERS).
SILENT_CHARS = 300


def add_grounding(replies: Iterable[Message]) -> None:
    """Give each message `badges`, `cited` and `near` (as stored, each with `is_former`: the current
    edition does not have that section), and `given` (the sections that the model was given, best
    first). One query for all of them.
    """
    sections = _sections(replies)
    for reply in replies:
        shown: Any = reply
        shown.badges = badges(reply)
        shown.cited = [_marked(source, sections) for source in reply.sources]
        shown.near = [_marked(place, sections) for place in reply.nearest]
        cited = {source.get("section_id") for source in reply.sources}
        given = [sections[key] for key in reply.found if key in sections]
        shown.given = [{"section": each, "is_cited": each.pk in cited} for each in given]


def badges(reply: Message) -> list[str]:
    """What staff should notice about what the reply rests on."""
    found = []
    if reply.grounding in (Message.Grounding.SILENT, Message.Grounding.EXCERPTS):
        found.append(str(reply.grounding))
    if reply.grounding == Message.Grounding.SILENT and len(reply.content) > SILENT_CHARS:
        found.append("beyond the book")
    if reply.grounding == Message.Grounding.BOOK and (reply.support or 0) < WEAK_SUPPORT:
        found.append("weakly supported")
    if reply.misquotes:
        found.append("misquote" if reply.misquotes == 1 else f"{reply.misquotes} misquotes")
    return found


def _sections(replies: Iterable[Message]) -> dict[int, Any]:
    """All sections that these replies name, without their texts."""
    named = {key for reply in replies for key in reply.found}
    for reply in replies:
        named |= {each.get("section_id") for each in (*reply.sources, *reply.nearest)}
    current = Place.objects.filter(edition__is_current=True, section=OuterRef("pk"))
    rows = Section.objects.filter(pk__in=named - {None}).annotate(is_current=Exists(current))
    return {row.pk: row for row in rows.only("page_url", "anchor", "heading_path")}


def _marked(place: dict[str, Any], sections: dict[int, Any]) -> dict[str, Any]:
    section = sections.get(place.get("section_id") or 0)
    return {**place, "is_former": section is not None and not section.is_current}
