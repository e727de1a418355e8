"""Replay: ask stored questions again, with another model or other prompts, to try a change.

A report compares the stored answers with the new ones. The excerpts of the book are those that the
current edition has for a question now, or those of a former edition that its answer was given then.
Nothing is stored or counted: rows are read in batches, and no connection is held while the model
works. Each question's result is written as a
line of JSON at once, and the page is made from these lines at the end, so that memory does not grow
with the number of questions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import batched
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.template.loader import get_template

from book.models import Section
from book.search import Found, Hit
from chat import database, prompts
from chat.citations.citing import Citing
from chat.citations.evidence import NOTHING, Evidence, of_answer, of_passage
from chat.citations.excerpts import Excerpts
from chat.models import Message
from chat.turn import history
from chat.turn.history import Exchanges
from chat.turn.open import Opened
from chat.turn.retrieve import Retrieval, chosen
from chat.turn.turn import Question
from llm import completions
from llm.errors import ModelError, ModelMisconfigured, ModelUnavailable
from llm.prices import Prices, cost
from llm.providers import Provider, is_demonstration, providers

MAX_QUESTIONS = 10_000
# A batch waits for its slowest answer, so it holds more questions than are asked at once.
BATCH = 8


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: provider, prompts, prices, the book, and how many questions at once.

    `edition` is the number of the book's edition, None without a book. A `former` one cannot be
    searched.
    """

    provider: Provider
    find: prompts.Find = get_template
    edited: tuple[str, ...] = ()  # names of the templates that differ from the current ones
    prices: Prices | None = None
    edition: int | None = None
    former: bool = False
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
    edition: int | None = None
    grounding: str = ""
    support: float | None = None
    misquotes: int = 0
    sources: Sequence[dict[str, Any]] = ()
    nearest: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Stored(Outcome):
    """The stored answer, with feedback and correction."""

    reply_id: UUID | None = None
    first_token_ms: int | None = None
    correction: str = ""
    feedback: str = ""
    feedback_comment: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A stored question with its reply, the history before it, and the sections that this cites;
    `given` are the excerpts of a former edition that it was asked with.
    """

    question: Message
    exchanges: Exchanges = field(default_factory=list)
    cited: Sequence[int] = ()
    given: Excerpts | None = None


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

    The demonstration model is the only one of its service, whatever name it is asked by. Raises
    ModelMisconfigured where no provider is configured.
    """
    configured = providers()
    if not configured:
        raise ModelMisconfigured("no model is configured")
    if model and not is_demonstration():
        return replace(configured[0], model=model)
    return configured[0]


def select_questions(
    since: datetime, until: datetime | None, limit: int, edition: int | None = None
) -> list[UUID]:
    """Ids of the period's most recent questions whose replies have ended, oldest first; of those
    alone whose replies rest on an edition, if one is given.
    """
    settled = Message.objects.settled().between(since, until)
    if edition is not None:
        settled = settled.filter(reply__edition=edition)
    newest_first = settled.order_by("-id")
    return list(newest_first.values_list("pk", flat=True)[:limit])[::-1]


# The questions ------------------------------------------------------------------------------
def _asked(keys: tuple[UUID, ...], trial: Trial) -> list[Asked]:
    """These questions, without those deleted meanwhile.

    The history is read as it is today: with later corrections, and with answers that were still
    pending in the same session when the question was asked.
    """
    questions = Message.objects.settled().filter(pk__in=keys).select_related("reply")
    found = [_with_history(question, trial) for question in questions.order_by("id")]
    connection.close()
    return found


def _with_history(question: Message, trial: Trial) -> Asked:
    reply = question.reply
    if question.selected_text:
        return Asked(question)
    rows = history.rows_before(reply.session_id, reply.id)
    given = _given_to(reply, question.content) if trial.former else None
    return Asked(question, history.from_rows(rows), history.cited(rows), given)


def _given_to(reply: Message, question: str) -> Excerpts:
    """The sections that a reply was given, as they were."""
    sections = Section.objects.in_bulk(reply.found)
    hits = [_hit(sections[key]) for key in reply.found if key in sections]
    return chosen(Found(reply.edition or 0, hits, None), question)


def _hit(section: Section) -> Hit:
    return Hit(
        section_id=section.pk,
        page_url=section.page_url,
        anchor=section.anchor,
        heading_path=section.heading_path,
        level=section.level,
        language=section.language,
        text=section.text,
        score=1.0,
        by_words=None,
        by_texts=None,
        by_questions=None,
        page_position=0,
    )


