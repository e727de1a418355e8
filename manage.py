#!/usr/bin/env python
"""What operators run: `python manage.py COMMAND`."""

import errno
import os
import signal
import sys

# Ctrl-C ends it at once while modules are imported: interrupted, they tell of other errors.
on_interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)

# As shells tell what a signal ended.
INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143


def end(how: str | int) -> None:
    """Without what is still to be written, which would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(how)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbackend.settings")
    # Ended as by Ctrl-C: unfinished files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        from django.core.management import execute_from_command_line

        signal.signal(signal.SIGINT, on_interrupt)
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
