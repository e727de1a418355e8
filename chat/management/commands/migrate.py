"""Django's `migrate`, one at a time: hosts that start at once may each run it."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as MigrateCommand

from book.locks import Unreachable, locked

LOCK = 0x63686174  # "chat" in ASCII: no other application on this database is likely to use it


class Command(MigrateCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        def on_wait() -> None:
            if options["verbosity"]:
                self.stdout.write("Waiting for another migrate to end.")
                self.stdout.flush()

        try:
            with locked(LOCK, on_wait, options["database"]):
                super().handle(*args, **options)
        except Unreachable as error:
            raise CommandError(f"PostgreSQL cannot be reached: {error}") from error