async def _prepare_all(found: list[Asked], trial: Trial) -> list[tuple[Case, Excerpts | None]]:
    """Each with its prompt, and the excerpts in it; no connection is left open."""

    async def prepare(asked: Asked) -> tuple[Case, Excerpts | None]:
        excerpts = await _excerpts(asked, trial)
        return _case(asked, excerpts, trial), excerpts

    try:
        return await _at_once(prepare, found, trial.concurrency)
    finally:
        await database.close_connections()


async def _excerpts(asked: Asked, trial: Trial) -> Excerpts | None:
    """Found as in a turn. None without a book, or about a passage."""
    question = asked.question
    if question.selected_text or trial.edition is None:
        return None
    if trial.former:
        return asked.given
    session, reply = question.session_id, question.reply.id
    retrieval = Retrieval(Question(question.content, session, page_url=question.page_url))
    opened = Opened(session, reply, asked.exchanges, list(asked.cited), trial.edition)
    return await retrieval.excerpts(opened)


def _case(asked: Asked, excerpts: Excerpts | None, trial: Trial) -> Case:
    question = asked.question
    return Case(
        session_id=question.session_id,
        question_id=question.id,
        asked_at=question.created_at,
        question=question.content,
        selected_text=question.selected_text,
        page_url=question.page_url,
        prompt=prompts.prompt_for(
            settings.BOOK_TITLE,
            question.content,
            question.selected_text,
            asked.exchanges,
            trial.find,
            excerpts=excerpts,
        ),
        stored=_stored(question.reply),
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
        **_resting_on(reply),
        reply_id=reply.id,
        first_token_ms=reply.first_token_ms,
        correction=reply.correction,
        feedback=reply.feedback,
        feedback_comment=reply.feedback_comment,
    )


def _resting_on(evidence: Message | Evidence) -> dict[str, Any]:
    names = ("edition", "grounding", "support", "misquotes", "sources", "nearest")
    return {name: getattr(evidence, name) for name in names}


def _cost(used: Message | completions.Completion, prices: Prices | None) -> Decimal | None:
    if used.prompt_tokens is None and used.completion_tokens is None:
        return None
    return cost(used.prompt_tokens or 0, used.completion_tokens or 0, prices)


# The answers --------------------------------------------------------------------------------
def compare(
    keys: list[UUID], trial: Trial, on_answer: Callable[[], object]
) -> Iterator[tuple[Case, Outcome]]:
    """Each question with its new answer, oldest first; `on_answer` is called after each answer.

    Raises ModelMisconfigured if the provider refuses the first question for its configuration.
    """
    with asyncio.Runner() as runner:
        try:
            for batch in _batches(keys, trial.concurrency * BATCH):
                prepared = runner.run(_prepare_all(_asked(batch, trial), trial))
                outcomes = runner.run(_ask_all(prepared, trial, on_answer))
                if batch[0] == keys[0]:
                    _check(outcomes)
                yield from zip((case for case, _ in prepared), outcomes, strict=True)
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
    prepared: list[tuple[Case, Excerpts | None]], trial: Trial, on_answer: Callable[[], object]
) -> list[Outcome]:
    async def ask(case_and_excerpts: tuple[Case, Excerpts | None]) -> Outcome:
        outcome = await _ask(*case_and_excerpts, trial)
        on_answer()
        return outcome

    return await _at_once(ask, prepared, trial.concurrency)


async def _at_once[A, B](work: Callable[[A], Awaitable[B]], items: list[A], most: int) -> list[B]:
    """The results in the items' order; no more than `most` are worked on at the same time."""
    slots = asyncio.Semaphore(most)

    async def one(item: A) -> B:
        async with slots:
            return await work(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]


async def _ask(case: Case, excerpts: Excerpts | None, trial: Trial) -> Outcome:
    """A failure is an outcome too."""
    try:
        completion = await completions.complete(case.prompt, asked=(trial.provider,))
        text, evidence = _cited(case, excerpts, completion.text, trial)
    except ModelError as error:
        return Outcome(
            status=Message.Status.FAILED.value,
            error_code=error.code,
            reason=str(error),
            model=trial.provider.model,
        )
    return Outcome(
        status=Message.Status.COMPLETE.value,
        answer=text,
        model=completion.model,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        cost=_cost(completion, trial.prices),
        latency_ms=completion.latency_ms,
        **_resting_on(evidence),
    )


def _cited(
    case: Case, excerpts: Excerpts | None, written: str, trial: Trial
) -> tuple[str, Evidence]:
    """The answer as its reader would get it, and what it rests on."""
    if excerpts is None:
        about_passage = case.selected_text and trial.edition is not None
        evidence = of_passage(written, case.selected_text, case.question)
        return written, evidence if about_passage else NOTHING
    citing = Citing(excerpts, case.question)
    text = citing.feed(written) + citing.finish("")
    if not text.strip():
        raise ModelUnavailable("the answer is nothing but marks")
    return text, of_answer(text, citing.cited, case.question)
