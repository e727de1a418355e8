"""What an operator's webhook is told of, as rows that are written with what they tell of.

A row names its subject and holds no text: the body is made when it is sent. Nothing is written
where no WEBHOOK_URL is set.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection

from chat.models import WebhookEvent

KEPT = timedelta(days=30)
INSERT = "INSERT INTO chat_webhook_event (id, kind, subject, created_at, due_at, attempts, error)\n"
ROW = "gen_random_uuid(), '{kind}', {subject}::text, now(), now(), 0, ''"
ONCE = "ON CONFLICT (kind, subject) DO NOTHING"

# Parts of the statement that closes a turn (`chat.turn.close`).
SILENT = (
    f"SELECT {ROW.format(kind=WebhookEvent.Kind.SILENT, subject='id')} FROM written"  # noqa: S608
)
BUDGET = f"""
SELECT {ROW.format(kind=WebhookEvent.Kind.BUDGET, subject='day')} FROM counted
WHERE tokens >= %(budget)s
"""  # noqa: S608
RETURNING = f"{ONCE} RETURNING kind"

# A comment that comes when its event is being sent, or was, is an event of its own: what was read
# to be sent does not hold it. One that has failed is sent again, and with it the comment.
DISLIKED = f"""
{INSERT} SELECT {ROW.format(kind=WebhookEvent.Kind.DISLIKED, subject='%(reply)s')}
ON CONFLICT (kind, subject) DO UPDATE SET
    id = excluded.id, created_at = now(), due_at = now(), attempts = 0, error = '',
    delivered_at = NULL, given_up_at = NULL
WHERE %(has_comment)s AND chat_webhook_event.attempts > 0
    AND (chat_webhook_event.error = '' OR chat_webhook_event.given_up_at IS NOT NULL)
"""
# The indexer knows of no webhooks. What it has published is found, so that none is lost whoever is
# killed in between.
INDEXED = f"""
{INSERT} SELECT {ROW.format(kind=WebhookEvent.Kind.INDEXED, subject='number')}
FROM book_edition WHERE is_current AND published_at > now() - interval '3 days' {ONCE}
"""  # noqa: S608


def disliked(reply: UUID, comment: str) -> None:
    """To be called in the transaction that stores the rating."""
    if settings.WEBHOOK_URL:
        with connection.cursor() as cursor:
            cursor.execute(DISLIKED, {"reply": reply, "has_comment": bool(comment)})


def find_editions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(INDEXED)
