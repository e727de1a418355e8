"""Replay: ask stored questions again, with another model or other prompts, to try a change.

A report compares the stored answers with the new ones. Nothing is stored or counted: rows are read
in batches, and no connection is held while the model works. Each question's result is written as a
line of JSON at once, and the page is made from these lines at the end, so that memory does not grow
with the number of questions.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import batched
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.template.loader import get_template

from chat import prompts
from chat.models import Message
from chat.turn import history
from llm import completions
from llm.errors import ModelError, ModelMisconfigured
from llm.prices import Prices, cost
from llm.providers import Provider, providers

MAX_QUESTIONS = 10_000
# A batch waits for its slowest answer, so it holds more questions than are asked at once.
BATCH = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: provider, prompts, prices, and how many questions at once."""

    provider: Provider
    find: prompts.Find = get_template
    edited: tuple[str, ...] = ()  # names of the templates that differ from the current ones
    prices: Prices | None = None
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a question was answered. `cost` is None where tokens or prices are unknown."""

    status: str
    answer: str = ""
    error_code: str = ""
    reason: str = ""  # of a new failure; reasons of stored ones are in the log of their day
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: Decimal | None = None
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Stored(Outcome):
    """The stored answer, with feedback and correction."""

    reply_id: UUID | None = None
    first_token_ms: int | None = None
    correction: str = ""
    feedback: str = ""
    feedback_comment: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A stored question, and the prompt it is asked with now."""

    session_id: UUID
    question_id: UUID
    asked_at: datetime
    question: str
    selected_text: str
    page_url: str
    prompt: prompts.Prompt
    stored: Stored


def provider(model: str | None) -> Provider:
    """The first configured provider, with another model if one is named; there is no fallback.

    Raises ModelMisconfigured where none is configured.
    """
    configured = providers()
    if not configured:
        raise ModelMisconfigured("no model is configured")
    return replace(configured[0], model=model) if model else configured[0]


def select_questions(since: datetime, until: datetime | None, limit: int) -> list[UUID]:
    """Ids of the period's most recent questions whose replies have ended, oldest first."""
    newest_first = Message.objects.settled().between(since, until).order_by("-id")
    return list(newest_first.values_list("pk", flat=True)[:limit])[::-1]


def cases(keys: tuple[UUID, ...], trial: Trial) -> list[Case]:
    """These questions (without those deleted meanwhile), each with its prompt.

    The history is read as it is today: with later corrections, and with answers that were still
    pending in the same session when the question was asked.
    """
    questions = Message.objects.settled().filter(pk__in=keys).select_related("reply")
    found = [_case(question, trial) for question in questions.order_by("id")]
    connection.close()
    return found


def _case(question: Message, trial: Trial) -> Case:
    reply, passage = question.reply, question.selected_text
    exchanges = [] if passage else history.exchanges_before(reply.session_id, reply.id)
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


def _cost(used: Message | completions.Completion, prices: Prices | None) -> Decimal | None:
    if used.prompt_tokens is None and used.completion_tokens is None:
        return None
    return cost(used.prompt_tokens or 0, used.completion_tokens or 0, prices)


def compare(
    keys: list[UUID], trial: Trial, on_answer: Callable[[], object]
) -> Iterator[tuple[Case, Outcome]]:
    """Each question with its new answer, oldest first; `on_answer` is called after each answer.

    Raises ModelMisconfigured if the provider refuses the first question for its configuration.
    """
    with asyncio.Runner() as runner:
        try:
            for batch in _batches(keys, trial.concurrency * BATCH):
                found = cases(batch, trial)
                outcomes = runner.run(_ask_all(found, trial, on_answer))
                if batch[0] == keys[0]:
                    _check(outcomes)
                yield from zip(found, outcomes, strict=True)
        finally:
            runner.run(completions.close_clients())


def _batches(keys: list[UUID], size: int) -> Iterator[tuple[UUID, ...]]:
    """The first question alone, to see whether the provider is configured correctly."""
    yield (keys[0],)
    yield from batched(keys[1:], size)


def _check(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.error_code == ModelMisconfigured.code:
            raise ModelMisconfigured(outcome.reason)


async def _ask_all(
    found: list[Case], trial: Trial, on_answer: Callable[[], object]
) -> list[Outcome]:
    slots = asyncio.Semaphore(trial.concurrency)

    async def ask(case: Case) -> Outcome:
        async with slots:
            outcome = await _ask(case, trial)
        on_answer()
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(case)) for case in found]
    return [task.result() for task in tasks]


async def _ask(case: Case, trial: Trial) -> Outcome:
    """A failure is an outcome too."""
    try:
        completion = await completions.complete(case.prompt, asked=(trial.provider,))
    except ModelError as error:
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
