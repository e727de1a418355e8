"""How well the search finds what a list of questions is about."""

from argparse import ArgumentParser
from collections import defaultdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from loguru import logger
from tqdm import tqdm

from book import evaluation
from book.evaluation import Figures, Tried, Unusable
from book.terminal import harmless


class Command(BaseCommand):
    requires_system_checks = ["environment"]  # others load all of the API
    help = (
        "Search the book for each question of a file and report recall, mean reciprocal rank, "
        "times, and which questions failed. The file has a JSON object a line: a question, and "
        "the url or the section (its title, its path of headings or its id) that answers it; with "
        "neither it is one that the book does not cover."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
        parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON")
        parser.add_argument(
            "--baseline",
            type=Path,
            metavar="FILE",
            help="exit with 1 if a figure is lower than in this file, which --output has written",
        )

    def handle(self, **options: Any) -> None:
        for package in ("book", "llm"):
            logger.disable(package)
        try:
            baseline = evaluation.read_figures(options["baseline"]) if options["baseline"] else None
            cases = evaluation.read_cases(options["questions"])
            trying = tqdm(
                evaluation.try_all(cases), total=len(cases), unit=" questions", disable=None
            )
            tried = list(trying)
        except (Unusable, LookupError) as error:
            raise CommandError(str(error)) from error
        found = evaluation.figures(tried)
        self.report(tried, found)
        if options["output"]:
            evaluation.write_figures(options["output"], found)
        if baseline and (worse := found.worse_than(baseline)):
            raise CommandError(f"Worse than the baseline: {'; '.join(worse)}.")

    def report(self, tried: list[Tried], found: Figures) -> None:
        missed = [each for each in tried if each.case.is_covered and (each.place or 99) > 5]
        unknown = evaluation.without_section([each.case for each in missed if not each.place])
        for each in missed:
            problem = "not found" if each.case not in unknown else "not in the book"
            place = f"place {each.place}" if each.place else problem
            self.stdout.write(harmless(f"{place}: {each.case.question}"))
        if unknown:
            self.stderr.write(
                "The section or address of some questions is not in this edition "
                f"({len(unknown)} of {len(tried)}): they count as not found."
            )
        groups = defaultdict(list)
        for each in tried:
            groups[each.case.group].append(each)
        if len(groups) > 1:
            for name, members in groups.items():
                of_group = evaluation.figures(members, tried)
                self.stdout.write(harmless(line(name or "-", of_group)))
        self.stdout.write(line("all", found))
        for what in ("embedding", "statement"):
            half, most = evaluation.p50_p95([getattr(each, f"{what}_ms") for each in tried])
            self.stdout.write(f"{what}: p50 {half:.1f} ms, p95 {most:.1f} ms")


def line(name: str, found: Figures) -> str:
    values = ", ".join(f"{what} {value:.3f}" for what, value in found.by_name().items())
    return f"{name} ({found.questions} questions): {values}"
