"""Send the webhooks that are due, and end: for cron, where no server is always running."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from chat.webhooks import delivery


class Command(BaseCommand):
    help = "Send the webhooks that are due, each once. Those that fail stay for the next time."

    def handle(self, **options: Any) -> None:
        if not settings.WEBHOOK_URL:
            raise CommandError("WEBHOOK_URL is not set.")
        self.stdout.write(f"Delivered: {asyncio.run(delivery.deliver_due())}")
