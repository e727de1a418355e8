"""Read the book and make it the current edition."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from loguru import logger

from book import index
from book.editions import Changes
from book.locks import Unreachable
from book.management.console import ConsoleObserver
from book.models import Edition
from book.questions import TooManyFailures
from llm.errors import ModelError

KEPT = "The current edition stays, and what was done so far is kept for the next run."


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

    def handle(self, **options: Any) -> None:
        for package in ("book", "llm"):  # what goes wrong is printed
            logger.disable(package)
        source = options["source"] or settings.BOOK_SOURCE
        if options["if_none"] and (not source or Edition.objects.current().exists()):
            return
        if not source:
            raise CommandError("There is nothing to read: name a SOURCE, or set BOOK_SOURCE.")
        try:
            self.index(source, not options["no_questions"], options["dry_run"])
        except (index.SourceError, index.NothingFound) as error:
            raise CommandError(str(error)) from error
        except (Unreachable, DatabaseError) as error:
            reason = str(error).partition("\n")[0]
            raise CommandError(f"PostgreSQL failed: {reason}. {KEPT}") from error
        except (ModelError, TooManyFailures) as error:
            raise CommandError(f"The model's service failed: {error}. {KEPT}") from error

    def index(self, source: str, with_questions: bool, is_dry_run: bool) -> None:
        observer = ConsoleObserver(self)
        if is_dry_run:
            changes = index.dry_run(source, observer, with_questions=with_questions)
            self.stdout.write(f"{sentence(changes)} Nothing was stored.")
            return
        result = index.run(source, observer, with_questions=with_questions)
        if result.edition is None:
            self.stdout.write("Nothing has changed.")
            return
        edition = Edition.objects.get(number=result.edition)
        self.stdout.write(
            f"Edition {edition.number} is current: {edition.page_count} pages, "
            f"{edition.section_count} sections, {edition.question_count} questions. "
            f"{sentence(result.changes)}"
        )


def sentence(changes: Changes) -> str:
    return (
        f"{changes.added} sections are new or changed, {changes.removed} are gone or were changed."
    )
