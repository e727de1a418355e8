"""Open: store the question and its pending reply, and read the history.

Usually one statement, written by hand: as queries of the ORM it is six, and building them costs
several times what PostgreSQL needs to run them (docs/performance.md). Where it stores nothing (a
limit is reached, its idempotency key was seen before, a connection broke), `open_with_checks` takes
a closer look with the ORM. Both may be run twice: when a connection breaks, it is unknown whether
the work was done.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now
from django.utils import timezone

from book.models import Edition
from chat.database import LOST, Row, Statement, check_not_abandoned, in_thread, retry, run_statement
from chat.errors import BudgetExhausted, ChatError, NothingToReplace, RateLimited
from chat.models import ChatSession, Message
from chat.turn import history, idempotency, limits, replacing
from chat.turn.history import Exchanges
from chat.turn.turn import Turn

# Each part reads what the one before returned, and so comes after it; where a part returns nothing
# (refused by the limits, or asked before), nothing after it is done. Locks are taken in this order:
# the client's window, the session, what is replaced.
OPEN = """
WITH admitted AS ({admitted}),
session AS ({session}),
{replaced}
question AS (
    INSERT INTO chat_message (
        session_id, id, role, content, created_at,
        selected_text, page_url, idempotency_key, fingerprint, door
    )
    SELECT
        id, %(question)s, 'user', %(content)s, %(now)s,
        %(selected_text)s, %(page_url)s, %(key)s, %(fingerprint)s, %(door)s
    FROM session
    RETURNING session_id, id
),
reply AS (
    INSERT INTO chat_message (
        session_id, id, role, content, created_at, status, reply_to_id, attempt, beat_at
    )
    SELECT
        session_id, %(reply)s, 'assistant', '', %(now)s, 'pending', id, %(attempt)s, now()
    FROM question
    RETURNING id
)
SELECT {edition}, {in_budget}, {published_at}, {replaced_ids},
    earlier.question, earlier.answer, earlier.cited
FROM reply {history}
"""
SESSION = """
    INSERT INTO chat_session (id, created_at, updated_at)
    SELECT %(session)s, %(now)s, %(now)s FROM admitted
    ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING id
"""
NO_HISTORY = """
LEFT JOIN (SELECT NULL AS question, NULL AS answer, NULL AS cited) AS earlier ON false
"""
WITH_HISTORY = f"LEFT JOIN LATERAL ({history.EXCHANGES}) AS earlier ON true ORDER BY earlier.id"


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored question, and the history before it. Its reply is this turn's to write, unless an
    earlier request with the same key has `finished` it.
    """

    session_id: UUID
    reply_id: UUID
    exchanges: Exchanges
    cited: list[int] = field(default_factory=list)  # sections, by the answers among these
    edition: int | None = None  # the current one's number; None without a book
    in_budget: bool = True
    published_at: datetime | None = None  # when that was; a restore may give its number to another
    finished: Message | None = None


async def open_turn(turn: Turn) -> Opened:
    """By one statement where nothing is in its way, or else with a closer look.

    Raises DatabaseUnavailable, RateLimited, BudgetExhausted, AnswerInProgress,
    IdempotencyKeyReused or NothingToReplace; nothing is stored then.
    """
    question = turn.question
    if refusal := limits.known_refusal(question.client):
        return await _open_refused(turn, refusal)
    if question.idempotency_key and (refusal := limits.known_refusal(question.client, "repeat")):
        await limits.refuse(refusal)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.DATABASE_TIMEOUT_SECONDS
    try:
        rows = await run_statement(
            opening(turn, timezone.now()), lambda rows: _undo_later(turn, _replaced(rows))
        )
    except LOST:
        turn.open_was_tried = True
    except psycopg.IntegrityError:  # the same key, or another question, at this very moment
        pass
    else:
        if rows:
            return _from_rows(turn, rows)
    left = max(deadline - loop.time(), 0.1)
    if not question.idempotency_key:
        return await in_thread(lambda: open_with_checks(turn), left)
    return await limits.run_counted(question.client, "repeat", lambda: open_with_checks(turn), left)


async def _open_refused(turn: Turn, refusal: ChatError) -> Opened:
    """What was answered before is answered again, even beyond the limits."""
    question, earlier = turn.question, None
    if question.idempotency_key:
        earlier = await limits.run_counted(question.client, "repeat", lambda: _finished(turn))
    return earlier or await limits.refuse(refusal)


# The usual case -----------------------------------------------------------------------------
def opening(turn: Turn, now: datetime) -> Statement:
    """Stores a question and its pending reply; `_from_rows` reads its rows.

    No rows at all, and nothing stored: the limits refuse it, its key was seen before, or what it
    replaces is unknown. The same key at this very moment is an IntegrityError; where it replaces a
    question, so is any other question of its session.
    """
    question = turn.question
    conditions = replacing.conditions(turn.session_id, question)
    if question.idempotency_key:
        conditions[idempotency.UNSEEN] = idempotency.unseen_values(question)
    return _opening(turn, now, limits.admission(question.client, now, conditions))


