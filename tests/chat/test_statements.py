"""The statements written by hand do what the models mean."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from chat.citations.evidence import Evidence
from chat.models import ChatSession, DailyTokens, Message, RateWindow
from chat.turn import close, heartbeat, history, idempotency, open
from chat.turn.close import End
from chat.turn.turn import Question
from tests.helpers.turns import new_turn

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_ours")]

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOLD = End(
    Message.Status.COMPLETE,
    "Said “so”, 100 %.",
    model="m",
    finish_reason="stop",
    prompt_tokens=7,
    completion_tokens=3,
    latency_ms=40,
    evidence=Evidence(
        edition=3,
        grounding="book",
        sources=[{"number": 1, "section_id": 7, "text": "Nodes compute."}],
        nearest=[{"section_id": 8}],
        found=[7, 8],
        support=0.5,
        misquotes=1,
    ),
)


@pytest.fixture(autouse=True)
def unlimited(settings):
    settings.CHAT_RATE, settings.CHAT_DAILY_TOKEN_BUDGET = None, 0


def made(**question):
    return new_turn(Question(**({"text": "Why %s “so”?"} | question)))


def rows_of(statement):
    with connection.cursor() as cursor:
        cursor.execute(*statement)
        return cursor.fetchall() if cursor.description else []


def opened(**question):
    turn = made(**question)
    assert rows_of(open.opening(turn, NOW))
    return turn


def columns(message):
    return {
        field.attname: getattr(message, field.attname) for field in Message._meta.concrete_fields
    }


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"session_id": uuid4()},
        {"selected_text": "A 'passage'; --", "page_url": "https://book.example/1#a"},
        {"idempotency_key": "k" * 255},
    ],
)
def test_a_question_and_its_pending_reply_are_stored_as_the_models_would(question):
    turn = opened(**question)

    session = ChatSession.objects.get(id=turn.session_id)
    asked, reply = Message.objects.filter(session=session).order_by("id")
    assert (session.created_at, session.updated_at, session.verdict) == (NOW, NOW, "")
    assert columns(asked) == columns(
        Message(
            id=turn.question_id,
            session=session,
            role=Message.Role.USER,
            content="Why %s “so”?",
            created_at=NOW,
            selected_text=question.get("selected_text", ""),
            page_url=question.get("page_url", ""),
            idempotency_key=question.get("idempotency_key", ""),
            fingerprint=idempotency.fingerprint(turn.question),
        )
    )
    assert timezone.now() - reply.beat_at < timedelta(minutes=1)
    assert columns(reply) == columns(
        Message(
            id=turn.reply_id,
            session=session,
            role=Message.Role.ASSISTANT,
            created_at=NOW,
            status=Message.Status.PENDING,
            attempt=turn.attempt,
            beat_at=reply.beat_at,
            reply_to=asked,
        )
    )


def test_a_question_renews_its_session():
    session = ChatSession.objects.create(created_at=NOW - timedelta(days=2), verdict="good")

    opened(session_id=session.id)

    session.refresh_from_db()
    assert (session.created_at, session.updated_at) == (NOW - timedelta(days=2), NOW)
    assert session.verdict == "good"


def test_the_statement_and_the_orm_read_the_same_history(settings):
    settings.CHAT_HISTORY_MESSAGES = 7  # three pairs, and half a pair is none
    session = uuid4()
    for end in (
        End(Message.Status.COMPLETE, "too long ago"),
        End(Message.Status.COMPLETE, "wrong"),
        End(Message.Status.FAILED, "half", "model_timeout"),
        End(Message.Status.STOPPED, "stopped"),
        End(Message.Status.STOPPED, ""),
        End(Message.Status.COMPLETE, "last"),
        None,
    ):
        turn = opened(session_id=session, text=f"about {end and end.content}")
        if end:
            rows_of(close.closing(turn, NOW, 0, end))
    Message.objects.filter(content="wrong").update(correction="right", corrected_at=NOW)
    asking = made(session_id=session)

    found = history.from_rows(rows_of(open.opening(asking, NOW)))

    assert found == [
        ("about wrong", "right"),
        ("about stopped", "stopped"),
        ("about last", "last"),
    ]
    assert history.exchanges_before(session, asking.reply_id) == found


@pytest.mark.parametrize(
    "question", [{"selected_text": "A passage."}, {"session_id": None}], ids=["passage", "first"]
)
def test_with_a_passage_and_in_a_new_session_there_is_no_history(question):
    session = uuid4()
    rows_of(close.closing(opened(session_id=session), NOW, 0, TOLD))

    rows = rows_of(open.opening(made(**({"session_id": session} | question)), NOW))

    assert len(rows) == 1
    assert history.from_rows(rows) == []


def test_without_history_nothing_is_read(settings):
    settings.CHAT_HISTORY_MESSAGES = 0
    session = uuid4()
    rows_of(close.closing(opened(session_id=session), NOW, 0, TOLD))

    rows = rows_of(open.opening(made(session_id=session), NOW))

    assert history.from_rows(rows) == []
    assert rows


def test_a_client_over_its_rate_stores_nothing(settings):
    settings.CHAT_RATE = (2, 60)
    for _ in range(2):
        opened(client="carol")

    refused = [rows_of(open.opening(made(client="carol"), NOW)) for _ in range(2)]

    assert refused == [[], []]
    assert ChatSession.objects.count() == 2
    assert RateWindow.objects.get().asked == 2
    opened(client="dave")


def test_a_spent_budget_leaves_nothing_behind(settings):
    settings.CHAT_DAILY_TOKEN_BUDGET = 10
    DailyTokens.objects.create(day=NOW.date() - timedelta(days=1), tokens=10)
    rows_of(close.closing(opened(), NOW, 10, TOLD))

    assert rows_of(open.opening(made(), NOW)) == []
    assert ChatSession.objects.count() == 1


def test_a_key_that_was_seen_leaves_nothing_behind_and_is_not_counted(settings):
    settings.CHAT_RATE = (9, 60)
    session = uuid4()
    opened(session_id=session, client="carol", idempotency_key="k")

    assert (
        rows_of(open.opening(made(session_id=session, client="carol", idempotency_key="k"), NOW))
        == []
    )
    assert RateWindow.objects.get().asked == 1
    opened(session_id=session, client="carol", idempotency_key="another")
    opened(session_id=uuid4(), client="carol", idempotency_key="k")


def test_a_twin_at_this_very_moment_leaves_nothing_behind(settings, monkeypatch):
    """It did not see the other yet when it looked; the index did."""
    settings.CHAT_RATE = (9, 60)
    session = uuid4()
    opened(session_id=session, client="carol", idempotency_key="k")
    monkeypatch.setattr(idempotency, "UNSEEN", "true")

    with pytest.raises(IntegrityError), transaction.atomic():
        rows_of(open.opening(made(session_id=session, client="carol", idempotency_key="k"), NOW))

    assert RateWindow.objects.get().asked == 1


@pytest.mark.parametrize(
    "end",
    [
        TOLD,
        End(Message.Status.STOPPED, ""),
        End(Message.Status.FAILED, "half", "model_timeout"),
    ],
)
def test_the_end_is_written_as_the_models_would(end):
    turn = opened()
    turn.first_token_ms = 12
    before = columns(Message.objects.get(id=turn.reply_id))
    at = NOW + timedelta(seconds=3)

    rows_of(close.closing(turn, at, 0, end))

    written = asdict(end) | {"first_token_ms": 12, "finished_at": at}
    written |= {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in written.pop("evidence").items()
    }
    assert columns(Message.objects.get(id=turn.reply_id)) == before | written
    assert ChatSession.objects.get().updated_at == at


@pytest.mark.parametrize(
    ("now", "is_written"),
    [
        ({}, True),
        ({"status": "failed", "error_code": "interrupted"}, True),  # wrongly: it is here
        ({"status": "failed", "error_code": "model_timeout"}, False),
        ({"status": "stopped"}, False),
        ({"attempt": uuid4()}, False),  # taken over
    ],
)
def test_only_an_unfinished_reply_of_this_attempt_is_written(now, is_written):
    turn = opened()
    reply = Message.objects.filter(id=turn.reply_id)
    reply.update(**now)

    heartbeat.save([(turn, "so far")])
    saved = reply.get().content == "so far"
    reply.update(**now)
    rows_of(close.closing(turn, NOW, 0, TOLD))

    assert saved is is_written
    assert (reply.get().content == TOLD.content) is is_written


@pytest.mark.parametrize(
    ("now", "is_wanted"),
    [
        ({}, True),
        ({"status": "failed", "error_code": "interrupted"}, True),  # wrongly: it is here
        ({"stop_requested": True}, False),
        ({"status": "stopped"}, False),
        ({"attempt": uuid4()}, False),  # taken over
    ],
)
def test_a_turn_is_wanted_as_long_as_nobody_ends_it(now, is_wanted):
    turn, other = opened(), opened()
    Message.objects.filter(id=turn.reply_id).update(**now)

    expected = {turn.attempt, other.attempt} if is_wanted else {other.attempt}
    assert heartbeat.still_wanted([turn, other]) == expected


def test_a_deleted_turn_is_not_wanted():
    turn = opened()
    ChatSession.objects.filter(id=turn.session_id).delete()

    assert heartbeat.still_wanted([turn]) == set()


def test_what_was_used_is_counted_once_also_by_a_deleted_answer(settings):
    settings.CHAT_DAILY_TOKEN_BUDGET = 1000
    deleted, kept, taken_over = opened(), opened(), opened()
    ChatSession.objects.filter(id=deleted.session_id).delete()
    Message.objects.filter(id=taken_over.reply_id).update(attempt=uuid4())

    for turn, tokens in ((deleted, 7), (kept, 100), (kept, 100), (taken_over, 30)):
        rows_of(close.closing(turn, NOW, tokens, TOLD))  # kept: a connection broke

    assert DailyTokens.objects.get().tokens == 137
    assert not ChatSession.objects.filter(id=deleted.session_id).exists()
