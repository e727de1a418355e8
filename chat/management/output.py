"""Where commands write what they made."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from django.core.management.base import CommandError


@contextmanager
def opened(name: str) -> Iterator[TextIO]:
    """A file that appears under its name only once it is complete; - is standard output.

    What was written to a file so far can be read back from it.
    """
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w+", encoding="utf-8", newline="") as output:
            yield output
        partial.replace(path)
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
