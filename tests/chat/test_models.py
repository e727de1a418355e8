"""The rows' invariants hold in the database, and the QuerySets mean what they say."""

from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from chat import models
from chat.ids import time_ordered_id, time_ordered_ids
from chat.models import ChatSession, Message
from chat.turn import history

pytestmark = pytest.mark.django_db


@pytest.fixture
def session():
    return ChatSession.objects.create()


def exchange(session, question="Why?", reply="Because.", **columns):
    asked = Message.objects.create(session=session, role="user", content=question)
    return Message.objects.create(
        session=session, role="assistant", content=reply, reply_to=asked, **columns
    )


def test_ids_made_one_after_the_other_sort_that_way():
    ids = [time_ordered_id() for _ in range(10_000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, UUID(int=0).variant)} or {
        each.version for each in ids
    } == {7}


def test_ids_made_together_have_none_in_between():
    pairs = [time_ordered_ids(2) for _ in range(1000)]

    assert all((second.int >> 32) - (first.int >> 32) == 1 for first, second in pairs)


def test_an_id_tells_the_time_it_was_made():
    import time

    assert abs((time_ordered_id().int >> 80) - time.time() * 1000) < 1000


@pytest.mark.parametrize(
    "columns",
    [
        {"role": "robot"},
        {"status": "asleep"},
        {"feedback": "meh"},
        {"content": ""},
        {"status": "failed"},
        {"error_code": "model_timeout"},
        {"reply_to": None},
    ],
)
def test_a_reply_that_makes_no_sense_is_refused(session, columns):
    asked = Message.objects.create(session=session, role="user", content="Why?")
    sound = {"session": session, "role": "assistant", "content": "Because.", "reply_to": asked}

    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(**sound | columns)

    Message.objects.create(**sound)


@pytest.mark.parametrize("columns", [{"status": "pending"}, {"content": ""}])
def test_a_question_is_always_whole(session, columns):
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(**{"session": session, "role": "user", "content": "?"} | columns)


def test_a_question_has_one_reply(session):
    reply = exchange(session)

    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(
            session=session, role="assistant", content="Again.", reply_to=reply.reply_to
        )


def test_an_idempotency_key_counts_once_in_its_session(session):
    def ask(where):
        Message.objects.create(session=where, role="user", content="?", idempotency_key="k")

    ask(session)
    ask(ChatSession.objects.create())
    with pytest.raises(IntegrityError), transaction.atomic():
        ask(session)


def test_exchanges_are_the_finished_ones_before_a_message_oldest_first(session, settings):
    for number in range(4):
        exchange(session, f"q{number}", f"a{number}")
    exchange(session, "failed", "", status="failed", error_code="model_timeout")
    exchange(session, "pending", "", status="pending")
    exchange(session, "silent", "", status="stopped")
    exchange(session, "stopped", "half", status="stopped")
    exchange(ChatSession.objects.create(), "elsewhere")
    now = time_ordered_id()
    exchange(session, "later")

    settings.CHAT_HISTORY_MESSAGES = 6
    assert history.exchanges_before(session.id, now) == [
        ("q2", "a2"),
        ("q3", "a3"),
        ("stopped", "half"),
    ]
    settings.CHAT_HISTORY_MESSAGES = 0
    assert history.exchanges_before(session.id, now) == []


def test_exchanges_take_one_query(session, django_assert_num_queries):
    for _ in range(6):
        exchange(session)

    with django_assert_num_queries(1):
        history.exchanges_before(session.id, time_ordered_id())


def test_touching_a_session_makes_it_or_renews_it(django_assert_num_queries):
    session_id = uuid4()
    with django_assert_num_queries(1):
        ChatSession.objects.touch(session_id)
    made = ChatSession.objects.get(id=session_id)

    ChatSession.objects.touch(session_id)

    renewed = ChatSession.objects.get(id=session_id)
    assert renewed.created_at == made.created_at
    assert renewed.updated_at > made.updated_at


def test_what_is_stored_twice_is_there_once(session):
    message = Message(session=session, role="user", content="Once.")

    Message.objects.store([message])
    Message.objects.store([message])

    assert session.messages.count() == 1


def test_deleting_a_session_deletes_its_messages_in_the_database(
    session, django_assert_num_queries
):
    exchange(session)

    with django_assert_num_queries(1):
        ChatSession.objects.filter(id=session.id).delete()

    assert not Message.objects.filter(session_id=session.id).exists()


def test_names_for_people_show_no_whole_id(session):
    reply = exchange(session, reply="x" * 100)

    assert str(session) == f"{str(session.id)[:8]}…"
    assert str(reply) == "Assistant: " + "x" * 60


def test_the_hot_reads_use_the_index_on_session_and_id(session):
    sessions = [ChatSession.objects.create() for _ in range(200)]
    Message.objects.bulk_create(
        Message(session=each, role="user", content="Why?") for each in sessions * 20
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_message")
    history = session.messages.finished().filter(id__lt=time_ordered_id()).order_by("-id")[:5]
    page = session.messages.order_by("-id")[:51]

    for read in (history, page):
        assert "chat_message_of_session" in read.explain()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("servo", {"Servos move joints.", "A servo and a lidar."}),
        ("servo lidar", {"A servo and a lidar."}),
        ('"move joints"', {"Servos move joints."}),
        ('"joints move"', set()),
        ("servo -lidar", {"Servos move joints."}),
        ("joints or lidar", {"Servos move joints.", "A servo and a lidar."}),
        ("'; DROP TABLE chat_message --", set()),
        ('"unbalanced', set()),
    ],
)
def test_messages_are_found_as_on_the_web(session, words, found, monkeypatch):
    for text in ("Servos move joints.", "A servo and a lidar.", "Neither."):
        Message.objects.create(session=session, role="user", content=text)

    assert {message.content for message in Message.objects.about(words)} == found
    sessions = [session] if found else []
    assert list(ChatSession.objects.about(words)) == sessions
    monkeypatch.setattr(models, "SEARCHED_AT_ONCE", 0)  # as if the words were common
    assert list(ChatSession.objects.about(words)) == sessions


def test_the_search_uses_its_index(session):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")

    plan = Message.objects.order_by().about("servo").explain()

    assert "chat_message_words" in plan


def test_a_text_of_any_length_can_be_stored_and_searched(session):
    text = " ".join(str(n) for n in range(400_000))

    message = Message.objects.create(session=session, role="user", content=text)

    assert Message.objects.about("12345").get() == message
