"""Trying a change: stored questions, with their stored context, asked once more.

They are put to another model, or in other words, and a report shows how they were answered then
and now. Nothing is stored and nothing is counted: rows are read a batch at a time, and no
connection is held while the model works. What is known of a question goes into a line of JSON at
once, from which its part of the page is made at the end; so memory does not grow with their number.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import batched
from math import ceil
from statistics import fmean
from typing import Any, TextIO
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.template.loader import get_template, render_to_string
from django.utils import timezone

from chat import llm, prompts, storage
from chat.errors import ChatError, ModelMisconfigured
from chat.export import asked
from chat.models import Message
from chat.prices import Prices, cost
from chat.schemas import encode

MOST = 10_000
# A batch waits for its slowest answer, so it holds more questions than are asked at once.
BATCH = 8
QUESTIONS = "<!-- questions -->"  # where they go; no text can forge it, since all of it is escaped


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: whom to ask, in which words, at what price, how many at once."""

    provider: llm.Provider
    find: prompts.Find = get_template
    edited: tuple[str, ...] = ()  # the templates that are not the usual ones
    prices: Prices | None = None
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question was answered, then or now. `cost` is None where tokens or prices are."""

    status: str
    answer: str = ""
    error_code: str = ""
    reason: str = ""  # of a failure now; those of then are in the log of their day
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Stored(Outcome):
    """How it was answered then, and what came of that."""

    reply_id: UUID | None = None
    first_token_ms: int | None = None
    correction: str = ""
    feedback: str = ""
    feedback_comment: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A stored question, and what it is asked with now."""

    session_id: UUID
    question_id: UUID
    asked_at: datetime
    question: str
    selected_text: str
    page_url: str
    prompt: prompts.Prompt
    stored: Stored


def provider(model: str | None) -> llm.Provider:
    """The first configured service, with another model if one is named. Nobody stands in for it.

    Raises ModelMisconfigured where none is configured.
    """
    configured = llm.providers()
    if not configured:
        raise ModelMisconfigured("no model is configured")
    return replace(configured[0], model=model) if model else configured[0]


# Picking ------------------------------------------------------------------------------------
def picked(since: datetime, until: datetime | None, limit: int) -> list[UUID]:
    """The period's most recent questions whose replies have ended, oldest first."""
    newest_first = asked(since, until).settled().order_by("-id")
    return list(newest_first.values_list("pk", flat=True)[:limit])[::-1]


def cases(keys: tuple[UUID, ...], trial: Trial) -> list[Case]:
    """These questions (but for those deleted meanwhile), each with the prompt of its turn.

    The history is what counts as said today: with later corrections, and with answers that were
    still being written, in the same session, when this question came.
    """
    questions = Message.objects.settled().filter(pk__in=keys).select_related("reply")
    found = [_case(question, trial) for question in questions.order_by("id")]
    connection.close()
    return found


def _case(question: Message, trial: Trial) -> Case:
    reply, passage = question.reply, question.selected_text
    exchanges = storage.exchanges_for(reply, passage)
    return Case(
        session_id=question.session_id,
        question_id=question.id,
        asked_at=question.created_at,
        question=question.content,
        selected_text=passage,
        page_url=question.page_url,
        prompt=prompts.prompt_for(
            settings.BOOK_TITLE, question.content, passage, exchanges, trial.find
        ),
        stored=_stored(reply),
    )


def _stored(reply: Message) -> Stored:
    return Stored(
        status=reply.status,
        answer=reply.content,
        error_code=reply.error_code,
        model=reply.model,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        cost=_cost(reply, settings.LLM_PRICE_PER_MILLION),
        latency_ms=reply.latency_ms,
        reply_id=reply.id,
        first_token_ms=reply.first_token_ms,
        correction=reply.correction,
        feedback=reply.feedback,
        feedback_comment=reply.feedback_comment,
    )


def _cost(used: Message | llm.Completion, prices: Prices | None) -> Decimal | None:
    if used.prompt_tokens is None and used.completion_tokens is None:
        return None
    return cost(used.prompt_tokens or 0, used.completion_tokens or 0, prices)


# Asking -------------------------------------------------------------------------------------
def compared(
    keys: list[UUID], trial: Trial, answered: Callable[[], object]
) -> Iterator[tuple[Case, Outcome]]:
    """Each question with its answer of now, oldest first; `answered` is called after each.

    Raises ModelMisconfigured if the service turns the first one away: it would do so with all.
    """
    with asyncio.Runner() as runner:
        try:
            for batch in _batches(keys, trial.concurrency * BATCH):
                found = cases(batch, trial)
                outcomes = runner.run(_ask_all(found, trial, answered))
                if batch[0] == keys[0]:
                    _check(outcomes)
                yield from zip(found, outcomes, strict=True)
        finally:
            runner.run(llm.close_clients())


