"""Idempotency keys: a question that is sent again under its key is asked once.

A key counts within its session. Without a session id it counts within the client: the new session's
id then follows from client, key and day, so that the session's row lock and one constraint serve
both cases.
"""

import hashlib
import hmac
import json
from datetime import UTC, date, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.utils import timezone

from chat.errors import AnswerInProgress, IdempotencyKeyReused
from chat.models import Message
from chat.turn.turn import Question

LIFETIME = timedelta(hours=24)
RETRY_AFTER_SECONDS = 1

# For the usual case: a key that was ever seen, however long ago, calls for `earlier_reply`.
UNSEEN = """
    NOT EXISTS (
        SELECT FROM chat_message
        WHERE session_id = ANY(%(key_sessions)s) AND idempotency_key = %(key)s
            AND idempotency_key <> ''
    )
"""


def unseen_values(question: Question) -> dict[str, Any]:
    """What `UNSEEN` is run with."""
    return {"key_sessions": sessions_of(question), "key": question.idempotency_key}


def session_for(question: Question) -> UUID:
    """The session that the question goes into."""
    if question.idempotency_key:
        return sessions_of(question)[0]
    return question.session_id or uuid4()


def sessions_of(question: Question) -> list[UUID]:
    """Where the question's key may have been used within its lifetime, the newest first."""
    if question.session_id:
        return [question.session_id]
    now = timezone.now().astimezone(UTC)
    days = (now.date() - (now - LIFETIME).date()).days
    return [_session_of(question, now.date() - timedelta(days=ago)) for ago in range(days + 1)]


def _session_of(question: Question, day: date) -> UUID:
    secret = f"chat session {settings.SECRET_KEY}".encode()
    name = f"{question.client} {day} {question.idempotency_key}".encode()
    return UUID(bytes=hmac.new(secret, name, hashlib.sha256).digest()[:16], version=4)


def fingerprint(question: Question) -> str:
    """64 hex digits, the same for the same question; empty without a key."""
    if not question.idempotency_key:
        return ""
    content = [question.text, question.selected_text, question.page_url]
    if question.replaces:
        content.append(str(question.replaces))
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def earlier_reply(question: Question) -> Message | None:
    """The reply to the same question, by its key, within the key's lifetime; in whatever state.

    Raises IdempotencyKeyReused where the key came with another question.
    """
    if not question.idempotency_key:
        return None
    same_key = Message.objects.questions().filter(
        session_id__in=sessions_of(question), idempotency_key=question.idempotency_key
    )
    earlier = same_key.filter(created_at__gt=timezone.now() - LIFETIME).first()
    if earlier is None:
        return None
    if earlier.fingerprint != fingerprint(question):
        raise IdempotencyKeyReused
    # Both rows, or (deleted a moment ago) none.
    return Message.objects.filter(session_id=earlier.session_id, reply_to=earlier).first()


def finished_reply(question: Question) -> Message | None:
    """An earlier reply that answers this request. Raises AnswerInProgress while it is pending."""
    reply = earlier_reply(question)
    if reply is None or reply.status == Message.Status.FAILED:
        return None
    if reply.status == Message.Status.PENDING:
        raise AnswerInProgress(retry_after=RETRY_AFTER_SECONDS)
    return reply


def release_expired_key(session_id: UUID, key: str) -> None:
    """Let a key be used again whose lifetime is over."""
    if key:
        used = Message.objects.filter(session_id=session_id, idempotency_key=key)
        used.update(idempotency_key="")
