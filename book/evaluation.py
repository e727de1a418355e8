"""How well the search finds what questions are about: recall, mean reciprocal rank, times."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urldefrag

from django.db import connection

from book import search
from book.models import Section
from book.question_vector import with_vector
from book.search import Found, Hit, Query
from llm import completions

PLACES = (1, 3, 5, 10)
PATIENCE_SECONDS = 30.0  # no reader waits, and a figure must not depend on how busy a machine is


class Unusable(Exception):
    """The file of questions, or of a baseline, cannot be read; one sentence."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question, and where its answer stands: any of some addresses or sections; none of them
    means that the book does not cover it. Cases of one group have figures of their own, too.
    """

    question: str
    urls: tuple[str, ...] = ()
    sections: tuple[str | int, ...] = ()
    before: str = ""
    group: str = ""

    @property
    def is_covered(self) -> bool:
        return bool(self.urls or self.sections)

    def place_in(self, hits: Sequence[Hit]) -> int | None:
        """The place, from 1, of the first hit that answers it."""
        answers = (self.is_answered_by(hit, hit.section_id) for hit in hits)
        return next((place for place, is_answer in enumerate(answers, 1) if is_answer), None)

    def is_answered_by(self, section: Hit | Section, key: int) -> bool:
        """Whether the section, with that primary key, is one of those named."""
        texts = (section.title, section.path, section.anchor)
        names = (key, *map(str.casefold, texts))
        named = (each.casefold() if isinstance(each, str) else each for each in self.sections)
        return any(each in names for each in named) or any(
            _is_at(section, address) for address in self.urls
        )


def _is_at(section: Hit | Section, address: str) -> bool:
    """An address with a fragment means that section, one without any of the page. It may be a path
    alone, so that questions last when the book moves.
    """
    page, fragment = urldefrag(address)
    is_page = section.page_url.rstrip("/").endswith(page.rstrip("/"))
    return is_page and fragment in ("", section.anchor)


@dataclass(frozen=True, slots=True)
class Tried:
    """A case, what it found, and how long that took, in milliseconds."""

    case: Case
    found: Found
    embedding_ms: float
    statement_ms: float

    @property
    def place(self) -> int | None:
        return self.case.place_in(self.found.hits)


@dataclass(frozen=True, slots=True)
class Figures:
    """`recall` by place: the share of questions with an answering section up to there. `auc` is of
    the sureness: how well it tells these questions from those that the book does not cover; None
    without any of either.
    """

    questions: int
    recall: dict[str, float] = field(default_factory=dict)
    mrr: float = 0
    auc: float | None = None

    def worse_than(self, baseline: "Figures") -> list[str]:
        """A sentence for each figure that is lower than the baseline's."""
        mine, theirs = self.by_name(), baseline.by_name()
        return [
            f"{name} is {value:.3f}, and was {theirs[name]:.3f}"
            for name, value in mine.items()
            if name in theirs and round(value, 4) < round(theirs[name], 4)
        ]

    def by_name(self) -> dict[str, float]:
        named = {f"recall@{place}": value for place, value in self.recall.items()} | {
            "MRR": self.mrr
        }
        return named if self.auc is None else named | {"AUC of sureness": self.auc}


# Files --------------------------------------------------------------------------------------
def read_cases(path: Path) -> list[Case]:
    """One JSON object a line: `question`, `url` or `section` (each one or a list of them; neither:
    not covered), and optionally `before` and `group`. Raises Unusable.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}.") from error
    cases = [_case(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not cases:
        raise Unusable(f"{path} has no question.")
    return cases


def _case(path: Path, number: int, line: str) -> Case:
    try:
        given = json.loads(line)
        question = given["question"].strip()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unusable(f"{path}, line {number}: not a JSON object with a question.") from error
    return Case(
        question,
        tuple(map(str, _listed(given.get("url")))),
        tuple(_listed(given.get("section"))),
        str(given.get("before") or ""),
        str(given.get("group") or ""),
    )


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def write_figures(path: Path, figures: Figures) -> None:
    path.write_text(json.dumps(asdict(figures), indent=2) + "\n", "utf-8")


def read_figures(path: Path) -> Figures:
    """What `write_figures` wrote. Raises Unusable."""
    try:
        return Figures(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Unusable(f"{path} is not what --output writes: {error}.") from error


# Trying -------------------------------------------------------------------------------------
def try_all(cases: Sequence[Case]) -> Iterator[Tried]:
    """Raises LookupError where no book is indexed."""
    with asyncio.Runner() as runner:
        try:
            for case in cases:
                yield try_one(case, runner)
        finally:
            runner.run(completions.close_clients())


def try_one(case: Case, runner: asyncio.Runner, page_url: str = "") -> Tried:
    asked = Query(case.question, case.before, page_url)
    query, embedding_ms = _timed(lambda: runner.run(with_vector(asked, PATIENCE_SECONDS)))
    found, statement_ms = _timed(lambda: _search(query))
    if found is None:
        raise LookupError("No book is indexed.")
    return Tried(case, found, embedding_ms, statement_ms)


def _search(query: Query) -> Found | None:
    with connection.cursor() as cursor:
        cursor.execute(*search.statement(query, max(PLACES)))
        return search.read_rows(cursor.fetchall(), max(PLACES))


def without_section(cases: Sequence[Case]) -> list[Case]:
    """Those whose address or section the current edition does not have."""
    sections = Section.objects.filter(places__edition__is_current=True).defer("text", "sketch")
    return [
        case
        for case in cases
        if not any(case.is_answered_by(section, section.pk) for section in sections)
    ]


def _timed[T](work: Callable[[], T]) -> tuple[T, float]:
    begin = time.perf_counter()
    done = work()
    return done, 1000 * (time.perf_counter() - begin)


# Figures ------------------------------------------------------------------------------------
def figures(tried: Sequence[Tried], all_tried: Sequence[Tried] = ()) -> Figures:
    """Of some cases. What the book does not cover is looked for among all, as it may be a group of
    its own.
    """
    places = [each.place for each in tried if each.case.is_covered]
    if not places:
        return Figures(len(tried), auc=None)
    return Figures(
        len(tried),
        {
            str(most): sum(place is not None and place <= most for place in places) / len(places)
            for most in PLACES
        },
        sum(1 / place for place in places if place) / len(places),
        _auc(tried, all_tried or tried),
    )


def _auc(tried: Sequence[Tried], all_tried: Sequence[Tried]) -> float | None:
    """How likely a question that is covered has more sureness than one that is not."""
    covered = [each.found.sureness or 0 for each in tried if each.case.is_covered]
    others = [each.found.sureness or 0 for each in all_tried if not each.case.is_covered]
    if not (covered and others):
        return None
    won = sum((one > other) + (one == other) / 2 for one in covered for other in others)
    return won / (len(covered) * len(others))


def p50_p95(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (values[0], values[0]) if values else (0, 0)
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94]
