"""Database work of the API: off the event loop, bounded in number and time, never leaking.

The work runs in a few threads of our own, each with one lasting connection of Django's. So the
number of connections is the number of threads, whatever the number of readers, and none is held
while the model works. (Django's own way under ASGI, a connection for each request, leaks one
whenever a client goes away at the wrong moment; a pool is then empty for good.)
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection
from loguru import logger

from chat.errors import DatabaseUnavailable

# The last of them is also a server's that is (or has become) a read-only copy.
LOST = (OperationalError, InterfaceError, InternalError)
threads = ThreadPoolExecutor(settings.DATABASE_CONNECTIONS, thread_name_prefix="database")


_abandoned: contextvars.ContextVar[threading.Event] = contextvars.ContextVar("abandoned")


async def in_database[T](work: Callable[[], T], patience: float | None = None) -> T:
    """Run `work`, which must be safe to run twice, and return its result.

    Raises DatabaseUnavailable when PostgreSQL is not there or does not answer within `patience`
    (in seconds; by default `settings.DATABASE_TIMEOUT_SECONDS`).
    """
    abandoned = threading.Event()
    context = contextvars.copy_context()
    context.run(_abandoned.set, abandoned)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience or settings.DATABASE_TIMEOUT_SECONDS):
            return await loop.run_in_executor(threads, context.run, _patiently, work)
    except TimeoutError as error:
        abandoned.set()  # the thread cannot be stopped, but what it does can be left undone
        raise DatabaseUnavailable("no answer in time") from error
    except LOST as error:
        raise DatabaseUnavailable(type(error).__name__) from error


def check_still_wanted() -> None:
    """The last word before a commit: whoever waited has been told that nothing was stored."""
    if _abandoned.get(threading.Event()).is_set():
        raise DatabaseUnavailable("done too late")


def _patiently[T](work: Callable[[], T]) -> T:
    """A second try on a new connection: the old one may have died unnoticed since its last use."""
    check_still_wanted()
    try:
        return work()
    except LOST:
        logger.debug("A database connection was lost; trying once more on a new one")
        connection.close()
    try:
        return work()
    except LOST:
        connection.close()
        raise
