"""Export questions with their replies as JSONL or CSV, in constant memory."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from chat.management.arguments import check_order, moment
from chat.management.output import opened
from chat.models import Message
from review.export import FORMATS, batches


class Command(BaseCommand):
    help = "Write each question with its reply as one line of JSON or one row of CSV."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, metavar="DATE", help="asked at or after DATE")
        parser.add_argument("--until", type=moment, metavar="DATE", help="asked before DATE")
        parser.add_argument("--format", choices=FORMATS, default="jsonl")
        parser.add_argument(
            "--output",
            metavar="FILE",
            default="-",
            help="the file (default: -, standard output); it is readable by its owner only",
        )

    def handle(self, **options: Any) -> None:
        check_order(options["since"], options["until"])
        header, format_rows = FORMATS[options["format"]]
        questions = Message.objects.questions().between(options["since"], options["until"])
        written = 0
        with opened(options["output"]) as output, tqdm(unit=" questions", disable=None) as progress:
            output.write(header)
            for rows in batches(questions):
                output.write(format_rows(rows))
                written += len(rows)
                progress.update(len(rows))
        self.stderr.write(f"Exported {written} questions.", style_func=str)
