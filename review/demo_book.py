"""What made-up answers cite: sections of the indexed book, or made-up ones where there is none."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

from book.models import Place
from book.text_fragments import with_fragment

MOST_SECTIONS = 500
FOUND = 10
UNCITED = 7  # one section of so many is found and never cited
NEAREST = 3
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
SENTENCE = re.compile(r"(?:(?<=^)|(?<=\. ))[A-Z][^.!?|\n]{20,160}[.!?](?=\s|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DemoSection:
    """A section, its Markdown, and sentences of that. A made-up one has no id."""

    id: int | None
    title: str  # of its page
    path: str
    url: str
    text: str
    sentences: tuple[str, ...]

    @property
    def is_ever_cited(self) -> bool:
        return self.id is None or self.id % UNCITED != 0


class DemoBook:
    """Sections, some of which are found more often than others."""

    def __init__(self, sections: list[DemoSection], edition: int | None = None) -> None:
        self.edition = edition
        self._sections = sections
        self._weights = list(accumulate(1 / rank for rank in range(1, len(sections) + 1)))

    def found(self, chance: random.Random) -> list[DemoSection]:
        """What a question finds, best first; at least one section."""
        drawn = chance.choices(self._sections, cum_weights=self._weights, k=FOUND)
        return list(dict.fromkeys(drawn))


def source(
    chance: random.Random, section: DemoSection, number: int, score: float
) -> dict[str, Any]:
    """A source as `chat_message.sources` has it; without a quote where the score is low."""
    text = chance.choice(section.sentences) if section.sentences and score >= 0.5 else None
    return {
        "number": number,
        "chapter": section.title,
        **_place(section),
        "url": _address(section, text) if text else section.url,
        "text": text,
        "score": score,
    }


def nearest(sections: list[DemoSection]) -> list[dict[str, Any]]:
    """The first few, as `chat_message.nearest` has them."""
    return [_place(each) for each in sections[:NEAREST]]


def _place(section: DemoSection) -> dict[str, Any]:
    place = {"title": section.title, "section": section.path, "url": section.url}
    return place if section.id is None else {**place, "section_id": section.id}


@cache
def _address(section: DemoSection, text: str) -> str:
    return with_fragment(section.url, text, section.text)


def indexed_book() -> DemoBook | None:
    """Of the current edition; None where no book is indexed."""
    places = Place.objects.filter(edition__is_current=True).select_related("section", "edition")
    places = places.order_by("page__position", "position")[:MOST_SECTIONS]
    found = [_of_row(place.section) for place in places]
    return DemoBook(found, places[0].edition.number) if found else None


def _of_row(section: Any) -> DemoSection:
    return _section(section.pk, section.page_title, section.path, section.url, section.text)


def _section(key: int | None, title: str, path: str, url: str, text: str) -> DemoSection:
    sentences = tuple(SENTENCE.findall(CODE.sub("", text)))
    return DemoSection(key, title, path, url, text, sentences)


def made_up_book(
    site: str, chapters: int, topics: Iterable[str], passages: Iterable[str]
) -> DemoBook:
    """Each topic is a section of one of the chapters that questions are asked from."""
    sections = []
    for number, topic in enumerate(topics):
        chapter = number % chapters + 1
        url = f"{site}/chapter-{chapter}#{topic.lower().replace(' ', '-')}"
        text = "\n\n".join(passages).format(topic, "robot")
        heading = topic[0].upper() + topic[1:]
        sections.append(_section(None, f"Chapter {chapter}", heading, url, text))
    return DemoBook(sections)