def _opening(turn: Turn, now: datetime, admission: Statement) -> Statement:
    question = turn.question
    values = {
        "session": turn.session_id,
        "question": turn.question_id,
        "reply": turn.reply_id,
        "attempt": turn.attempt,
        "now": now,
        "content": question.text,
        "selected_text": question.selected_text or "",
        "page_url": question.page_url or "",
        "key": question.idempotency_key,
        "fingerprint": idempotency.fingerprint(question),
        "door": question.door,
    }
    replaces = question.replaces
    has_history = question.session_id is not None and not question.selected_text
    budget = limits.budget_values(now) if settings.CHAT_DAILY_TOKEN_BUDGET else {}
    sql = OPEN.format(
        admitted=admission.sql,
        session=replacing.SESSION if replaces else SESSION,
        replaced=replacing.REPLACED if replaces else "",
        replaced_ids=replacing.IDS if replaces else replacing.NO_IDS,
        edition=limits.CURRENT_EDITION,
        in_budget=limits.IN_BUDGET if budget else "true",
        published_at=limits.PUBLISHED_AT,
        history=WITH_HISTORY if has_history else NO_HISTORY,
    )
    of_history = history.values(turn.session_id, replaces or turn.reply_id)
    return Statement(sql, of_history | budget | {**admission.values} | values)


def _from_rows(turn: Turn, rows: list[Row]) -> Opened:
    return Opened(
        turn.session_id,
        turn.reply_id,
        history.from_rows(rows),
        history.cited(rows),
        *rows[0][:3],
    )


def _replaced(rows: list[Row]) -> list[UUID]:
    return rows[0][3] if rows else []


# The closer look ----------------------------------------------------------------------------
def open_with_checks(turn: Turn) -> Opened:
    """Store the question and its pending reply where the usual statement did not.

    Raises AnswerInProgress or IdempotencyKeyReused for a key that was used before, RateLimited,
    BudgetExhausted or NothingToReplace; nothing is stored then.
    """
    if mine := _stored_by_an_earlier_try(turn):
        return mine
    if earlier := _finished(turn):
        return earlier
    try:
        return _admit_and_open(turn)
    except (RateLimited, BudgetExhausted):
        if earlier := _finished(turn):  # the same key came first
            return earlier
        raise


def _stored_by_an_earlier_try(turn: Turn) -> Opened | None:
    """What an earlier run of this work has stored, whose connection broke right after it."""
    if not turn.open_was_tried:
        turn.open_was_tried = True
        return None
    reply = Message.objects.pending().filter(attempt=turn.attempt, session_id=turn.session_id)
    found = reply.first()
    return _reopened(turn, found) if found else None


def _admit_and_open(turn: Turn) -> Opened:
    with transaction.atomic():
        limits.admit(turn.question.client)
        earlier = idempotency.earlier_reply(turn.question)
        # This locks the session, so that requests under one key are looked at one after the other.
        ChatSession.objects.touch(earlier.session_id if earlier else turn.session_id)
        if finished := _finished(turn):
            transaction.set_rollback(True)  # it was asked once, and is counted once
            return finished
        opened = _begin_again(turn, earlier) if earlier else _begin(turn)
        check_not_abandoned()
        return opened


def _finished(turn: Turn) -> Opened | None:
    reply = idempotency.finished_reply(turn.question)
    return Opened(reply.session_id, reply.id, [], finished=reply) if reply else None


def _begin(turn: Turn) -> Opened:
    idempotency.release_expired_key(turn.session_id, turn.question.idempotency_key)
    now, conditions = timezone.now(), replacing.conditions(turn.session_id, turn.question)
    with connection.cursor() as cursor:
        cursor.execute(*_opening(turn, now, limits.admitted(conditions)))
        rows = cursor.fetchall()
    if not rows:
        raise NothingToReplace
    return _from_rows(turn, rows)


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
    return _reopened(turn, failed)


def _reopened(turn: Turn, reply: Message) -> Opened:
    question = turn.question
    edition = Edition.objects.current().values_list("number", "published_at").first()
    number, published_at = edition or (None, None)
    exchanges: Exchanges = []
    if question.session_id is not None and not question.selected_text:
        exchanges = history.exchanges_before(reply.session_id, reply.id)
    return Opened(
        reply.session_id,
        reply.id,
        exchanges,
        edition=number,
        in_budget=limits.is_in_budget(timezone.now()),
        published_at=published_at,
    )


# A commit that came too late ----------------------------------------------------------------
_undoing: set[asyncio.Task[None]] = set()


def _undo_later(turn: Turn, replaced: Sequence[UUID]) -> None:
    """Undo a commit that landed after the client got a 503."""
    purpose = "Undoing a question that was stored too late"
    task = asyncio.create_task(retry(lambda: in_thread(lambda: undo(turn, replaced)), purpose))
    _undoing.add(task)
    task.add_done_callback(_undoing.discard)


def undo(turn: Turn, replaced: Sequence[UUID] = ()) -> None:
    """Delete the question, its reply with it, and a session that is then empty.

    What it has `replaced` comes back, unless another question has taken its own place since.
    """
    of_session = Message.objects.filter(session_id=turn.session_id)
    question = of_session.filter(id=turn.question_id)
    with transaction.atomic():
        ChatSession.objects.select_for_update().filter(id=turn.session_id).first()
        if replaced and question.filter(replaced=False).exists():
            of_session.filter(id__in=replaced).update(replaced=False)
        question.delete()
    sessions = ChatSession.objects.filter(id=turn.session_id)
    sessions.exclude(Exists(Message.objects.filter(session=OuterRef("pk")))).delete()


async def finish_undoing() -> None:
    """Wait for what is still to be undone; one of a server's last acts."""
    while _undoing:
        await asyncio.wait(_undoing)
