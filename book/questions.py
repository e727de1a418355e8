"""Questions that readers could ask, written by the model while the book is indexed.

Readers ask in other words than the book's, so questions in such words find what the book's words do
not. They are searched and never shown. A section's content is asked about once, whatever edition or
page it is in.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.template.loader import get_template

from book import languages
from book.models import Edition, Place, Question, QuestionSet, Section
from llm import completions
from llm.completions import Prompt
from llm.errors import ModelError, ModelMisconfigured, ModelRateLimited, ModelTimeout
from llm.spending import Spending, estimated_tokens

TEMPLATE = "book/prompts/questions.txt"
MIN_SECTION_WORDS = 10  # less says nothing that could be asked for
MAX_SECTION_CHARS = 12_000
TOKENS_OF_QUESTION = 22  # on average, in English

CALLS_AT_ONCE = 4
BATCH = 2 * CALLS_AT_ONCE  # asked for before they are stored
RATE_LIMITED_TRIES = 6
LONGEST_PAUSE_SECONDS = 60
# So many failures in a row are no section's fault.
FAILURES_IN_A_ROW = 5

# How lists begin, and what models put around a line.
LIST_MARK = re.compile(r"^(?:[-*•·>#]+|\(?\d{1,3}[.):]|[QF]\d*[.:)])\s*")
WRAPPING = " \t*_`\"'“”„«»"
QUESTION_MARKS = ("?", "\uff1f", "\u061f", "\u037e")  # Latin, wide, Arabic, Greek
MIN_CHARS, MAX_CHARS = 6, 300


class TooManyFailures(Exception):
    """The model fails for one section after the other; what was written so far is stored."""


@dataclass(frozen=True, slots=True)
class Task:
    """A section's content that is to be asked about, and in which languages."""

    content_hash: str
    heading_path: list[str]
    text: str
    languages: list[str]  # tags

    def prompt(self) -> Prompt:
        fence = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        words = {
            "book_title": settings.BOOK_TITLE,
            "fence": fence,
            "number": settings.BOOK_QUESTIONS,
            "languages": [languages.english_name(each) for each in self.languages],
            "path": " > ".join(self.heading_path),
            "text": self.text[:MAX_SECTION_CHARS],
        }
        return [{"role": "user", "content": get_template(TEMPLATE).render(words).strip()}]

    @property
    def most(self) -> int:
        return settings.BOOK_QUESTIONS * len(self.languages)


# What is to be asked ------------------------------------------------------------------------
def tasks(draft: Edition) -> list[Task]:
    """The contents of the draft that were not asked about yet, with the languages that are missing.

    Two sections with the same content are asked about once.
    """
    if not settings.BOOK_QUESTIONS:
        return []
    places = Place.objects.filter(edition=draft, section=OuterRef("pk"))
    asked = dict(QuestionSet.objects.values_list("content_hash", "languages"))
    found: dict[str, Task] = {}
    for section in Section.objects.filter(Exists(places)).defer("sketch").order_by("pk"):
        known = asked.get(section.content_hash, ())
        missing = [each for each in _languages(section) if each not in known]
        if missing and len(section.text.split()) >= MIN_SECTION_WORDS:
            task = Task(section.content_hash, section.heading_path, section.text, missing)
            found.setdefault(section.content_hash, task)
    return list(found.values())


def _languages(section: Section) -> list[str]:
    own = section.language or "en"
    others = [
        each
        for each in settings.BOOK_LANGUAGES
        if languages.base_of(each) != languages.base_of(own)
    ]
    return [own, *others]


def estimate(todo: Sequence[Task]) -> tuple[int, int]:
    """About how many tokens the prompts and the answers have."""
    prompts = sum(estimated_tokens(len(each.prompt()[0]["content"])) for each in todo)
    return prompts, sum(map(tokens_of_answer, todo))


