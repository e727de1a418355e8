"""Heartbeat: what a process does for its turns in flight while the model works.

Twice a second it looks whether a turn is to be stopped (any worker may get that request); about
once a second it saves the text so far, which also shows that the turn is alive. A reply that was
not saved for a while is orphaned: its worker was killed, and it fails as `interrupted`.

The heartbeat ends when there is nothing to do, so that an idle service leaves its database alone.
"""

import asyncio
import contextvars
import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from loguru import logger

from chat.database import in_thread
from chat.errors import DatabaseUnavailable, Interrupted
from chat.models import Message
from chat.turn import limits
from chat.turn.close import WRITABLE
from chat.turn.turn import Turn, running
from llm import telemetry

INTERVAL_SECONDS = 0.5
SAVE_SECONDS = 1
SAVE_SILENT_SECONDS = 3  # a turn without new text
ORPHANED_AFTER_SECONDS = 10
# How long to scan for orphaned replies, after a reason to think there are some.
SCAN_SECONDS = 3 * ORPHANED_AFTER_SECONDS
TIDY_SECONDS = 60
TIMEOUT_SECONDS = 4
# After an outage silence proves nothing until every process has had the time for a heartbeat.
STEADY_SECONDS = TIMEOUT_SECONDS + SAVE_SECONDS

_scan_until = 0.0
_steady_since = 0.0
_tidied_at = 0.0
_beating: asyncio.Task[None] | None = None


def start() -> None:
    """Make sure that this process has a heartbeat while turns are running."""
    global _beating  # noqa: PLW0603 - the one task of this process
    if _beating is None or _beating.done() or _beating.get_loop() is not asyncio.get_running_loop():
        # In a context of its own: it belongs to no request.
        _beating = asyncio.create_task(_beat(), context=contextvars.Context())


def scan_for_orphans() -> None:
    """Scan for orphaned replies for 30 s: this process is new, or one may have been seen."""
    global _scan_until  # noqa: PLW0603
    _scan_until = time.monotonic() + SCAN_SECONDS
    start()


async def _beat() -> None:
    global _steady_since, _scan_until  # noqa: PLW0603
    _steady_since = time.monotonic()
    while running or time.monotonic() < _scan_until:
        await asyncio.sleep(INTERVAL_SECONDS)
        try:
            await _once()
        except DatabaseUnavailable:
            _steady_since = time.monotonic()
            if _scan_until:  # orphans from before the outage are still to be found
                _scan_until = _steady_since + SCAN_SECONDS
        except Exception as error:  # noqa: BLE001 - the next heartbeat may succeed
            logger.opt(exception=error).error("The heartbeat failed")


async def _once() -> None:
    begin, turns = time.monotonic(), list(running.values())
    due = [(turn, turn.text) for turn in turns if _is_due(turn, begin)]
    for turn, _ in due:
        turn.unsaved = False
    try:
        wanted = await in_thread(lambda: _work(turns, due), TIMEOUT_SECONDS)
    except DatabaseUnavailable:
        for turn, _ in due:
            turn.unsaved = True
        raise
    for turn, _ in due:
        turn.saved_at = begin
    for turn in turns:
        if turn.attempt not in wanted:
            turn.stop()


def _is_due(turn: Turn, now: float) -> bool:
    return now - turn.saved_at >= (SAVE_SECONDS if turn.unsaved else SAVE_SILENT_SECONDS)


def _work(turns: list[Turn], due: list[tuple[Turn, str]]) -> set[UUID]:
    global _tidied_at  # noqa: PLW0603
    now = time.monotonic()
    if due:
        save(due)
    if now - _steady_since > STEADY_SECONDS:
        fail_orphans(ORPHANED_AFTER_SECONDS)
    if now - _tidied_at > TIDY_SECONDS:
        limits.forget_idle_clients()
        _tidied_at = now
    return still_wanted(turns) if turns else set()


# Of all turns of a process at once. Their sessions are named beside their ids, since neither ids
# nor a join tell in which partitions they are. As a query of the ORM the second one has three
# placeholders for each turn: with 400 of them psycopg took 20 ms to read it, each time.
SAVE = f"""
UPDATE chat_message AS reply
SET content = saved.content, sources = saved.sources::jsonb,
    beat_at = now(), status = 'pending', error_code = ''
FROM unnest(
    %(sessions)s::uuid[], %(replies)s::uuid[], %(attempts)s::uuid[],
    %(texts)s::text[], %(sources)s::text[]
) AS saved (session_id, id, attempt, content, sources)
WHERE reply.session_id = ANY(%(sessions)s::uuid[])
    AND reply.session_id = saved.session_id AND reply.id = saved.id
    AND reply.attempt = saved.attempt AND {WRITABLE}
"""  # noqa: S608
STILL_WANTED = f"""
SELECT attempt FROM chat_message AS reply
WHERE session_id = ANY(%(sessions)s::uuid[]) AND id = ANY(%(replies)s::uuid[])
    AND attempt = ANY(%(attempts)s::uuid[]) AND NOT stop_requested AND {WRITABLE}
"""  # noqa: S608


def save(texts: list[tuple[Turn, str]]) -> None:
    """Write the turns' texts so far, and that they are alive."""
    # In the order in which a deletion locks them.
    texts = sorted(texts, key=lambda each: each[0].reply_id)
    values = _ids([turn for turn, _ in texts]) | {
        "texts": [text for _, text in texts],
        "sources": [json.dumps(turn.sources) for turn, _ in texts],
    }
    with connection.cursor() as cursor:
        cursor.execute(SAVE, values)


def still_wanted(turns: list[Turn]) -> set[UUID]:
    """Of these turns, the attempts that go on: not stopped by a reader, deleted or taken over."""
    with connection.cursor() as cursor:
        cursor.execute(STILL_WANTED, _ids(turns))
        return {attempt for (attempt,) in cursor.fetchall()}


def _ids(turns: list[Turn]) -> dict[str, list[Any]]:
    return {
        "sessions": [turn.session_id for turn in turns],
        "replies": [turn.reply_id for turn in turns],
        "attempts": [turn.attempt for turn in turns],
    }


def fail_orphans(silent_seconds: float) -> None:
    """Fail the replies that were not saved for so long, as interrupted."""
    silent = Message.objects.pending().filter(beat_at__lt=Now() - timedelta(seconds=silent_seconds))
    count = silent.update(
        status=Message.Status.FAILED, error_code=Interrupted.code, finished_at=Now()
    )
    if count:
        telemetry.measure("chat.orphaned_replies", count)
        logger.warning("Orphaned replies, now failed as interrupted: {}", count)
