"""Ask stored questions again, with another model or other prompts, and report what changed."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template import TemplateSyntaxError
from django.template.loader import get_template
from loguru import logger
from tqdm import tqdm

from book.models import Edition
from chat import prompts
from chat.management.arguments import check_order, moment, prices, whole_number
from chat.management.output import opened
from llm.errors import ModelMisconfigured
from llm.providers import is_demonstration
from review import replay, replay_report

DEMONSTRATION = (
    "The answers come from the small demonstration model, whatever --model says, and tell nothing "
    "about another one: set OPENAI_API_KEY, OPENAI_BASE_URL or GEMINI_API_KEY."
)


class Command(BaseCommand):
    help = (
        "Ask stored questions again, each with its history, with another model or other prompts, "
        "and write a report (HTML and JSONL) that compares the stored answers with the new ones. "
        "Only the first configured provider is asked. Nothing is stored, and nothing counts "
        "towards CHAT_RATE or CHAT_DAILY_TOKEN_BUDGET; the provider bills the calls as usual."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=moment, required=True, metavar="DATE", help="asked at or after DATE"
        )
        parser.add_argument("--until", type=moment, metavar="DATE", help="asked before DATE")
        parser.add_argument(
            "--limit",
            type=whole_number(1, replay.MAX_QUESTIONS),
            default=50,
            metavar="N",
            help="only the most recent N of these (default: 50), asked oldest first",
        )
        parser.add_argument(
            "--model",
            metavar="NAME",
            help="another model of the same provider (default: the configured one)",
        )
        parser.add_argument(
            "--prompts",
            type=Path,
            metavar="FOLDER",
            help=f"a folder with edited {', '.join(prompts.FILES)}; missing ones stay as they are",
        )
        parser.add_argument(
            "--edition",
            type=whole_number(1, 2**31 - 1),
            metavar="N",
            help="the book's edition (default: the current one, which is searched anew; of another "
            "one, questions are asked with the excerpts that their answers were given then)",
        )
        parser.add_argument(
            "--price",
            type=prices,
            metavar="IN,OUT",
            help="price of a million tokens for the new answers (default: LLM_PRICE_PER_MILLION)",
        )
        parser.add_argument(
            "--concurrency",
            type=whole_number(1, 32),
            default=4,
            metavar="N",
            help="questions asked at the same time (default: 4)",
        )
        parser.add_argument(
            "--output",
            default="replay",
            metavar="NAME",
            help="write NAME.html and NAME.jsonl, once they are complete (default: replay)",
        )

    def handle(self, **options: Any) -> None:
        for package in ("chat", "llm"):  # failures are in the report, or printed below
            logger.disable(package)
        check_order(options["since"], options["until"])
        edition, former = self.edition(options["edition"])
        keys = replay.select_questions(
            options["since"], options["until"], options["limit"], edition if former else None
        )
        edited, find = templates(options["prompts"])
        if not keys:
            of_edition = f" that was answered from edition {edition}" if former else ""
            self.stdout.write(
                f"There is no answered question in this period{of_edition}. Nothing was written."
            )
            return
        if is_demonstration():
            self.stderr.write(self.style.WARNING(DEMONSTRATION))
        try:
            trial = replay.Trial(
                provider=replay.provider(options["model"]),
                find=find,
                edited=edited,
                prices=options["price"] or settings.LLM_PRICE_PER_MILLION,
                edition=edition,
                former=former,
                concurrency=options["concurrency"],
            )
            self.replay(keys, trial, options["output"])
        except ModelMisconfigured as error:
            raise CommandError(
                f"The provider refused the first question ({error}): check its address, its key "
                "and the model's name. Nothing was written."
            ) from error

    def edition(self, number: int | None) -> tuple[int | None, bool]:
        """The edition's number, None without a book; and whether it is a former one."""
        current = Edition.objects.current().values_list("number", flat=True).first()
        if number in (None, current):
            return current, False
        if not Edition.objects.published().filter(number=number).exists():
            now = f"the current one is {current}" if current else "no book is indexed"
            raise CommandError(f"There is no edition {number}; {now}.")
        self.stderr.write(
            f"Only the current edition ({current}) can be searched. Questions that were answered "
            f"from edition {number} are asked with the excerpts that they were given then; others "
            "are left out."
        )
        return number, True

    def replay(self, keys: list[Any], trial: replay.Trial, name: str) -> None:
        pages, lines = f"{name}.html", f"{name}.jsonl"
        with (
            opened(pages) as page,
            opened(lines) as written,
            tqdm(total=len(keys), unit=" questions", disable=None) as progress,
        ):
            rows = replay_report.report(keys, trial, page, written, progress.update)
        self.stdout.write(aligned([("", "Stored", "Replayed"), *rows]))
        self.stdout.write(f"The answers are in {pages} and {lines}.")


def aligned(rows: list[tuple[str, str, str]]) -> str:
    """The rows as columns, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def templates(folder: Path | None) -> tuple[tuple[str, ...], prompts.Find]:
    """The names of the edited templates, and a finder for all templates."""
    if folder is None:
        return (), get_template
    try:
        edited, find = prompts.edited(folder)
    except (OSError, UnicodeError, TemplateSyntaxError) as error:
        raise CommandError(f"A prompt in {folder} cannot be used: {error}") from error
    if not edited:
        raise CommandError(f"{folder} contains none of {', '.join(prompts.FILES)}.")
    return tuple(edited), find
