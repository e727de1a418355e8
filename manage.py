#!/usr/bin/env python
"""What operators run: `python manage.py COMMAND`."""

import errno
import os
import signal
import sys

# Ctrl-C ends it at once while modules are imported: interrupted imports raise unrelated errors.
on_interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)

# Exit statuses as shells report signals: SIGINT, SIGPIPE, SIGTERM.
INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143
REPORTS_ALL = "validate_env"


def end(how: str | int) -> None:
    """Exit without the output that is still buffered: writing it would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(how)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbackend.settings")
    # SIGTERM ends it as Ctrl-C does: unfinished files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        from django.core.management import execute_from_command_line

        from chatbackend.settings import ENV_FILE_PROBLEMS

        signal.signal(signal.SIGINT, on_interrupt)
        # Some commands run no system checks, and would do their work without a setting.
        if ENV_FILE_PROBLEMS and sys.argv[1:2] != [REPORTS_ALL]:
            sys.exit("\n".join(ENV_FILE_PROBLEMS))
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `| head` has read enough
        end(UNREAD)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        end(f"The output cannot be written: {error.strerror}.")
