"""A run of indexing: read the book, write questions, embed, publish.

Each step stores what it has as it goes, in a draft that nobody searches; so a run that fails, or is
killed, costs what it was just doing, and the current edition stays. Runs wait for each other.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from book import editions, embedding, questions, runs, vectors
from book.editions import Changes
from book.locks import locked
from book.models import Edition
from book.questions import Task
from book.read.pages import SourceError
from book.read.source import read_book
from book.runs import LOCK, Observer
from llm import completions
from llm.embeddings import embedding_model, embedding_model_name
from llm.prices import cost
from llm.providers import is_demonstration, providers
from llm.spending import Spending


@dataclass(frozen=True, slots=True)
class Result:
    """`edition` is the number of the one that the run has published, or None: nothing changed."""

    edition: int | None
    changes: Changes
    sentence: str


def run(
    source: str, observer: Observer, *, with_questions: bool = True, announced: int | None = None
) -> Result:
    """Index the book, and make the result the current edition if it differs from that.

    `announced` is the key of the run's row, where there is one already. Raises what `runs.sentence`
    has a sentence for; then the current edition stays.
    """
    with (
        _alone(observer),
        runs.recorded(source, observer, announced) as record,
        asyncio.Runner() as runner,
    ):
        try:
            result = _run(source, record, with_questions, runner)
        finally:
            runner.run(completions.close_clients())
        record.end(result.sentence)
        return result


@contextmanager
def _alone(observer: Observer) -> Iterator[None]:
    with locked(LOCK, lambda: observer.note("Waiting for another index_book to end.")):
        yield


def _run(source: str, observer: Observer, with_questions: bool, runner: asyncio.Runner) -> Result:
    draft = editions.open_draft(source)
    read(draft, observer)
    spending = Spending()
    if with_questions:
        write_questions(draft, observer, runner, spending)
    make_chunks(draft, observer, runner)
    changes = editions.changes(draft)
    if editions.is_as_current(draft):
        editions.discard(draft)
        return Result(None, changes, "Nothing has changed.")
    draft.added_count, draft.removed_count = changes.added, changes.removed
    draft.save()
    if draft.dimension:
        vectors.ensure_indexes(draft.embedding_model, draft.dimension)
    editions.publish(draft)
    editions.tidy()
    _analyze()
    sentence = (
        f"Edition {draft.number} is current: {draft.page_count} pages, {draft.section_count} "
        f"sections, {draft.question_count} questions. {changes}"
    )
    return Result(draft.number, changes, sentence)


def dry_run(source: str, observer: Observer, *, with_questions: bool = True) -> Changes:
    """Read the book and say what would change; nothing is stored, and no model is asked.

    Raises SourceError or locks.Unreachable.
    """
    with _alone(observer), transaction.atomic():
        draft = editions.open_draft(source)
        read(draft, observer)
        if with_questions:
            _todo(draft, observer)
        changes = editions.changes(draft)
        transaction.set_rollback(True)
        return changes


# Reading ------------------------------------------------------------------------------------
def read(draft: Edition, observer: Observer) -> None:
    """Put the pages of the book into the draft, as they are now."""
    pages: list[int] = []
    with observer.progress("pages", None) as done:
        found = read_book(
            draft.source,
            book_url=settings.BOOK_URL,
            known=editions.known_validators(draft),
            on_problem=observer.warn,
        )
        for position, each in enumerate(found):
            pages += editions.put_page(draft, position, each)
            done(1)
    editions.drop_pages_except(draft, pages)
    draft.fingerprint = editions.fingerprint(draft)
    draft.save()
    if not pages:
        raise SourceError(f"{draft.source} has no page with text.")


# Questions ----------------------------------------------------------------------------------
def write_questions(
    draft: Edition, observer: Observer, runner: asyncio.Runner, spending: Spending
) -> None:
    """Have questions written for what has none yet; says before what that costs."""
    todo = _todo(draft, observer)
    if not todo:
        return
    try:
        with observer.progress("sections with questions", len(todo)) as done:

            def on_done(task: Task, problem: str) -> None:
                if problem:
                    path = " > ".join(task.heading_path)
                    observer.warn(f"No questions for “{path}”: {problem}.")
                done(1)

            questions.write(todo, runner, spending, on_done)
    finally:  # what was spent is counted, whatever comes then
        draft.prompt_tokens += (spending.prompt_tokens or 0) + spending.estimated
        draft.completion_tokens += spending.completion_tokens or 0
        draft.save(update_fields=["prompt_tokens", "completion_tokens"])


def _todo(draft: Edition, observer: Observer) -> list[Task]:
    if is_demonstration():
        observer.note("No questions are written: the demonstration model is too small for that.")
        return []
    todo = questions.tasks(draft)
    if todo and not providers():
        observer.note("No questions are written: no model is configured.")
        return []
    if todo:
        observer.note(_cost_sentence(todo))
        most = max(map(questions.tokens_of_answer, todo))
        if most > settings.LLM_MAX_OUTPUT_TOKENS:
            observer.warn(
                f"An answer with all questions has about {most:,} tokens, more than "
                f"LLM_MAX_OUTPUT_TOKENS ({settings.LLM_MAX_OUTPUT_TOKENS:,}) lets the model write: "
                "raise it, or questions will be missing."
            )
    return todo


def _cost_sentence(todo: list[Task]) -> str:
    prompts, answers = questions.estimate(todo)
    money = cost(prompts, answers, settings.LLM_PRICE_PER_MILLION)
    price = "" if money is None else f", for about {money:.2f} by LLM_PRICE_PER_MILLION"
    return (
        f"Sections without questions: {len(todo)}. To ask for them takes about {prompts:,} tokens "
        f"of prompts and {answers:,} of answers{price}."
    )


# Chunks -------------------------------------------------------------------------------------
def make_chunks(draft: Edition, observer: Observer, runner: asyncio.Runner) -> None:
    """Embed and store the chunks that are missing."""
    draft.embedding_model = embedding_model_name()
    draft.save(update_fields=["embedding_model"])
    if not draft.embedding_model:
        observer.warn("No embedding model is configured: the book is searched by its words alone.")
    missing = embedding.missing(draft)
    total, spending = sum(map(len, missing)), Spending()
    if total:
        model = embedding_model()  # which may have to start it
        try:
            with observer.progress("chunks", total) as done:
                embedding.store(
                    draft, missing, model, runner=runner, spending=spending, on_stored=done
                )
        finally:  # what was spent is counted, whatever comes then
            draft.embedding_tokens += spending.tokens
            draft.save(update_fields=["embedding_tokens"])
    draft.dimension = embedding.dimension(draft)
    draft.save(update_fields=["dimension"])


def _analyze() -> None:
    """The planner's statistics are outdated now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE book_edition, book_page, book_place, book_section, book_chunk, book_lexeme, "
            "book_posting"
        )


__all__ = ["Observer", "Result", "SourceError", "dry_run", "run"]
