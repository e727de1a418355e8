"""How often a client may ask, and how many tokens a day may cost.

Kept in PostgreSQL, so that the numbers are the same for every worker and machine.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from chat.database import Statement
from chat.errors import BudgetExhausted, ChatError, RateLimited
from chat.models import RateWindow

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
SECONDS_LEFT = """
SELECT %(period)s - extract(epoch FROM now() - began_at)::float8
FROM chat_rate_window WHERE client = %(client)s AND asked >= %(most)s
"""
TIDIED_AT_ONCE = 1000


def admission(
    client: str | None, now: datetime, conditions: Mapping[str, Mapping[str, Any]] | None = None
) -> Statement:
    """Counts a question; its one row says that the question is admitted.

    `conditions` are further ones, as SQL with the values it is run with; a question that does not
    meet them is neither counted nor admitted.
    """
    where = dict(conditions or {})
    if settings.CHAT_DAILY_TOKEN_BUDGET:
        where[IN_BUDGET] = {
            "day": now.astimezone(UTC).date(),
            "budget": settings.CHAT_DAILY_TOKEN_BUDGET,
        }
    values = {name: value for each in where.values() for name, value in each.items()}
    clause = f"WHERE {' AND '.join(where)}" if where else ""
    window = _window(client)
    sql = COUNT.format(where=clause) if window else f"SELECT {clause}"
    return Statement(sql, values | window)


def _window(client: str | None) -> dict[str, Any]:
    """What `COUNT` is run with; empty where no rate counts."""
    if not (settings.CHAT_RATE and client):
        return {}
    most, period_seconds = settings.CHAT_RATE
    return {"client": client, "most": most, "period": period_seconds}


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
    if window := _window(client):
        with connection.cursor() as cursor:
            cursor.execute(SECONDS_LEFT, window)
            if row := cursor.fetchone():
                return RateLimited(retry_after=max(1, math.ceil(row[0])))
    today = now.astimezone(UTC)
    tomorrow = datetime.combine(today.date() + timedelta(days=1), datetime.min.time(), UTC)
    return BudgetExhausted(retry_after=math.ceil((tomorrow - today).total_seconds()))


def forget_idle_clients() -> None:
    """Delete the windows of clients that have not asked for long."""
    if settings.CHAT_RATE:
        _, period_seconds = settings.CHAT_RATE
        long_ago = timezone.now() - timedelta(seconds=period_seconds, days=1)
        old = RateWindow.objects.filter(began_at__lt=long_ago)
        RateWindow.objects.filter(pk__in=old.values("pk")[:TIDIED_AT_ONCE]).delete()
