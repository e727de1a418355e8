"""Delete conversations without recent activity (retention)."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from tqdm import tqdm

from chat.management.arguments import age, whole_number
from chat.models import ChatSession


class Command(BaseCommand):
    help = (
        "Delete sessions, with their messages, whose last activity is older than AGE. Works in "
        "batches, each in a short transaction: it can be stopped at any time and run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than", type=age, required=True, metavar="AGE", help="90d, 12w, 36h"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count them")
        parser.add_argument("--batch-size", type=whole_number(1, 100_000), default=500, metavar="N")

    def handle(self, **options: Any) -> None:
        before = timezone.now() - options["older_than"]
        old = ChatSession.objects.filter(updated_at__lt=before)
        count = old.count()
        if options["dry_run"]:
            self.stdout.write(f"{count} sessions would be deleted, with their messages.")
            return
        deleted = 0
        with tqdm(total=count, unit=" sessions", disable=None) as progress:
            while keys := list(
                old.order_by("updated_at", "id").values_list("pk", flat=True)[
                    : options["batch_size"]
                ]
            ):
                # Filtered again: a reader may have continued a session in the meantime.
                done, _ = old.filter(pk__in=keys).delete()
                deleted += done
                progress.update(done)
        self.stdout.write(f"Deleted {deleted} sessions with their messages.")
