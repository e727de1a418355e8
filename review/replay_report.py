"""The report of a replay, as HTML and as JSON lines: both answers side by side, and a summary."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from math import ceil
from statistics import fmean
from typing import Any, TextIO
from uuid import UUID

from django.template.loader import render_to_string
from django.utils import timezone

from chat.api.schemas import encode
from chat.models import Message
from review.replay import Outcome, Stored, Trial, compare

QUESTIONS = "<!-- questions -->"  # their place in the page; all text is escaped, so none forges it


@dataclass(slots=True)
class Side:
    """The sums of one side: the stored outcomes, or the new ones."""

    models: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    tokens_in: list[int] = field(default_factory=list)
    tokens_out: list[int] = field(default_factory=list)
    costs: list[Decimal] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)
    groundings: Counter[str] = field(default_factory=Counter)
    supports: list[float] = field(default_factory=list)
    misquoting: int = 0

    def count(self, outcome: Outcome) -> None:
        self.statuses[outcome.status] += 1
        if outcome.error_code:
            self.errors[outcome.error_code] += 1
        if outcome.status == Message.Status.COMPLETE:
            self.models[outcome.model] += 1
            self.ends[outcome.finish_reason] += 1
            self.lengths.append(len(outcome.answer))
            if outcome.grounding:
                self.groundings[outcome.grounding] += 1
            _note(self.supports, outcome.support)
            self.misquoting += outcome.misquotes > 0
        _note(self.tokens_in, outcome.prompt_tokens)
        _note(self.tokens_out, outcome.completion_tokens)
        _note(self.costs, outcome.cost)
        _note(self.latencies, outcome.latency_ms)


def _note[T](numbers: list[T], number: T | None) -> None:
    if number is not None:
        numbers.append(number)


NOTHING = "—"
SUMMARY: tuple[tuple[str, Callable[[Side], str]], ...] = (
    ("Answered by", lambda side: _tally(side.models) or NOTHING),
    ("Answered", lambda side: f"{side.statuses['complete']}"),
    ("Stopped by the reader", lambda side: f"{side.statuses['stopped']}"),
    ("Failed", lambda side: _tally(side.errors) or "0"),
    ("Refused by a content filter", lambda side: f"{side.ends['content-filter']}"),
    ("Ended for another reason", lambda side: f"{side.ends['other']}"),
    ("Cut at the maximum length", lambda side: f"{side.ends['length']}"),
    ("Rest on", lambda side: _tally(side.groundings) or NOTHING),
    ("Supported, mean", lambda side: f"{fmean(side.supports):.0%}" if side.supports else NOTHING),
    ("With a misquote", lambda side: f"{side.misquoting}"),
    ("Mean length, characters", lambda side: _mean(side.lengths)),
    ("Tokens in", lambda side: _total(side.tokens_in)),
    ("Tokens out", lambda side: _total(side.tokens_out)),
    ("Estimated cost", lambda side: f"{sum(side.costs):,.4f}" if side.costs else NOTHING),
    ("Duration p50", lambda side: _quantile(side.latencies, 0.5)),
    ("Duration p95", lambda side: _quantile(side.latencies, 0.95)),
)


def summary(stored: Side, replayed: Side) -> list[tuple[str, str, str]]:
    """Rows of a table: label, stored, replayed."""
    return [(label, text_of(stored), text_of(replayed)) for label, text_of in SUMMARY]


def _tally(counter: Counter[str]) -> str:
    """`gpt-4.1 (9), gpt-4.1-mini (3)`."""
    return ", ".join(f"{name or 'unknown'} ({count})" for name, count in counter.most_common())


def _mean(numbers: list[int]) -> str:
    return f"{fmean(numbers):,.0f}" if numbers else NOTHING


def _total(numbers: list[int]) -> str:
    return f"{sum(numbers):,} (mean {_mean(numbers)})" if numbers else NOTHING


def _quantile(milliseconds: list[int], share: float) -> str:
    """The shortest time within which this share of them was done."""
    if not milliseconds:
        return NOTHING
    return f"{sorted(milliseconds)[ceil(share * len(milliseconds)) - 1] / 1000:.1f} s"


def report(
    keys: list[UUID], trial: Trial, page: TextIO, lines: TextIO, on_answer: Callable[[], object]
) -> list[tuple[str, str, str]]:
    """Ask, and write the report; returns its summary. `lines` must be readable too.

    Raises ModelMisconfigured, as `compare` does.
    """
    stored, replayed, asked_at = Side(), Side(), list[datetime]()
    for case, outcome in compare(keys, trial, on_answer):
        lines.write(encode(asdict(case) | {"replayed": asdict(outcome)}) + "\n")
        stored.count(case.stored)
        replayed.count(outcome)
        asked_at = [*asked_at[:1], case.asked_at]  # the first and the last
    rows = summary(stored, replayed)
    lines.seek(0)
    count = stored.statuses.total()
    context = {"trial": trial, "summary": rows, "count": count, "asked_at": asked_at}
    page.writelines(_page(context, lines))
    return rows


def _page(context: dict[str, Any], lines: TextIO) -> Iterator[str]:
    whole = render_to_string(
        "review/replay.html", context | {"questions": QUESTIONS, "made_at": timezone.now()}
    )
    before, _, after = whole.partition(QUESTIONS)
    yield before
    for number, line in enumerate(lines, start=1):
        question = json.loads(line)
        question |= {
            "number": number,
            "asked_at": datetime.fromisoformat(question["asked_at"]),
            "stored": Stored(**question["stored"]),
            "replayed": Outcome(**question["replayed"]),
        }
        yield render_to_string("review/replay_question.html", question)
    yield after
