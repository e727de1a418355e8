"""How a keeper starts the processes of its service."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from signal import Signals
from typing import Any

PR_SET_PDEATHSIG = 1


def spawn(arguments: list[str], stop: Signals, **popen: Any) -> subprocess.Popen[bytes]:
    """A child that gets `stop` when the keeper is killed (on Linux), and writes to the log.

    It inherits the lock `NAME.service`, and nothing else.
    """
    popen = {"stdin": subprocess.DEVNULL, "stdout": 2} | popen
    # In a child whose user changes, this runs after the change, which would clear the setting.
    # Nothing else runs in the keeper yet, so running Python between fork and exec is safe.
    popen |= {"close_fds": False, "preexec_fn": follower(stop)}
    process: subprocess.Popen[Any] = subprocess.Popen(arguments, **popen)
    return process


def follower(stop: Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl, keeper = ctypes.CDLL(None).prctl, os.getpid()

    def follow() -> None:
        prctl(PR_SET_PDEATHSIG, stop)
        if os.getppid() != keeper:  # it was killed before this took effect
            os._exit(1)

    return follow
