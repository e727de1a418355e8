"""What a turn reads and writes in PostgreSQL. Run by `chat.database.in_database`.

Every function is one short piece of work that may be run twice: when a connection breaks, nobody
knows whether the work was done. What a turn writes to its reply counts only while the reply is
still its own (`attempt`), so that a late writer spoils nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from loguru import logger

from chat import limits
from chat.database import check_still_wanted
from chat.errors import AnswerInProgress, IdempotencyKeyReused, Interrupted, NotFound
from chat.models import ChatSession, Message
from chat.turns import Turn

KEYS_LAST = timedelta(hours=24)
LOOK_AGAIN_SECONDS = 1
UNFINISHED = Q(status=Message.Status.PENDING) | Q(
    status=Message.Status.FAILED, error_code=Interrupted.code
)

type Exchanges = list[tuple[str, str]]


# Open ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Opened:
    """A stored question with its reply: pending and ours to write, or (`is_ours` false) finished
    by an earlier request with the same key. `exchanges` are what the model gets to see.
    """

    reply: Message
    exchanges: Exchanges
    is_ours: bool = True


def open_turn(turn: Turn) -> Opened:
    """Store the question and its pending reply.

    Raises AnswerInProgress or IdempotencyKeyReused for a key that was used before, RateLimited or
    BudgetExhausted; nothing is stored then.
    """
    if mine := _stored_before(turn):
        return mine
    twin = _twin(turn)
    if twin is not None and twin.status != Message.Status.FAILED:
        return _stored(twin)
    with transaction.atomic():
        # This locks the session, so that simultaneous twins are looked at one after the other.
        ChatSession.objects.touch(twin.session_id if twin else turn.session_id)
        twin = _twin(turn)
        if twin is not None and twin.status != Message.Status.FAILED:
            return _stored(twin)
        limits.admit(turn.question.client)
        reply = _begin_again(turn, twin) if twin else _begin(turn)
        opened = Opened(reply, _exchanges(turn, reply))
        check_still_wanted()
        return opened


def _stored_before(turn: Turn) -> Opened | None:
    """What an earlier run of this work has stored, whose connection broke right after it."""
    if not turn.was_tried:
        turn.was_tried = True
        return None
    reply = Message.objects.pending().filter(attempt=turn.attempt, session_id=turn.session_id)
    found = reply.first()
    return Opened(found, _exchanges(turn, found)) if found else None


def _twin(turn: Turn) -> Message | None:
    """The reply to the same question, by its key, as long as keys last."""
    question = turn.question
    if not question.key:
        return None
    sessions = [turn.session_id] if question.session_id else question.sessions_of_key()
    seen = Message.objects.questions().filter(session_id__in=sessions, idempotency_key=question.key)
    earlier = seen.filter(created_at__gt=timezone.now() - KEYS_LAST).first()
    if earlier is None:
        return None
    if earlier.fingerprint != question.fingerprint:
        raise IdempotencyKeyReused
    # Both rows, or (deleted a moment ago) none.
    return Message.objects.filter(session_id=earlier.session_id, reply_to=earlier).first()


def _stored(reply: Message) -> Opened:
    if reply.status != Message.Status.PENDING:
        return Opened(reply, [], is_ours=False)
    raise AnswerInProgress(retry_after=LOOK_AGAIN_SECONDS)


def _begin(turn: Turn) -> Message:
    question, now = turn.question, timezone.now()
    if question.key:
        Message.objects.filter(session_id=turn.session_id, idempotency_key=question.key).update(
            idempotency_key=""  # one that has lasted its time
        )
    asked = Message(
        id=turn.question_id,
        session_id=turn.session_id,
        role=Message.Role.USER,
        content=question.text,
        created_at=now,
        selected_text=question.selected_text or "",
        page_url=question.page_url or "",
        idempotency_key=question.key,
        fingerprint=question.fingerprint if question.key else "",
    )
    pending = Message(
        id=turn.reply_id,
        session_id=turn.session_id,
        role=Message.Role.ASSISTANT,
        status=Message.Status.PENDING,
        created_at=now,
        reply_to=asked,
        attempt=turn.attempt,
        beat_at=Now(),
    )
    Message.objects.store([asked, pending])
    return pending


def _begin_again(turn: Turn, failed: Message) -> Message:
    """The same rows, for another attempt."""
    failed.status = Message.Status.PENDING
    failed.content = failed.error_code = ""
    failed.finished_at = failed.first_token_ms = None
    failed.attempt, failed.beat_at, failed.stop_requested = turn.attempt, Now(), False
    failed.save()
    return failed


def _exchanges(turn: Turn, reply: Message) -> Exchanges:
    if turn.question.session_id is None:
        return []
    return exchanges_for(reply, turn.question.selected_text)


def exchanges_for(reply: Message, passage: str | None) -> Exchanges:
    """What the model gets to see of the session for this reply: beside a passage, nothing."""
    if passage:
        return []
    messages = Message.objects.filter(session_id=reply.session_id)
    count = settings.CHAT_HISTORY_MESSAGES // 2
    pairs = messages.exchanges_before(reply.id, count)
    return [(question.content, answer.told) for question, answer in pairs]


# Close --------------------------------------------------------------------------------------
def close_turn(turn: Turn, at: datetime, tokens: int, **columns: object) -> None:
    """Write the reply's end and count its tokens. A session deleted meanwhile stays deleted.

    Whoever has given the reply up in the meantime was wrong: it is here.
    """
    replies = Message.objects.filter(session_id=turn.session_id, id=turn.reply_id)
    ours = replies.filter(attempt=turn.attempt)
    end = {"error_code": "", "first_token_ms": turn.first_token_ms} | columns
    with transaction.atomic():
        # The session first, as a deletion locks it and then its messages.
        ChatSession.objects.filter(id=turn.session_id).update(updated_at=at)
        written = ours.filter(UNFINISHED).update(finished_at=at, **end)
        # Used is used, also by an answer that was deleted or taken over meanwhile; but an earlier
        # run of this work has counted it.
        if written or not ours.exists():
            limits.spend(tokens, at)


# In between ---------------------------------------------------------------------------------
SAVE = """
UPDATE chat_message AS reply
SET content = saved.content, beat_at = now(), status = 'pending', error_code = ''
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[])
    AS saved (session_id, id, attempt, content)
WHERE reply.session_id = saved.session_id AND reply.id = saved.id
    AND reply.attempt = saved.attempt
    AND (reply.status = 'pending' OR reply.status = 'failed' AND reply.error_code = 'interrupted')
"""


def save(texts: Iterable[tuple[Turn, str]]) -> None:
    """Write what was said so far, and that these turns are alive. One statement."""
    rows = [(turn.session_id, turn.reply_id, turn.attempt, text) for turn, text in texts]
    rows.sort(key=lambda row: row[1])  # in the order in which a deletion locks them
    with connection.cursor() as cursor:
        cursor.execute(SAVE, [list(column) for column in zip(*rows, strict=True)])


def wanted(turns: list[Turn]) -> set[UUID]:
    """Of these turns, the attempts that are still to be written: nobody has asked to stop them,
    deleted them, or taken them over.
    """
    sessions = {turn.session_id for turn in turns}
    attempts = [turn.attempt for turn in turns]
    replies = [turn.reply_id for turn in turns]
    theirs = Message.objects.filter(
        UNFINISHED,
        session_id__in=sessions,
        id__in=replies,
        attempt__in=attempts,
        stop_requested=False,
    )
    return {attempt for attempt in theirs.values_list("attempt", flat=True) if attempt}


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