def _batches(keys: list[UUID], size: int) -> Iterator[tuple[UUID, ...]]:
    """The first question alone, which shows whether the service takes any."""
    yield (keys[0],)
    yield from batched(keys[1:], size, strict=False)


def _check(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.error_code == ModelMisconfigured.code:
            raise ModelMisconfigured(outcome.reason)


async def _ask_all(
    found: list[Case], trial: Trial, answered: Callable[[], object]
) -> list[Outcome]:
    turnstile = asyncio.Semaphore(trial.concurrency)

    async def ask(case: Case) -> Outcome:
        async with turnstile:
            outcome = await _ask(case, trial)
        answered()
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(case)) for case in found]
    return [task.result() for task in tasks]


async def _ask(case: Case, trial: Trial) -> Outcome:
    """A failure is a result too."""
    try:
        completion = await llm.complete(case.prompt, asked=(trial.provider,))
    except ChatError as error:
        return Outcome(
            status=Message.Status.FAILED.value,
            error_code=error.code,
            reason=str(error),
            model=trial.provider.model,
        )
    return Outcome(
        status=Message.Status.COMPLETE.value,
        answer=completion.text,
        model=completion.model,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        cost=_cost(completion, trial.prices),
        latency_ms=completion.latency_ms,
    )


# Summing up ---------------------------------------------------------------------------------
@dataclass(slots=True)
class Side:
    """What the outcomes of then, or those of now, come to."""

    models: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    lengths: list[int] = field(default_factory=list)
    tokens_in: list[int] = field(default_factory=list)
    tokens_out: list[int] = field(default_factory=list)
    costs: list[Decimal] = field(default_factory=list)
    latencies: list[int] = field(default_factory=list)

    def count(self, outcome: Outcome) -> None:
        self.statuses[outcome.status] += 1
        if outcome.error_code:
            self.errors[outcome.error_code] += 1
        if outcome.status == Message.Status.COMPLETE:
            self.models[outcome.model] += 1
            self.ends[outcome.finish_reason] += 1
            self.lengths.append(len(outcome.answer))
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
    ("Cut at the longest answer", lambda side: f"{side.ends['length']}"),
    ("Mean length, characters", lambda side: _mean(side.lengths)),
    ("Tokens in", lambda side: _total(side.tokens_in)),
    ("Tokens out", lambda side: _total(side.tokens_out)),
    ("Estimated cost", lambda side: f"{sum(side.costs):,.4f}" if side.costs else NOTHING),
    ("Duration p50", lambda side: _quantile(side.latencies, 0.5)),
    ("Duration p95", lambda side: _quantile(side.latencies, 0.95)),
)


def summary(then: Side, now: Side) -> list[tuple[str, str, str]]:
    """Rows of a table: what is compared, then, now."""
    return [(label, tell(then), tell(now)) for label, tell in SUMMARY]


def _tally(counter: Counter[str]) -> str:
    """`gpt-4.1 (9), gpt-4.1-mini (3)`."""
    return ", ".join(f"{name or 'unknown'} ({count})" for name, count in counter.most_common())


def _mean(numbers: list[int]) -> str:
    return f"{fmean(numbers):,.0f}" if numbers else NOTHING


def _total(numbers: list[int]) -> str:
    return f"{sum(numbers):,} (mean {_mean(numbers)})" if numbers else NOTHING


def _quantile(milliseconds: list[int], part: float) -> str:
    """The shortest time within which that part of them was done."""
    if not milliseconds:
        return NOTHING
    return f"{sorted(milliseconds)[ceil(part * len(milliseconds)) - 1] / 1000:.1f} s"


# Reporting ----------------------------------------------------------------------------------
def report(
    keys: list[UUID], trial: Trial, page: TextIO, lines: TextIO, answered: Callable[[], object]
) -> list[tuple[str, str, str]]:
    """Ask, and write the report; returns its summary. `lines` must be readable too.

    Raises ModelMisconfigured, as `compared` does.
    """
    then, now, asked_at = Side(), Side(), list[datetime]()
    for case, outcome in compared(keys, trial, answered):
        lines.write(encode(asdict(case) | {"replayed": asdict(outcome)}) + "\n")
        then.count(case.stored)
        now.count(outcome)
        asked_at = [*asked_at[:1], case.asked_at]  # of the first and the last
    rows = summary(then, now)
    lines.seek(0)
    count = then.statuses.total()
    context = {"trial": trial, "summary": rows, "count": count, "asked_at": asked_at}
    page.writelines(_page(context, lines))
    return rows


def _page(context: dict[str, Any], lines: TextIO) -> Iterator[str]:
    whole = render_to_string(
        "chat/replay.html", context | {"questions": QUESTIONS, "made_at": timezone.now()}
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
        yield render_to_string("chat/replay_question.html", question)
    yield after
