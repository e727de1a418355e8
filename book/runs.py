"""Runs of indexing, as staff see them: what one does, and how it ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from typing import Any, Protocol

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from book.editions import storable
from book.locks import Unreachable, is_locked
from book.models import Run
from book.questions import TooManyFailures
from book.read.pages import SourceError
from llm.errors import ModelError

LOCK = 0x626F6F6B  # "book" in ASCII
START_SECONDS = 60
KEPT_RUNS = 100
KEPT_WARNINGS = 20
SAVED_EVERY_SECONDS = 0.5
KEPT = "The current edition stays, and what was done so far is kept for the next run."
UNEXPECTED = "It failed unexpectedly; the log says why."
INTERRUPTED = f"It was interrupted. {KEPT}"


class Observer(Protocol):
    """Who watches a run."""

    def note(self, sentence: str) -> None: ...

    def warn(self, sentence: str) -> None: ...

    def progress(
        self, what: str, total: int | None
    ) -> AbstractContextManager[Callable[[int], object]]:
        """Gives a function that is called with how many more are done."""


def sentence(error: BaseException) -> str:
    """Why a run has failed, for people; empty for what nobody expects."""
    match error:
        case SourceError():
            return str(error)
        case Unreachable() | DatabaseError():
            return f"PostgreSQL failed: {str(error).partition('\n')[0]}. {KEPT}"
        case ModelError() | TooManyFailures():
            return f"The model's service failed: {error}. {KEPT}"
        case _:
            return ""


# What is known about runs -------------------------------------------------------------------
def is_running() -> bool:
    """Whether a run works now, be it on another host or by hand."""
    return is_locked(LOCK)


def is_starting(run: Run) -> bool:
    """Whether it was announced, and its process may not have come to work yet."""
    age = timezone.now() - run.started_at
    return not (run.ended_at or run.stage) and age < timedelta(seconds=START_SECONDS)


def announce(source: str) -> Run | None:
    """A row for a run that is about to be started; None while another one works."""
    with transaction.atomic():
        with connection.cursor() as cursor:  # of two who ask at once, one comes first
            cursor.execute("LOCK TABLE book_run IN SHARE ROW EXCLUSIVE MODE")
        latest = Run.objects.first()
        if is_running() or (latest and is_starting(latest)):
            return None
        return Run.objects.create(source=source)


def fail(key: int, error: str) -> None:
    """End the run, unless it has an end already."""
    Run.objects.filter(pk=key, ended_at=None).update(ended_at=timezone.now(), error=storable(error))


# Keeping a run's row ------------------------------------------------------------------------
class Record:
    """An observer who keeps what happens in the run's row, and passes it on."""

    def __init__(self, run: Run, observer: Observer) -> None:
        self._run = run
        self._observer = observer
        self._saved_at = 0.0

    def note(self, sentence: str) -> None:
        self._observer.note(sentence)

    def warn(self, sentence: str) -> None:
        self._observer.warn(sentence)
        if self._run.warning_count < KEPT_WARNINGS:
            self._run.warnings.append(storable(sentence))
        self._run.warning_count += 1

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], object]]:
        self.save(stage=what, done=0, total=total)

        def advance(more: int) -> None:
            done(more)
            self._run.done += more
            if time.monotonic() - self._saved_at > SAVED_EVERY_SECONDS:
                self.save()

        with self._observer.progress(what, total) as done:
            yield advance
        self.save()

    def end(self, result: str = "", error: str = "") -> None:
        with suppress(DatabaseError):  # which may be what has failed
            self.save(result=result, error=storable(error), ended_at=timezone.now())

    def save(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._run, name, value)
        self._run.save()
        self._saved_at = time.monotonic()


@contextmanager
def recorded(source: str, observer: Observer, announced: int | None) -> Iterator[Record]:
    """Keep the run's row: the one that was announced, or a new one."""
    run = (announced and Run.objects.filter(pk=announced).first()) or Run(source=source)
    record = Record(run, observer)
    record.save(stage="preparing")
    Run.objects.filter(pk__lte=run.pk - KEPT_RUNS).delete()
    try:
        yield record
    except Exception as error:
        record.end(error=sentence(error) or UNEXPECTED)
        raise
