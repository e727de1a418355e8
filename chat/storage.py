"""What a turn reads and writes in PostgreSQL. Run by `chat.database.in_database`.

Every function is one short piece of work that may be run twice: when a connection breaks, nobody
knows whether the work was done. What a turn writes to its reply counts only while the reply is
still its own (`attempt`), so that a late writer spoils nothing.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone
from loguru import logger

from chat import limits, statements
from chat.database import check_still_wanted
from chat.errors import (
    AnswerInProgress,
    BudgetExhausted,
    IdempotencyKeyReused,
    Interrupted,
    NotFound,
    RateLimited,
)
from chat.models import ChatSession, Message
from chat.statements import Exchanges
from chat.turns import Turn

KEYS_LAST = timedelta(hours=24)
LOOK_AGAIN_SECONDS = 1


# Open ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Opened:
    """A stored question, and what was said before it. Its reply is ours to write, unless it was
    `answered` by an earlier request with the same key.
    """

    session_id: UUID
    reply_id: UUID
    exchanges: Exchanges
    answered: Message | None = None


def open_closely(turn: Turn) -> Opened:
    """Store the question and its pending reply where the usual statement did not: its key was seen
    before, a limit is reached, or a connection broke.

    Raises AnswerInProgress or IdempotencyKeyReused for a key that was used before, RateLimited or
    BudgetExhausted; nothing is stored then.
    """
    if mine := _stored_before(turn):
        return mine
    if earlier := _answered(turn):
        return earlier
    try:
        return _admit_and_open(turn)
    except (RateLimited, BudgetExhausted):
        if earlier := _answered(turn):  # a twin came first
            return earlier
        raise


def _stored_before(turn: Turn) -> Opened | None:
    """What an earlier run of this work has stored, whose connection broke right after it."""
    if not turn.was_tried:
        turn.was_tried = True
        return None
    reply = Message.objects.pending().filter(attempt=turn.attempt, session_id=turn.session_id)
    found = reply.first()
    return _opened(turn, found) if found else None


def _admit_and_open(turn: Turn) -> Opened:
    with transaction.atomic():
        limits.admit(turn.question.client)
        twin = _twin(turn)
        # This locks the session, so that simultaneous twins are looked at one after the other.
        ChatSession.objects.touch(twin.session_id if twin else turn.session_id)
        if earlier := _answered(turn):
            transaction.set_rollback(True)  # it was asked once, and is counted once
            return earlier
        opened = _begin_again(turn, twin) if twin else _begin(turn)
        check_still_wanted()
        return opened


def _answered(turn: Turn) -> Opened | None:
    """What the same question was answered before. Raises AnswerInProgress while it is pending."""
    twin = _twin(turn)
    if twin is None or twin.status == Message.Status.FAILED:
        return None
    if twin.status == Message.Status.PENDING:
        raise AnswerInProgress(retry_after=LOOK_AGAIN_SECONDS)
    return Opened(twin.session_id, twin.id, [], answered=twin)


def _twin(turn: Turn) -> Message | None:
    """The reply to the same question, by its key, as long as keys last."""
    question = turn.question
    if not question.key:
        return None
    sessions = question.sessions_of_key()
    seen = Message.objects.questions().filter(session_id__in=sessions, idempotency_key=question.key)
    earlier = seen.filter(created_at__gt=timezone.now() - KEYS_LAST).first()
    if earlier is None:
        return None
    if earlier.fingerprint != question.fingerprint:
        raise IdempotencyKeyReused
    # Both rows, or (deleted a moment ago) none.
    return Message.objects.filter(session_id=earlier.session_id, reply_to=earlier).first()


def _begin(turn: Turn) -> Opened:
    if key := turn.question.key:
        before = Message.objects.filter(session_id=turn.session_id, idempotency_key=key)
        before.update(idempotency_key="")  # one that has lasted its time
    with connection.cursor() as cursor:
        cursor.execute(*statements.opening(turn, timezone.now(), is_admitted=True))
        exchanges = statements.exchanges(cursor.fetchall())
    return Opened(turn.session_id, turn.reply_id, exchanges)


def _begin_again(turn: Turn, failed: Message) -> Opened:
    """The same rows, for another attempt."""
    rows = Message.objects.filter(session_id=failed.session_id, id=failed.id)
    rows.update(
        status=Message.Status.PENDING,
        content="",
        error_code="",
        finished_at=None,
        first_token_ms=None,
        attempt=turn.attempt,
        beat_at=Now(),
        stop_requested=False,
    )
    return _opened(turn, failed)


def _opened(turn: Turn, reply: Message) -> Opened:
    question = turn.question
    exchanges: Exchanges = []
    if question.session_id is not None:
        exchanges = exchanges_for(reply, question.selected_text)
    return Opened(reply.session_id, reply.id, exchanges)


def take_back(turn: Turn) -> None:
    """Delete what was stored too late: whoever waited has been told that nothing was."""
    asked = Message.objects.filter(session_id=turn.session_id, id=turn.question_id)
    asked.delete()  # and its reply with it
    sessions = ChatSession.objects.filter(id=turn.session_id)
    sessions.exclude(Exists(Message.objects.filter(session=OuterRef("pk")))).delete()


def exchanges_for(reply: Message, passage: str | None) -> Exchanges:
    """What the model gets to see of the session for this reply: beside a passage, nothing."""
    if passage:
        return []
    messages = Message.objects.filter(session_id=reply.session_id)
    count = settings.CHAT_HISTORY_MESSAGES // 2
    pairs = messages.exchanges_before(reply.id, count)
    return [(question.content, answer.told) for question, answer in pairs]


# In between ---------------------------------------------------------------------------------
def request_stop(session_id: UUID) -> bool:
    """Ask whoever writes them to stop the session's pending replies; whether there are any.

    Raises NotFound for an unknown session.
    """
    if Message.objects.pending().filter(session_id=session_id).update(stop_requested=True):
        return True
    if not ChatSession.objects.filter(id=session_id).exists():
        raise NotFound
    return False


def give_up(silent_seconds: float) -> None:
    """End the replies that nobody has written to for so long."""
    silent = Message.objects.pending().filter(beat_at__lt=Now() - timedelta(seconds=silent_seconds))
    count = silent.update(
        status=Message.Status.FAILED, error_code=Interrupted.code, finished_at=Now()
    )
    if count:
        logger.warning("Replies of killed workers, now failed as interrupted: {}", count)
