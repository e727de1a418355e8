"""List what is wrong with the settings, one sentence each."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.checks import all_problems, error_sentences


class Command(BaseCommand):
    help = "Check the settings (environment and .env). Exits with 1 when one must be corrected."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        messages = all_problems()
        for message in messages:
            self.stdout.write(f"{message.id}: {message.msg}")
        if error_sentences(messages):
            raise CommandError("The settings are not usable yet.")
        self.stdout.write("The settings are usable.")
