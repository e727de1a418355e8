"""Waiting for what happens on the server's side."""

import time
from collections.abc import Callable

from django.core.exceptions import ObjectDoesNotExist


def eventually[T](find: Callable[[], T], seconds: float = 10) -> T:
    """What `find` returns, as soon as it is true; rows that are not there yet are waited for."""
    end = time.monotonic() + seconds
    while True:
        try:
            if (found := find()) or time.monotonic() > end:
                assert found
                return found
        except ObjectDoesNotExist:
            if time.monotonic() > end:
                raise
        time.sleep(0.02)
