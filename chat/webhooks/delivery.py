"""Sends events to WEBHOOK_URL: signed (Standard Webhooks), at least once, tried for three days.

One event at a time in each process. An event is leased for longer than a delivery may take, so that
no other process sends it meanwhile, and that it is due again if this one is killed. A process waits
for the next event as long as any is pending; then its loop ends, so that an idle service leaves its
database alone.
"""

import asyncio
import base64
import binascii
import contextvars
import hashlib
import hmac
import json
import time
from datetime import datetime, timedelta
from typing import Any

import httpx2
from django.conf import settings
from django.db.models import Min
from django.db.models.functions import Now
from django.utils import timezone
from loguru import logger

from chat.database import in_thread
from chat.errors import DatabaseUnavailable
from chat.models import Message, WebhookEvent
from chat.webhooks import events

TIMEOUT_SECONDS = 10
LEASE = timedelta(seconds=60)
# Before the next attempt; the last one again and again.
PAUSES_SECONDS = (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600)
GIVEN_UP_AFTER = timedelta(days=3)
MAX_TEXT_CHARS = 4000
OUTAGE_PAUSE_SECONDS = 30

_delivering: asyncio.Task[None] | None = None
_news: asyncio.Event | None = None


def start() -> None:
    """Deliver what is due, in the background: an event was written, or this process is new."""
    global _delivering, _news  # noqa: PLW0603 - the one task of this process
    if not settings.WEBHOOK_URL:
        return
    loop = asyncio.get_running_loop()
    if _delivering and not _delivering.done() and _delivering.get_loop() is loop:
        if _news:
            _news.set()
        return
    _news = asyncio.Event()
    _delivering = asyncio.create_task(_deliver_while_pending(), context=contextvars.Context())


async def stop() -> None:
    """At a server's end. An event that is being sent is sent again by the next process."""
    if _delivering and _delivering.get_loop() is asyncio.get_running_loop():
        _delivering.cancel()
        await asyncio.wait({_delivering})


async def _deliver_while_pending() -> None:
    news = _news or asyncio.Event()
    while True:
        news.clear()
        try:
            await deliver_due()
            seconds = await in_thread(_seconds_to_next)
        except DatabaseUnavailable:
            seconds = OUTAGE_PAUSE_SECONDS
        except Exception as error:  # noqa: BLE001 - the next attempt may succeed
            logger.opt(exception=error).error("Delivering webhooks failed")
            seconds = OUTAGE_PAUSE_SECONDS
        if seconds is None and not news.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            pass


def _seconds_to_next() -> float | None:
    """None where nothing is pending."""
    due_at: datetime | None = WebhookEvent.objects.pending().aggregate(at=Min("due_at"))["at"]
    return max(0.1, (due_at - timezone.now()).total_seconds()) if due_at else None


async def deliver_due() -> int:
    """Send each event that is due, once; returns how many were delivered."""
    count = 0
    await in_thread(_prepare)
    async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
        while event := await in_thread(lambda: WebhookEvent.objects.lease(LEASE)):
            count += await _deliver(client, event)
    return count


def _prepare() -> None:
    events.find_editions()
    long_ago = timezone.now() - events.KEPT
    WebhookEvent.objects.filter(created_at__lt=long_ago).delete()


async def _deliver(client: httpx2.AsyncClient, event: WebhookEvent) -> bool:
    """Whatever fails except the database is noted, and holds up no other event."""
    try:
        data = await in_thread(lambda: data_of(event))
        if data is None:  # the conversation was deleted
            await in_thread(lambda: WebhookEvent.objects.filter(pk=event.pk).delete())
            return False
        error = await _send(client, event, data)
    except DatabaseUnavailable:
        raise
    except Exception as unforeseen:  # noqa: BLE001 - noted as any other failure
        logger.opt(exception=unforeseen).error("A webhook could not be sent")
        error = type(unforeseen).__name__
    await in_thread(lambda: _note(event, error))
    return not error


async def _send(client: httpx2.AsyncClient, event: WebhookEvent, data: dict[str, Any]) -> str:
    """Why it was not delivered; empty where it was. Names no address, which may be a secret."""
    document = {"type": event.kind, "timestamp": event.created_at.isoformat(), "data": data}
    body = json.dumps(document).encode()
    headers = signed(str(event.pk), int(time.time()), body)
    try:
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            client.stream("POST", settings.WEBHOOK_URL, content=body, headers=headers) as response,
        ):  # the answer's body is not read
            return "" if response.is_success else f"status {response.status_code}"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        return type(error).__name__


def signed(identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    content = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.digest(key_of(settings.WEBHOOK_SECRET), content, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "User-Agent": "book-chat",
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def key_of(secret: str) -> bytes:
    """`whsec_` and base64, as Standard Webhooks has it, or any other text as it is."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _note(event: WebhookEvent, error: str) -> None:
    """Written only while the event is as it was leased: its row may have become a newer one."""
    row = WebhookEvent.objects.filter(pk=event.pk, attempts=event.attempts)
    if not error:
        row.update(delivered_at=Now(), error="")
    elif timezone.now() - event.created_at > GIVEN_UP_AFTER:
        row.update(given_up_at=Now(), error=error)
        logger.error("A webhook was given up: {} {}: {}", event.kind, event.pk, error)
    else:
        pause = PAUSES_SECONDS[min(event.attempts, len(PAUSES_SECONDS)) - 1]
        row.update(due_at=Now() + timedelta(seconds=pause), error=error)
        logger.warning("A webhook was not delivered: {} {}: {}", event.kind, event.pk, error)


# Bodies -------------------------------------------------------------------------------------
def data_of(event: WebhookEvent) -> dict[str, Any] | None:
    """What the event tells; None where its conversation is gone."""
    if event.kind == WebhookEvent.Kind.BUDGET:
        return {"day": event.subject, "budget": settings.CHAT_DAILY_TOKEN_BUDGET}
    if event.kind == WebhookEvent.Kind.INDEXED:
        return {"edition": int(event.subject), "book": settings.BOOK_TITLE}
    reply = Message.objects.replies().select_related("reply_to").filter(id=event.subject).first()
    return _of_reply(reply, event.kind) if reply and reply.reply_to else None


def _of_reply(reply: Message, kind: str) -> dict[str, Any]:
    """No session's id, which is its reader's key, and no answer, which is in the admin."""
    question = reply.reply_to
    assert question  # noqa: S101 - for mypy; checked by the caller
    path = f"/admin/chat/message/{reply.pk}/change/"
    found = {
        "message_id": str(reply.pk),
        "question": question.content[:MAX_TEXT_CHARS],
        "page_url": question.page_url or None,
        "admin_url": settings.PUBLIC_URL + path if settings.PUBLIC_URL else None,
    }
    if kind == WebhookEvent.Kind.DISLIKED:
        return found | {"comment": reply.feedback_comment[:MAX_TEXT_CHARS] or None}
    nearest = [{"title": each["title"], "url": each["url"]} for each in reply.nearest]
    return found | {"nearest": nearest}
