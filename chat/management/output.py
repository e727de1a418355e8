"""Where commands write their output."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import mkstemp
from typing import TextIO

from django.core.management.base import CommandError

# Links that the system itself provides; `>(gzip > file)` of a shell is one, too.
SYSTEM_LINKS = re.compile(r"/dev/(stdout|stderr|fd/\d+)")


@contextmanager
def opened(name: str) -> Iterator[TextIO]:
    """A text file (UTF-8) that appears under its name only once it is complete, for its owner
    alone; - is standard output.

    What was written to a file so far can be read back from it. What exists and is no file (a
    device such as /dev/null, a pipe) is written to and not replaced. Raises CommandError for what
    cannot be written and for a symbolic link, which may lead into somebody else's file.
    """
    if name == "-":
        yield _standard_output()
        return
    try:
        with _pipe_or_device(name) or _complete_file(Path(name)) as output:
            yield output
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from error


def _standard_output() -> TextIO:
    """In UTF-8 and with the line ends of a file, whatever the terminal's language."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    return sys.stdout


def _pipe_or_device(name: str) -> TextIO | None:
    path = Path(name)
    if SYSTEM_LINKS.fullmatch(name):
        return path.open("w", encoding="utf-8", newline="")
    if path.is_symlink():
        raise CommandError(f"{name} is a symbolic link. Name the file itself.")
    if path.is_file() or not path.exists():
        return None
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


@contextmanager
def _complete_file(path: Path) -> Iterator[TextIO]:
    # Under a name that nobody can guess and take; readable and writable for its owner alone.
    descriptor, draft = mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(descriptor, "w+", encoding="utf-8", newline="") as output:
            yield output
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
