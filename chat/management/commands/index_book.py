"""`index_book` (of `book`, which knows of no webhooks), and then the webhook of a new edition."""

import asyncio
from typing import Any

from django.conf import settings

from book.management.commands import index_book
from chat.errors import DatabaseUnavailable
from chat.webhooks import delivery


class Command(index_book.Command):
    def handle(self, **options: Any) -> None:
        super().handle(**options)
        if settings.WEBHOOK_URL and not options["dry_run"]:
            try:
                asyncio.run(delivery.deliver_due())
            except DatabaseUnavailable:
                self.stderr.write("The webhook is sent later: the database is away.")
