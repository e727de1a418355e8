"""Read the book and make it the current edition."""

from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from loguru import logger

from book import index, runs
from book.management.background import LogObserver, end_with, lower_priority
from book.management.console import ConsoleObserver
from book.models import Edition


class Command(BaseCommand):
    requires_system_checks = ["environment"]  # others load all of the API
    help = (
        "Read the book, have questions written for its sections, embed it, and make the result "
        "the current edition. What did not change since the last time is not done again. Where it "
        "fails the current edition stays, and the next run goes on from there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "source",
            nargs="?",
            metavar="SOURCE",
            help="an http(s) address, the folder of a built site or of Markdown, or an EPUB "
            "(default: BOOK_SOURCE)",
        )
        parser.add_argument(
            "--no-questions",
            action="store_true",
            help="ask the model for no questions; those that are there stay",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, and store nothing"
        )
        parser.add_argument(
            "--if-none", action="store_true", help="do nothing where a book is indexed already"
        )
        # As the admin starts it: the key of the run's row, and a pipe that ends with the server.
        parser.add_argument("--run", type=int, help=SUPPRESS)
        parser.add_argument("--ends-with", type=int, help=SUPPRESS)

    def handle(self, **options: Any) -> None:
        source = options["source"] or settings.BOOK_SOURCE
        if options["if_none"] and (not source or Edition.objects.current().exists()):
            return
        if not source:
            raise CommandError("There is nothing to read: name a SOURCE, or set BOOK_SOURCE.")
        if options["run"]:
            self.index_for_staff(source, options["run"], options["ends_with"])
            return
        for package in ("book", "llm"):  # what goes wrong is printed
            logger.disable(package)
        try:
            self.stdout.write(self.index(source, not options["no_questions"], options["dry_run"]))
        except Exception as error:
            if sentence := runs.sentence(error):
                raise CommandError(sentence) from error
            raise

    def index(self, source: str, with_questions: bool, is_dry_run: bool) -> str:
        observer = ConsoleObserver(self)
        if (
            settings.BOOK_URL
            and source != settings.BOOK_SOURCE
            and Path(source).expanduser().exists()
        ):
            observer.note(f"The sections' addresses begin with BOOK_URL: {settings.BOOK_URL}")
        if is_dry_run:
            changes = index.dry_run(source, observer, with_questions=with_questions)
            return f"{changes} Nothing was stored."
        return index.run(source, observer, with_questions=with_questions).sentence

    def index_for_staff(self, source: str, run: int, pipe: int | None) -> None:
        """In the background: what happens is in the run's row and in the server's log."""
        lower_priority()
        if pipe is not None:
            end_with(pipe)
        try:
            result = index.run(source, LogObserver(), announced=run)
            logger.info("The book was indexed. {}", result.sentence)
        except Exception as error:
            if not (sentence := runs.sentence(error)):
                raise
            logger.error("The book was not indexed. {}", sentence)
            runs.fail(run, sentence)
            raise SystemExit(1) from error
