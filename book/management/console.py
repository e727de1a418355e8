"""A run of indexing, as a terminal shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management.base import BaseCommand
from tqdm import tqdm

from book.terminal import harmless


class ConsoleObserver:
    """Notes go to standard output, warnings to standard error, progress to a terminal alone."""

    def __init__(self, command: BaseCommand) -> None:
        self._command = command

    def note(self, sentence: str) -> None:
        self._command.stdout.write(harmless(sentence))
        self._command.stdout.flush()

    def warn(self, sentence: str) -> None:
        self._command.stderr.write(self._command.style.WARNING(harmless(sentence)))

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], object]]:
        with tqdm(total=total, unit=f" {what}", disable=None) as bar:
            yield bar.update
