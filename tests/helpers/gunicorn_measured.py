"""The server's settings, with its workers measured for coverage.

A worker ends by the signal that it got, which leaves coverage no time to write what it saw.
"""

import signal
from typing import Any

import coverage

from chatbackend.gunicorn import *  # noqa: F403 - gunicorn reads the names of this module


def post_worker_init(worker: Any) -> None:
    def save_and_end(*_: object) -> None:
        if measuring := coverage.Coverage.current():
            measuring.stop()
            measuring.save()

    signal.signal(signal.SIGTERM, save_and_end)
