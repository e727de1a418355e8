"""The slow beat of a process with turns in flight.

Twice a second it looks whether somebody wants one stopped (any worker may be asked to); about once
a second it saves what was said so far, and so tells that a turn is alive. A reply that was not
saved for a while belonged to a worker that was killed: it ends as `interrupted`.

The beat ends where there is nothing to do, so that an idle service leaves its database alone.
"""

import asyncio
import contextvars
import time
from uuid import UUID

from loguru import logger

from chat import limits, statements, storage
from chat.database import in_database
from chat.errors import DatabaseUnavailable
from chat.turns import Turn, running

BEAT_SECONDS = 0.5
SAVE_SECONDS = 1
SAVE_SILENT_SECONDS = 3  # a turn that has said nothing new
GIVEN_UP_AFTER_SECONDS = 10
# How long to look for replies that nobody writes any more, after a reason to think there are some.
WATCH_SECONDS = 3 * GIVEN_UP_AFTER_SECONDS
TIDY_SECONDS = 60
PATIENCE_SECONDS = 4
# After an outage silence proves nothing until every process has had the time for a beat.
STEADY_SECONDS = PATIENCE_SECONDS + SAVE_SECONDS

_watch_until = 0.0
_steady_since = 0.0
_tidied_at = 0.0
_beating: asyncio.Task[None] | None = None


def beat() -> None:
    """Make sure that this process beats while turns are running."""
    global _beating  # noqa: PLW0603 - the one task of this process
    if _beating is None or _beating.done() or _beating.get_loop() is not asyncio.get_running_loop():
        # In a context of its own: it speaks for no request.
        _beating = asyncio.create_task(_beat(), context=contextvars.Context())


def watch() -> None:
    """Look for replies of killed workers for a while: this process is new, or one was seen."""
    global _watch_until  # noqa: PLW0603
    _watch_until = time.monotonic() + WATCH_SECONDS
    beat()


async def _beat() -> None:
    global _steady_since, _watch_until  # noqa: PLW0603
    _steady_since = time.monotonic()
    while running or time.monotonic() < _watch_until:
        await asyncio.sleep(BEAT_SECONDS)
        try:
            await _once()
        except DatabaseUnavailable:
            _steady_since = time.monotonic()
            if _watch_until:  # what there was to look for is still to be found
                _watch_until = _steady_since + WATCH_SECONDS
        except Exception as error:  # noqa: BLE001 - the next beat may do
            logger.opt(exception=error).error("The beat failed")


async def _once() -> None:
    begin, turns = time.monotonic(), list(running.values())
    to_save = [(turn, turn.text) for turn in turns if _is_due(turn, begin)]
    for turn, _ in to_save:
        turn.unsaved = False
    try:
        wanted = await in_database(lambda: _work(turns, to_save), PATIENCE_SECONDS)
    except DatabaseUnavailable:
        for turn, _ in to_save:
            turn.unsaved = True
        raise
    for turn, _ in to_save:
        turn.saved_at = begin
    for turn in turns:
        if turn.attempt not in wanted:
            turn.stop()


def _is_due(turn: Turn, now: float) -> bool:
    return now - turn.saved_at >= (SAVE_SECONDS if turn.unsaved else SAVE_SILENT_SECONDS)


def _work(turns: list[Turn], to_save: list[tuple[Turn, str]]) -> set[UUID]:
    global _tidied_at  # noqa: PLW0603
    now = time.monotonic()
    if to_save:
        statements.save(to_save)
    if now - _steady_since > STEADY_SECONDS:
        storage.give_up(GIVEN_UP_AFTER_SECONDS)
    if now - _tidied_at > TIDY_SECONDS:
        limits.tidy()
        _tidied_at = now
    return statements.wanted(turns) if turns else set()
