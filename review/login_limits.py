"""Limits on failed log-ins, so that passwords cannot be guessed.

They count by client, and by client and user name together. Nothing counts by the user name alone:
otherwise anyone who knows it could lock its owner out. The counters are in PostgreSQL, the same for
every worker and machine. Log-ins that are being checked are not counted yet, and their number is
limited by that of pages (`chatbackend.page_limit`).
"""

import hashlib
import math
import unicodedata

from django.db import connection

WINDOW_SECONDS = 15 * 60
MAX_FAILURES = 5
MAX_FAILURES_OF_CLIENT = 20

# In the order of the keys, so that two statements at once do not wait for each other's rows.
COUNT = """
INSERT INTO review_login_failures AS seen (key, began_at, failures)
SELECT key, now(), 1 FROM unnest(%(keys)s::text[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN now() - seen.began_at < %(window)s * interval '1 second'
                    THEN seen.failures + 1 ELSE 1 END,
    began_at = CASE WHEN now() - seen.began_at < %(window)s * interval '1 second'
                    THEN seen.began_at ELSE now() END
"""
SECONDS_LEFT = """
SELECT max(%(window)s - extract(epoch FROM now() - began_at)::float8)
FROM review_login_failures
WHERE now() - began_at < %(window)s * interval '1 second'
    AND (key = %(client)s AND failures >= %(most_of_client)s
        OR key = %(pair)s AND failures >= %(most)s)
"""
FORGET = "DELETE FROM review_login_failures WHERE key = %(pair)s"
TIDY = """
DELETE FROM review_login_failures WHERE key IN (
    SELECT key FROM review_login_failures
    WHERE began_at < now() - %(window)s * interval '1 second' LIMIT 100 FOR UPDATE SKIP LOCKED
)
"""


def retry_after(client: str, username: str) -> int | None:
    """Seconds until this client may try this name again; None if it may do so now."""
    values: dict[str, str | int] = {
        "window": WINDOW_SECONDS,
        "client": _key(client),
        "most_of_client": MAX_FAILURES_OF_CLIENT,
        "pair": _key(client, username),
        "most": MAX_FAILURES,
    }
    with connection.cursor() as cursor:
        cursor.execute(SECONDS_LEFT, values)
        (seconds,) = cursor.fetchone()
    return None if seconds is None else max(1, math.ceil(seconds))


def count_failure(client: str, username: str) -> None:
    keys = [_key(client), _key(client, username)]
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"keys": keys, "window": WINDOW_SECONDS})
        cursor.execute(TIDY, {"window": WINDOW_SECONDS})


def forget_failures(client: str, username: str) -> None:
    """After a successful log-in. Those of the client stay, or its owner could reset its guesses at
    other names by logging in.
    """
    with connection.cursor() as cursor:
        cursor.execute(FORGET, {"pair": _key(client, username)})


def _key(client: str, username: str | None = None) -> str:
    """`client` is a keyed hash already."""
    name = "" if username is None else "\0" + unicodedata.normalize("NFKC", username).casefold()
    return hashlib.sha256(f"log-in {client}{name}".encode()).hexdigest()
