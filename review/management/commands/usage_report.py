"""The figures of a period, by day and in total, as a table, CSV or JSON lines."""

import csv
import io
import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.management.arguments import day
from review.insights import MAX_DAYS, Figures, Percentiles, insights

USUAL_DAYS = 30


def _table(rows: list[dict[str, Any]]) -> str:
    texts = [list(rows[0]), *([_text(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = (map(str.rjust, line, widths) for line in texts)
    return "".join("  ".join(cells) + "\n" for cells in lines)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _text(cell: Any) -> str:
    return "-" if cell is None else str(cell)


FORMATS = {"table": _table, "csv": _csv, "jsonl": _jsonl}


def _row(figures: Figures) -> dict[str, Any]:
    """The figures as one value per column."""
    row: dict[str, Any] = {}
    for name, value in asdict(figures).items():
        if name in ("first_token", "duration"):
            times: Percentiles | None = getattr(figures, name)
            row[f"{name}_p50_ms"] = times.p50 if times else None
            row[f"{name}_p95_ms"] = times.p95 if times else None
        else:
            row[name] = value
    row["day"] = figures.day.isoformat() if figures.day else "total"
    row["support"] = None if figures.support is None else round(figures.support, 3)
    row["cost"] = None if figures.cost is None else round(float(figures.cost), 4)
    return row


class Command(BaseCommand):
    help = (
        "Report for each day (UTC) and in total: questions, how they ended, times (median and 95th "
        "percentile), tokens, feedback, what answers rest on, and cost by LLM_PRICE_PER_MILLION."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since",
            type=day,
            metavar="DATE",
            help=f"first day (default: {USUAL_DAYS} days up to --until)",
        )
        parser.add_argument("--until", type=day, metavar="DATE", help="last day (default: today)")
        parser.add_argument("--format", choices=FORMATS, default="table")

    def handle(self, **options: Any) -> None:
        until: date = options["until"] or datetime.now(UTC).date()
        usual = timedelta(days=USUAL_DAYS - 1)
        since: date = options["since"] or max(until, date.min + usual) - usual
        if not timedelta(0) <= until - since < timedelta(days=MAX_DAYS):
            raise CommandError(
                f"--since must not be after --until, and the period has at most {MAX_DAYS} days."
            )
        found = insights(since, until)
        rows = [_row(figures) for figures in [*found.days, found.total]]
        self.stdout.write(FORMATS[options["format"]](rows), ending="")