def tokens_of_answer(task: Task) -> int:
    """About how many tokens all questions of a content take."""
    return task.most * TOKENS_OF_QUESTION


# Asking -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Outcome:
    task: Task
    lines: list[str]
    model: str = ""
    failure: ModelError | None = None


def write(
    todo: Sequence[Task],
    runner: asyncio.Runner,
    spending: Spending,
    on_done: Callable[[Task, str], None],
) -> None:
    """Ask for and store the questions; `on_done` gets each content, with what went wrong or "".

    Raises ModelMisconfigured or TooManyFailures; what was written is stored.
    """
    in_a_row = 0
    for batch in _batches(todo):
        for outcome in runner.run(_ask_all(batch, spending)):
            failure = outcome.failure
            if isinstance(failure, ModelMisconfigured):
                raise failure
            in_a_row = in_a_row + 1 if failure and _may_pass(failure) else 0
            if in_a_row == FAILURES_IN_A_ROW:
                raise TooManyFailures(str(failure)) from failure
            on_done(outcome.task, _store(outcome))


def _batches(todo: Sequence[Task]) -> Iterator[tuple[Task, ...]]:
    """The first one alone, to see whether the model is configured correctly."""
    yield from batched(todo[:1], 1)
    yield from batched(todo[1:], BATCH)


async def _ask_all(batch: Sequence[Task], spending: Spending) -> list[Outcome]:
    slots = asyncio.Semaphore(CALLS_AT_ONCE)

    async def ask(task: Task) -> Outcome:
        async with slots:
            return await _ask(task, spending)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(task)) for task in batch]
    return [each.result() for each in asked]


async def _ask(task: Task, spending: Spending) -> Outcome:
    for attempt in range(1, RATE_LIMITED_TRIES + 1):
        try:
            completion = await completions.complete(task.prompt(), spending=spending)
        except ModelRateLimited as failure:
            if attempt == RATE_LIMITED_TRIES:
                return Outcome(task, [], failure=failure)
            pause = max(failure.retry_after or 0, 2**attempt)
            await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        except ModelError as failure:
            return Outcome(task, [], failure=failure)
        else:
            return Outcome(task, questions_in(completion.text)[: task.most], completion.model)
    raise AssertionError("unreachable")  # pragma: no cover


def questions_in(answer: str) -> list[str]:
    """The lines of an answer that are questions, each once."""
    lines = (_unwrapped(line) for line in answer.splitlines())
    questions = (
        line
        for line in lines
        if line.endswith(QUESTION_MARKS) and MIN_CHARS <= len(line) <= MAX_CHARS
    )
    return list(dict.fromkeys(questions))


def _unwrapped(line: str) -> str:
    line = line.replace("\0", "").strip(WRAPPING)
    return LIST_MARK.sub("", line).strip(WRAPPING)


def _may_pass(failure: ModelError) -> bool:
    """Whether it has to do with the moment, and not with the section."""
    return failure.is_transient or isinstance(failure, ModelTimeout)


@transaction.atomic
def _store(outcome: Outcome) -> str:
    """Store what was written; returns what is wrong with it, or "".

    An answer without a question counts as an answer, as it would be the same the next time; so does
    a refusal that has nothing to do with the moment.
    """
    task, failure = outcome.task, outcome.failure
    if failure and _may_pass(failure):
        return str(failure)
    questions, _ = QuestionSet.objects.get_or_create(
        content_hash=task.content_hash, defaults={"languages": []}
    )
    questions.languages = [*questions.languages, *task.languages]
    questions.model = outcome.model
    questions.save()
    found = languages.guess_among(outcome.lines, task.languages) if outcome.lines else []
    Question.objects.bulk_create(
        (
            Question(question_set=questions, language=language, text=text)
            for language, text in zip(found, outcome.lines, strict=True)
        ),
        ignore_conflicts=True,
    )
    if failure:
        return str(failure)
    return "" if outcome.lines else "no question in the answer"
