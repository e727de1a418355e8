"""Index the book again, in a process of its own beside the server."""

import os
import subprocess
import sys
from threading import Thread

from django.conf import settings
from django.db import close_old_connections

from book import runs
from book.models import Run

NOT_BEGUN = "It could not begin; the server's log says why."

_server_pipe: tuple[int, int] | None = None


def end_runs_with_this_server() -> None:
    """To be called before the workers are forked, which share the pipe: a run outlives the worker
    that has started it, and ends with the last process of the server.
    """
    global _server_pipe  # noqa: PLW0603 - the one of this server
    _server_pipe = os.pipe()


def index_again() -> bool:
    """Start a run that reads BOOK_SOURCE; False where one works already."""
    run = runs.announce(settings.BOOK_SOURCE)
    if run is None:
        return False
    pipe = _server_pipe[:1] if _server_pipe else ()
    process = subprocess.Popen(
        [
            *(sys.executable, "manage.py", "index_book", "--run", str(run.pk)),
            *(f"--ends-with={descriptor}" for descriptor in pipe),
        ],
        cwd=settings.BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # no signal that is meant for the server or its worker
        pass_fds=pipe,
    )
    Thread(target=_wait, args=(process, run.pk), daemon=True).start()
    return True


def _wait(process: subprocess.Popen[bytes], run: int) -> None:
    """Leave no zombie behind, and no run that seems to start for ever."""
    if process.wait():
        runs.fail(run, NOT_BEGUN)
    close_old_connections()


def state() -> tuple[Run | None, str]:
    """The latest run, and whether it is `starting`, `running`, `interrupted` or `ended`.

    No row but `running` is a dry run, or one that is about to begin.
    """
    latest = Run.objects.first()
    if runs.is_running():
        return (latest if latest and not latest.ended_at else None), "running"
    if latest and runs.is_starting(latest):
        return latest, "starting"
    if latest and not latest.ended_at:  # or has it ended just now?
        latest.refresh_from_db()
    return latest, "interrupted" if latest and not latest.ended_at else "ended"
