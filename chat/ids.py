"""Time-ordered ids: UUIDs version 7, which sort as their rows were made."""

import secrets
import threading
import time
from datetime import datetime
from uuid import UUID

# An id is made a moment before its row's time.
LEEWAY_MS = 60_000

_last_id = 0
_id_lock = threading.Lock()


def time_ordered_ids(count: int) -> list[UUID]:
    """UUIDs version 7 (RFC 9562) with none in between: later ones sort after earlier ones.

    Within a process they always do (the millisecond is followed by a counter that is seeded at
    random, RFC 9562 method 2). So a reply sorts right behind its question, whoever else asks.
    """
    global _last_id  # noqa: PLW0603 - the order of ids is the process's, as in uuid.uuid7
    fresh = time.time_ns() // 1_000_000 << 42 | secrets.randbits(41)
    with _id_lock:
        first = max(fresh, _last_id + 1)
        _last_id = first + count - 1
    return [uuid7(first + number) for number in range(count)]


def uuid7(stamp: int) -> UUID:
    """The UUID version 7 of a stamp: milliseconds since 1970, followed by a counter of 42 bits."""
    high, low = stamp >> 30, stamp & (1 << 30) - 1
    value = (high >> 12) << 80 | 0x7 << 76 | (high & 0xFFF) << 64
    return UUID(int=value | 0b10 << 62 | low << 32 | secrets.randbits(32))


def time_ordered_id() -> UUID:
    return time_ordered_ids(1)[0]


def ids_around(since: datetime | None, until: datetime | None) -> tuple[UUID, UUID]:
    """The ids of all messages from `since` on and before `until` are between these two."""
    first = _id_at(since, -LEEWAY_MS) if since else UUID(int=0)
    last = _id_at(until, LEEWAY_MS) if until else UUID(int=2**128 - 1)
    return first, last


def _id_at(moment: datetime, leeway_ms: int) -> UUID:
    milliseconds = int(moment.timestamp() * 1000) + leeway_ms
    return uuid7(min(max(milliseconds, 0), 2**48 - 1) << 42)
