"""How often a client may ask, read, stop and so on, and how many tokens a day may cost.

Kept in PostgreSQL, so that the numbers are the same for every worker and machine.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from django.conf import settings
from django.db import connection
from django.utils import timezone

from chat.database import Statement, in_thread
from chat.errors import BudgetExhausted, ChatError, RateLimited
from chat.models import DailyTokens, RateWindow

type Conditions = Mapping[str, Mapping[str, Any]]  # SQL, with the values it is run with

# One statement (or a part of one), and so exact for any number of requests at the same instant. A
# client that has asked too often gets no row, and its window stays as it is.
COUNT = """
INSERT INTO chat_rate_window AS seen (client, began_at, asked)
SELECT %(client)s, now(), 1 {where}
ON CONFLICT (client) DO UPDATE SET
    asked = CASE WHEN now() - seen.began_at < %(period)s * interval '1 second'
                 THEN seen.asked + 1 ELSE 1 END,
    began_at = CASE WHEN now() - seen.began_at < %(period)s * interval '1 second'
                    THEN seen.began_at ELSE now() END
WHERE seen.asked < %(most)s OR now() - seen.began_at >= %(period)s * interval '1 second'
RETURNING asked
"""
IN_BUDGET = """
    coalesce((SELECT tokens FROM chat_daily_tokens WHERE day = %(day)s), 0) < %(budget)s
