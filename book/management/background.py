"""A run of indexing without a terminal, as the admin starts it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from loguru import logger

NICENESS = 10  # readers' turns come first


class LogObserver:
    """Notes and warnings are lines of the log; progress is in the run's row alone."""

    def note(self, sentence: str) -> None:
        logger.info(sentence)

    def warn(self, sentence: str) -> None:
        logger.warning(sentence)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], object]]:
        yield lambda more: None


def lower_priority() -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def end_with(pipe: int) -> None:
    """End this process as soon as nobody has the pipe's other end any more."""

    def wait() -> None:
        os.read(pipe, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, daemon=True).start()
