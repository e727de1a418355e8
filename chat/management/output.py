"""Where commands write their output."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from django.core.management.base import CommandError


@contextmanager
def opened(name: str) -> Iterator[TextIO]:
    """A file that appears under its name only once it is complete; - is standard output.

    What was written to a file so far can be read back from it. What is there and is no file (a
    device such as /dev/null, a pipe) is written to, and not replaced.
    """
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    replaced = path.is_file() or not path.exists()
    target = path.with_name(f"{path.name}.partial") if replaced else path
    try:
        with target.open("w+" if replaced else "w", encoding="utf-8", newline="") as output:
            yield output
        if replaced:
            target.replace(path)
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from error
    finally:
        if replaced:
            target.unlink(missing_ok=True)
