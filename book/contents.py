"""What the book has: its pages with their sections, one section, one page."""

from itertools import groupby
from typing import Any

from book.models import Edition, Place, address, written_path

LISTED = (
    "page_id",
    "page__title",
    "page__url",
    "section_id",
    "section__heading_path",
    "section__anchor",
    "section__level",
)


def of_current_edition() -> dict[str, Any] | None:
    """The current edition and its contents, in the book's order; None where none is indexed."""
    edition = Edition.objects.current().first()
    if edition is None:
        return None
    places = Place.objects.filter(edition=edition).order_by("page__position", "position")
    rows = places.values_list(*LISTED).iterator()
    return {
        "edition": edition.number,
        "indexed_at": edition.published_at,
        "pages": [_page(list(of_page)) for _, of_page in groupby(rows, key=lambda row: row[0])],
    }


def _page(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    _, title, url, *_ = rows[0]
    sections = [
        {"id": key, "title": path[-1], "url": address(url, anchor), "level": level}
        for _, _, _, key, path, anchor, level in rows
    ]
    return {"title": title, "url": url, "sections": sections}


def section(section_id: int) -> dict[str, Any] | None:
    """A section of any edition, with the latest one that has it."""
    places = Place.objects.filter(section=section_id, edition__published_at__isnull=False)
    place = places.select_related("section", "edition").order_by("-edition").first()
    if place is None:
        return None
    found, edition = place.section, place.edition
    return {
        "id": found.pk,
        "title": found.page_title,
        "section": written_path(found.heading_path),
        "url": found.url,
        "text": found.text,
        "edition": edition.number,
        "is_current": edition.is_current,
    }


def page_as_markdown(url: str) -> str | None:
    """A page of the current edition, headings included; None where it has no such page."""
    places = Place.objects.filter(edition__in=Edition.objects.current(), page__url=url)
    sections = [each.section for each in places.select_related("section").order_by("position")]
    parts = [f"{'#' * max(1, each.level)} {each.title}\n\n{each.text}" for each in sections]
    return "\n\n".join(map(str.strip, parts)) or None
