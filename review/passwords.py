"""How passwords are hashed."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.contrib.auth.hashers import PBKDF2PasswordHasher

NICENESS = 10  # a tenth of the usual share, where there is not enough CPU for all


class LowPriorityHasher(PBKDF2PasswordHasher):
    """Django's hasher, one hash at a time and at low priority.

    A hash takes most of a second of CPU: many log-ins at once must not take it from readers' turns.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _thread.submit(super().encode, password, salt, iterations).result()


def _lower_priority() -> None:
    if sys.platform != "linux":  # elsewhere it would be the whole process's
        return
    thread = threading.get_native_id()
    # A server that was started with less priority keeps it: only root may raise it again.
    niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


_thread = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_lower_priority)
