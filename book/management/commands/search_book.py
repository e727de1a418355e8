"""What a reader's question finds in the book, and why."""

import asyncio
from argparse import ArgumentParser
from textwrap import shorten
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from loguru import logger

from book.evaluation import Case, Tried, try_one
from book.search import Hit, Rank
from book.terminal import harmless
from llm import completions

TEXT_CHARS = 200


class Command(BaseCommand):
    requires_system_checks = ["environment"]  # others load all of the API
    help = (
        "Search the book as a reader's question does: the sections that are found, their place in "
        "each ranking (words, texts, questions), and the times."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--before", default="", help="the question before it")
        parser.add_argument("--page-url", default="", metavar="URL", help="where the reader is")
        parser.add_argument("--limit", type=int, default=5, choices=range(1, 11), metavar="1-10")

    def handle(self, **options: Any) -> None:
        logger.disable("llm")  # `book` logs why there is no vector
        case = Case(options["question"], before=options["before"])
        with asyncio.Runner() as runner:
            try:
                tried = try_one(case, runner, options["page_url"])
            except LookupError as error:
                raise CommandError(f"{error} Run manage.py index_book.") from error
            finally:
                runner.run(completions.close_clients())
        for number, hit in enumerate(tried.found.hits[: options["limit"]], 1):
            self.stdout.write(harmless(described(number, hit)))
        self.stdout.write(summary(tried))


def described(number: int, hit: Hit) -> str:
    places = ", ".join(
        f"{name} {_place(rank)}"
        for name, rank in (
            ("words", hit.by_words),
            ("texts", hit.by_texts),
            ("questions", hit.by_questions),
        )
    )
    text = shorten(hit.text, TEXT_CHARS, placeholder=" …")
    return (
        f"{number}. {hit.page_title}: {hit.path}\n   {hit.url} (section {hit.section_id})\n"
        f"   score {hit.score:.3f}; {places}\n   {text}\n"
    )


def _place(rank: Rank | None) -> str:
    return f"{rank.place}. ({rank.score:.3f})" if rank else "-"


def summary(tried: Tried) -> str:
    found = tried.found
    sureness = "unknown" if found.sureness is None else f"{found.sureness:.3f}"
    return (
        f"Edition {found.edition}; sureness {sureness}; "
        f"embedding {tried.embedding_ms:.0f} ms, statement {tried.statement_ms:.0f} ms."
    )
