"""examples/scaled/partition.sql, and why it helps: a turn's statements name their session."""

import asyncio
import re
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat import export, storage
from chat.errors import AnswerInProgress
from chat.models import ChatSession, Message
from chat.tests.server import CHECKOUT
from chat.turns import Question, Turn

PARTS = 8
SCRIPT = (CHECKOUT / "examples" / "scaled" / "partition.sql").read_text()
pytestmark = pytest.mark.django_db


def shape():
    """The columns, checks and foreign keys of messages, and what is indexed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, atttypid::regtype::text, attnotnull, attgenerated::text, "
            "pg_get_expr(adbin, adrelid) FROM pg_attribute "
            "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid = 'chat_message'::regclass AND attnum > 0 AND NOT attisdropped"
        )
        columns = set(cursor.fetchall())
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = 'chat_message'::regclass AND contype IN ('c', 'f') "
            "AND conparentid = 0"
        )
        rules = {rule for (rule,) in cursor.fetchall()}
        cursor.execute(
            "SELECT indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes "
            "WHERE tablename = 'chat_message'"
        )
        return columns, rules, dict(cursor.fetchall())


@pytest.fixture
def whole():
    """The table as the migrations made it, with a conversation in it."""
    kept = turn_of(Question("Before?", session_id=uuid4()))
    storage.open_turn(kept)
    storage.close_turn(kept, timezone.now(), 1, status="complete", content="Then.")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return kept, shape()


@pytest.fixture
def partitioned(whole):
    (do_block,) = re.findall(r"^DO \$\$.*?^\$\$;", SCRIPT, re.DOTALL | re.MULTILINE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('chat.parts', %s, true)", [str(PARTS)])
        cursor.execute(do_block)


def turn_of(question):
    async def made():
        return Turn(question)

    return asyncio.run(made())


@pytest.mark.usefixtures("partitioned")
def test_messages_in_partitions_keep_rows_rules_and_indexes(whole):
    kept, (columns, rules, indexes) = whole

    now_columns, now_rules, now_indexes = shape()

    assert Message.objects.filter(session=kept.session_id).count() == 2
    assert now_columns == columns
    reply = "(reply_to_id) REFERENCES chat_message(id)"
    in_session = "(session_id, reply_to_id) REFERENCES chat_message(session_id, id)"
    assert now_rules == {rule.replace(reply, in_session) for rule in rules}
    ids = {"chat_message_pkey", "chat_message_reply_to_id_key"}
    assert {n: d for n, d in indexes.items() if n not in ids}.items() <= now_indexes.items()


@pytest.mark.usefixtures("partitioned")
def test_messages_in_partitions_still_refuse_what_must_not_be():
    turn = turn_of(Question("Twice?", session_id=uuid4(), key="a key"))
    reply = storage.open_turn(turn).reply
    again = {"session_id": turn.session_id, "role": "user", "content": "?"}

    for refused in (
        Message(**again, idempotency_key="a key"),
        Message(**again, id=turn.question_id),
        Message(session_id=reply.session_id, role="assistant", reply_to_id=turn.question_id),
        Message(**again | {"session_id": uuid4()}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            refused.save(force_insert=True)
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def live_through_everything():
    """Turns of a session: one fails, is asked again, speaks, is stopped, judged and read."""
    session_id, now = uuid4(), timezone.now()
    session = Message.objects.filter(session_id=session_id)
    for _ in range(2):
        before = turn_of(Question("Before?", session_id=session_id))
        storage.open_turn(before)
        storage.close_turn(before, now, 1, status="complete", content="Then.")
    turn = turn_of(Question("Now?", session_id=session_id, client="a client", key="a key"))
    storage.open_turn(turn)
    storage.open_turn(turn)  # its connection broke after the first time
    storage.close_turn(turn, now, 1, status="failed", error_code="model_unavailable", content="")
    again = turn_of(turn.question)
    opened = storage.open_turn(again)
    again.reply_id = opened.reply.id
    with pytest.raises(AnswerInProgress):
        storage.open_turn(turn_of(turn.question))
    storage.save([(again, "One ")])
    assert storage.wanted([again]) == {again.attempt}
    assert storage.request_stop(session_id)
    assert storage.wanted([again]) == set()
    storage.close_turn(again, now, 1, status="stopped", content="One ")
    session.replies().filter(id=again.reply_id).update(feedback="up")
    assert [m.content for m in session.page(2)[0]] == ["Now?", "One "]
    assert len(opened.exchanges) == 2
    assert ChatSession.objects.filter(id=session_id).delete()[0] == 1
    assert not session.exists()


def partitions_of(sql):
    """Which partitions PostgreSQL looks into for it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    return set(re.findall(r"chat_message_p\d+", plan))


@pytest.mark.usefixtures("partitioned")
def test_every_statement_of_a_turn_looks_into_one_partition(settings):
    settings.CHAT_RATE = (10, 60)
    with CaptureQueriesContext(connection) as queries:
        live_through_everything()

    looked_into = {
        query["sql"]: partitions_of(query["sql"])
        for query in queries
        if '"chat_message"' in query["sql"] or "chat_message " in query["sql"]
        if query["sql"].startswith(("SELECT", "UPDATE", "DELETE"))
    }
    assert len(looked_into) > 10
    assert {sql: parts for sql, parts in looked_into.items() if len(parts) > 1} == {}


@pytest.mark.usefixtures("partitioned")
def test_staff_read_and_export_across_partitions(whole):
    kept, _ = whole
    for number in range(20):
        turn = turn_of(Question(f"Exported {number}?", session_id=uuid4()))
        storage.open_turn(turn)
        storage.close_turn(turn, timezone.now(), 1, status="complete", content="Lidar.")

    questions = [row[3] for rows in export.batches(Message.objects.questions()) for row in rows]

    assert questions == ["Before?", *(f"Exported {number}?" for number in range(20))]
    assert ChatSession.objects.about("lidar").count() == 20
    storage.give_up(0)