"""
# Whose excerpts are the answer where the budget is used up.
CURRENT_EDITION = "(SELECT number FROM book_edition WHERE is_current)"
PUBLISHED_AT = "(SELECT published_at FROM book_edition WHERE is_current)"
HAS_BOOK = f"{CURRENT_EDITION} IS NOT NULL"
SECONDS_LEFT = """
SELECT %(period)s - extract(epoch FROM now() - began_at)::float8
FROM chat_rate_window WHERE client = %(client)s AND asked >= %(most)s
"""
TIDIED_AT_ONCE = 1000

# What a reader does beside asking, each counted in a window of its own, so that whoever has asked
# as often as CHAT_RATE allows can still stop the answer: how many of them for each question. A
# search is as a question is, and counts as one. `repeat` is a question whose key was seen before.
CALLS = {
    "ask": 1,
    "search": 1,
    "stop": 1,
    "feedback": 1,
    "delete": 1,
    "read": 10,
    "repeat": 10,
}

# What this worker knows to be used up, windows and the day's budget: until when (of the monotonic
# clock), and when to ask PostgreSQL again, since a row may be changed by hand. So further requests
# are refused without a statement.
_used_up: dict[str, tuple[float, float]] = {}
REMEMBERED_SECONDS = 10
REMEMBERED_WINDOWS = 10_000
# Before such a refusal is sent: it slows a client down that asks again at once.
REFUSAL_PAUSE_SECONDS = 0.2


def admission(client: str | None, now: datetime, conditions: Conditions | None = None) -> Statement:
    """Counts a question; its one row says that the question is admitted.

    `conditions` are further ones, as SQL with the values it is run with; a question that does not
    meet them is neither counted nor admitted.
    """
    where = dict(conditions or {})
    if settings.CHAT_DAILY_TOKEN_BUDGET:
        instead = settings.CHAT_EXCERPTS_INSTEAD_OF_ERRORS
        where[f"({IN_BUDGET} OR {HAS_BOOK})" if instead else IN_BUDGET] = budget_values(now)
    window = _window(client, "ask")
    if not window:
        return admitted(where)
    return Statement(COUNT.format(where=_clause(where)), _values(where) | window)


def admitted(conditions: Conditions) -> Statement:
    """As `admission`, of a question that is counted already."""
    return Statement(f"SELECT {_clause(conditions)}", _values(conditions))


def _clause(conditions: Conditions) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _values(conditions: Conditions) -> dict[str, Any]:
    return {name: value for each in conditions.values() for name, value in each.items()}


def budget_values(now: datetime) -> dict[str, Any]:
    """What `IN_BUDGET` is run with."""
    return {"day": now.astimezone(UTC).date(), "budget": settings.CHAT_DAILY_TOKEN_BUDGET}


def _window(client: str | None, call: str) -> dict[str, Any]:
    """What `COUNT` is run with; empty where no rate counts."""
    if not (settings.CHAT_RATE and client):
        return {}
    most, period_seconds = settings.CHAT_RATE
    return {"client": _key(client, call), "most": most * CALLS[call], "period": period_seconds}


def _key(client: str, call: str) -> str:
    return (
        client
        if call in ("ask", "search")
        else hashlib.sha256(f"{call} {client}".encode()).hexdigest()
    )


def admit(client: str | None) -> None:
    """Count a question of `client`. Raises RateLimited or BudgetExhausted."""
    now = timezone.now()
    statement = admission(client, now)
    if not statement.values:  # no limits are set
        return
    with connection.cursor() as cursor:
        cursor.execute(*statement)
        if cursor.fetchone() is None:
            raise _refusal(client, now)


def _refusal(client: str | None, now: datetime) -> ChatError:
    """Why a question was not admitted, and how long that lasts."""
    if (window := _window(client, "ask")) and (seconds := _seconds_left(window)) is not None:
        return RateLimited(retry_after=_whole(seconds))
    if is_in_budget(now):
        return RateLimited(retry_after=1)  # the window has ended since
    _remember(_budget_key(now), _seconds_of_day_left(now))
    return budget_exhausted()


def budget_exhausted() -> BudgetExhausted:
    return BudgetExhausted(retry_after=_whole(_seconds_of_day_left(timezone.now())))


def _seconds_of_day_left(now: datetime) -> float:
    today = now.astimezone(UTC)
    tomorrow = datetime.combine(today.date() + timedelta(days=1), datetime.min.time(), UTC)
    return (tomorrow - today).total_seconds()


def is_in_budget(now: datetime) -> bool:
    budget, day = settings.CHAT_DAILY_TOKEN_BUDGET, now.astimezone(UTC).date()
    return not (budget and DailyTokens.objects.filter(day=day, tokens__gte=budget).exists())


def _budget_key(now: datetime) -> str:
    return f"{settings.CHAT_DAILY_TOKEN_BUDGET} on {now.astimezone(UTC).date()}"


def _seconds_left(window: dict[str, Any]) -> float | None:
    """Until a full window ends; None where it is not full (any more)."""
    with connection.cursor() as cursor:
        cursor.execute(SECONDS_LEFT, window)
        row = cursor.fetchone()
    if row is None:
        return None
    _remember(window["client"], row[0])
    return float(row[0])


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))


# Calls beside asking ------------------------------------------------------------------------
async def run_counted[T](
    client: str | None, call: str, work: Callable[[], T], seconds: float | None = None
) -> T:
    """Run `work` in a database thread (`in_thread`) as one of a client's calls (of `CALLS`).

    Raises RateLimited, and what `in_thread` raises.
    """
    if refusal := known_refusal(client, call):
        await refuse(refusal)

    def counted() -> T:
        _count(client, call)
        return work()

    return await in_thread(counted, seconds)


def _count(client: str | None, call: str) -> None:
    if window := _window(client, call):
        with connection.cursor() as cursor:
            cursor.execute(COUNT.format(where=""), window)
            is_counted = cursor.fetchone() is not None
        if not is_counted and (seconds := _seconds_left(window)) is not None:
            raise RateLimited(retry_after=_whole(seconds))


# Refusals from memory -----------------------------------------------------------------------
def known_refusal(client: str | None, call: str = "ask") -> ChatError | None:
    """The refusal that this call would get, where this worker knows; runs no statement."""
    if not _used_up:
        return None
    if client and (seconds := _known_seconds(_key(client, call))):
        return RateLimited(retry_after=_whole(seconds))
    if call == "ask" and (seconds := _known_seconds(_budget_key(timezone.now()))):
        return BudgetExhausted(retry_after=_whole(seconds))
    return None


async def refuse(refusal: ChatError) -> NoReturn:
    await asyncio.sleep(REFUSAL_PAUSE_SECONDS)
    raise refusal


def _remember(key: str, seconds: float) -> None:
    if len(_used_up) >= REMEMBERED_WINDOWS:
        _used_up.clear()
    now = time.monotonic()
    _used_up[key] = now + seconds, now + min(seconds, REMEMBERED_SECONDS)


def _known_seconds(key: str) -> float:
    """How long it stays used up; 0 where that is not known."""
    ends_at, forgotten_at = _used_up.get(key, (0, 0))
    now = time.monotonic()
    if now < forgotten_at:
        return ends_at - now
    _used_up.pop(key, None)
    return 0


def forget_idle_clients() -> None:
    """Delete the windows of clients that have not asked for long."""
    if settings.CHAT_RATE:
        _, period_seconds = settings.CHAT_RATE
        long_ago = timezone.now() - timedelta(seconds=period_seconds, days=1)
        old = RateWindow.objects.filter(began_at__lt=long_ago)
        RateWindow.objects.filter(pk__in=old.values("pk")[:TIDIED_AT_ONCE]).delete()
