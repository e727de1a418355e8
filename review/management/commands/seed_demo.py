"""Fill the database with realistic seed data, to try out and measure the admin."""

import random
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import fields
from itertools import batched
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb
from tqdm import tqdm

from review.demo_book import indexed_book
from review.demo_data import DemoMessage, DemoSession, conversations, setting

SESSIONS_AT_ONCE = 2_000
SESSION_COLUMNS = ("id", "created_at", "updated_at")
JSON_COLUMNS = ("sources", "nearest")
MESSAGE_COLUMNS = tuple(field.name for field in fields(DemoMessage))


class Command(BaseCommand):
    help = (
        "Add invented conversations (five messages each on average, over the last 90 days). Their "
        "answers cite the indexed book, or made-up pages where none is indexed. Each run adds more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--sessions", type=int, default=200, metavar="N")
        parser.add_argument("--seed", type=int, help="the same number gives the same conversations")

    def handle(self, **options: Any) -> None:
        count = options["sessions"]
        if count < 1:
            raise CommandError("--sessions must be at least 1.")
        seed = random.randrange(2**32) if options["seed"] is None else options["seed"]  # noqa: S311
        messages = 0
        about = setting(settings.FRONTEND_ORIGINS[-1], indexed_book())
        made = conversations(count, seed, timezone.now(), about)
        for sessions in batched(self.with_progress(made, count), SESSIONS_AT_ONCE):
            messages += store(sessions)
        with connection.cursor() as cursor:  # the planner's statistics are outdated now
            cursor.execute("ANALYZE chat_session, chat_message")
        self.stdout.write(f"Added {count} sessions with {messages} messages.")

    def with_progress(self, sessions: Iterator[DemoSession], count: int) -> Iterator[DemoSession]:
        """With a progress bar on a terminal."""
        return iter(tqdm(sessions, total=count, unit=" sessions", disable=None))


def store(sessions: tuple[DemoSession, ...]) -> int:
    """Store a batch in one short transaction; returns its number of messages."""
    messages = [message for session in sessions for message in session.messages]
    with transaction.atomic(), connection.cursor() as cursor:
        copy(cursor, "chat_session", SESSION_COLUMNS, sessions)
        copy(cursor, "chat_message", MESSAGE_COLUMNS, messages)
    return len(messages)


def copy(cursor: Any, table: str, columns: tuple[str, ...], rows: Any) -> None:
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with cursor.copy(statement) as target:
        for row in rows:
            target.write_row([_cell(row, column) for column in columns])


def _cell(row: Any, column: str) -> Any:
    value = getattr(row, column)
    return Jsonb(value) if column in JSON_COLUMNS else value
