"""Take questions and replies out, as JSONL or CSV, however many there are."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from chat.export import FORMATS, batches
from chat.management.arguments import moment
from chat.models import Message


class Command(BaseCommand):
    help = "Write each question with its reply as one line of JSON, or one row of CSV."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, metavar="DATE", help="asked then or later")
        parser.add_argument("--until", type=moment, metavar="DATE", help="asked before then")
        parser.add_argument("--format", choices=FORMATS, default="jsonl")
        parser.add_argument("--output", metavar="FILE", default="-", help="- is standard output")

    def handle(self, **options: Any) -> None:
        header, told = FORMATS[options["format"]]
        questions = Message.objects.questions().between(options["since"], options["until"])
        written = 0
        with opened(options["output"]) as output, tqdm(unit=" questions", disable=None) as progress:
            output.write(header)
            for rows in batches(questions):
                output.write(told(rows))
                written += len(rows)
                progress.update(len(rows))
        self.stderr.write(f"Exported {written} questions.", style_func=str)


@contextmanager
def opened(name: str) -> Iterator[TextIO]:
    """A file that appears under its name only once it is complete; what is there and is no file (a
    device such as /dev/null, a pipe) is written to, and not replaced.
    """
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    replaced = path.is_file() or not path.exists()
    target = path.with_name(f"{path.name}.partial") if replaced else path
    try:
        with target.open("w", encoding="utf-8", newline="") as output:
            yield output
        if replaced:
            target.replace(path)
    except OSError as error:
        raise CommandError(f"{name} cannot be written: {error.strerror}.") from error
    finally:
        if replaced:
            target.unlink(missing_ok=True)
