"""How often a client may ask, and how many tokens a day may cost. Kept in PostgreSQL, so that the
numbers are the same for every worker and machine.
"""

import hashlib
import hmac
import math
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from chat.errors import BudgetExhausted, RateLimited
from chat.models import DailyTokens, RateWindow

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
SECONDS_LEFT = """
SELECT %(period)s - extract(epoch FROM now() - began_at)::float8
FROM chat_rate_window WHERE client = %(client)s
"""
TIDIED_AT_ONCE = 1000


def client_of(remote_address: str, forwarded_for: str) -> str:
    """A client as a keyed hash (64 hex digits) of its address.

    `forwarded_for` is the header X-Forwarded-For, in which each proxy notes on the right whom it
    heard from: with `NUM_PROXIES` of our own, that many entries from the right are true, and
    everything further left is hearsay.
    """
    noted = [address.strip() for address in forwarded_for.split(",") if address.strip()]
    believed = settings.NUM_PROXIES
    if believed and noted:
        remote_address = noted[-min(believed, len(noted))]
    key = f"chat client {settings.SECRET_KEY}".encode()
    return hmac.new(key, _network(remote_address).encode(), hashlib.sha256).hexdigest()


def _network(address: str) -> str:
    """An IPv6 client usually owns a whole /64 and could ask from each of its addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ip_network((parsed, 64), strict=False))
    return address


def counted(client: str, most: int, period_seconds: int) -> dict[str, Any]:
    """What `COUNT` is run with."""
    return {"client": client, "most": most, "period": period_seconds}


def admit(client: str | None) -> None:
    """Count a question of `client`. Raises RateLimited or BudgetExhausted."""
    if settings.CHAT_RATE and client:
        _count(counted(client, *settings.CHAT_RATE))
    if settings.CHAT_DAILY_TOKEN_BUDGET:
        _check_budget(timezone.now())


def _count(values: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(where=""), values)
        if cursor.fetchone():
            return
        cursor.execute(SECONDS_LEFT, values)
        (seconds_left,) = cursor.fetchone() or (1,)
    raise RateLimited(retry_after=max(1, math.ceil(seconds_left)))


def tidy() -> None:
    """Forget clients that have not asked for long."""
    if settings.CHAT_RATE:
        _, period_seconds = settings.CHAT_RATE
        long_ago = timezone.now() - timedelta(seconds=period_seconds, days=1)
        old = RateWindow.objects.filter(began_at__lt=long_ago)
        RateWindow.objects.filter(pk__in=old.values("pk")[:TIDIED_AT_ONCE]).delete()


def _check_budget(now: datetime) -> None:
    today = now.astimezone(UTC)
    used = DailyTokens.objects.filter(day=today.date()).values_list("tokens", flat=True).first()
    if (used or 0) >= settings.CHAT_DAILY_TOKEN_BUDGET:
        tomorrow = datetime.combine(today.date() + timedelta(days=1), datetime.min.time(), UTC)
        raise BudgetExhausted(retry_after=math.ceil((tomorrow - today).total_seconds()))
