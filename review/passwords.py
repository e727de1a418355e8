"""How passwords are hashed."""

import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from django.contrib.auth.hashers import PBKDF2PasswordHasher

NICENESS = 10  # a tenth of the usual share, where there is not enough CPU for all
# Opened before the workers are forked, which share it; a lock on it ends with its process.
_lock = os.memfd_create("passwords") if sys.platform == "linux" else None


class LowPriorityHasher(PBKDF2PasswordHasher):
    """Django's hasher, one hash at a time for all workers of a server and at low priority.

    A hash takes most of a second of CPU: many log-ins at once must not take it from readers' turns.
    """

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _thread.submit(self._encode_alone, password, salt, iterations).result()

    def _encode_alone(self, password: str, salt: str, iterations: int | None) -> str:
        with only_one():
            return super().encode(password, salt, iterations)


@contextmanager
def only_one() -> Iterator[None]:
    """Waits until no other worker is within."""
    if _lock is None:
        yield
        return
    fcntl.lockf(_lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(_lock, fcntl.LOCK_UN)


def _lower_priority() -> None:
    if sys.platform != "linux":  # elsewhere it would be the whole process's
        return
    thread = threading.get_native_id()
    # A server that was started with less priority keeps it: only root may raise it again.
    niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, niceness)


_thread = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_lower_priority)
