"""examples/scaled/partition.sql, and why it helps: a turn's statements name their session."""

import re
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from chat.models import ChatSession, Message
from chat.turn import close, heartbeat, open, service
from chat.turn.close import End
from chat.turn.turn import Question
from review import export
from tests.helpers.server import CHECKOUT
from tests.helpers.turns import new_turn

PARTS = 8
NOW = timezone.now()
TOLD = End(Message.Status.COMPLETE, "Lidar.")
SCRIPT = (CHECKOUT / "examples" / "scaled" / "partition.sql").read_text()
pytestmark = pytest.mark.django_db


@pytest.fixture
def whole():
    """The table as the migrations made it: a turn in it, and its shape."""
    kept = take(Question("Before?", session_id=uuid4()), TOLD)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    return kept, shape()


@pytest.fixture
def partitioned(whole):
    (work,) = re.findall(r"^DO \$\$.*?^\$\$;", SCRIPT, re.DOTALL | re.MULTILINE)
    execute("SELECT set_config('chat.parts', %s, true)", [str(PARTS)])
    execute(work)


def execute(sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def shape():
    """Columns, rules (checks and foreign keys) and indexes of messages."""
    columns = execute(
        "SELECT attname, atttypid::regtype::text, attnotnull, attgenerated::text, "
        "pg_get_expr(adbin, adrelid) FROM pg_attribute "
        "LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
        "WHERE attrelid = 'chat_message'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    rules = execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('c', 'f') "
        "AND conrelid = 'chat_message'::regclass AND conparentid = 0"
    )
    indexes = execute(
        "SELECT indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes "
        "WHERE tablename = 'chat_message'"
    )
    return set(columns), {rule for (rule,) in rules}, dict(indexes)


def turn_of(question):
    return new_turn(question)


def take(question, end):
    turn = turn_of(question)
    execute(*open.opening(turn, NOW))
    execute(*close.closing(turn, NOW, 1, end))
    return turn


@pytest.mark.usefixtures("partitioned")
def test_messages_in_partitions_keep_rows_rules_and_indexes(whole):
    kept, (columns, rules, indexes) = whole

    now_columns, now_rules, now_indexes = shape()

    assert Message.objects.filter(session=kept.session_id).count() == 2
    assert now_columns == columns
    reply = "(reply_to_id) REFERENCES chat_message(id)"
    in_session = "(session_id, reply_to_id) REFERENCES chat_message(session_id, id)"
    assert now_rules == {rule.replace(reply, in_session) for rule in rules}
    of_ids = {"chat_message_pkey", "chat_message_reply_to_id_key"}
    assert {indexes[name] for name in indexes.keys() - of_ids} < set(now_indexes.values())


@pytest.mark.usefixtures("partitioned")
def test_messages_in_partitions_still_refuse_what_must_not_be(whole):
    other, _ = whole
    turn = take(Question("Twice?", session_id=uuid4(), idempotency_key="a key"), TOLD)
    question = {"session_id": turn.session_id, "role": "user", "content": "?"}
    reply = question | {"role": "assistant", "reply_to_id": turn.question_id}

    def store(message):
        with transaction.atomic():
            message.save(force_insert=True)
            execute("SET CONSTRAINTS ALL IMMEDIATE")

    for refused in (
        Message(**question, id=turn.question_id),
        Message(**question, idempotency_key="a key"),
        Message(**question | {"session_id": uuid4()}),
        Message(**reply),
        Message(**reply | {"session_id": other.session_id}),
    ):
        with pytest.raises(IntegrityError):
            store(refused)


def live_through_everything():
    """Turns of a session: one fails, is asked again, speaks, is stopped, judged and read."""
    session_id = uuid4()
    messages = Message.objects.filter(session_id=session_id)
    for _ in range(2):
        take(Question("Before?", session_id=session_id), TOLD)
    question = Question("Now?", session_id=session_id, client="a client", idempotency_key="a key")
    failed = take(question, End(Message.Status.FAILED, "", "model_unavailable"))

    again = turn_of(question)
    assert execute(*open.opening(again, NOW)) == []  # its key was seen
    opened = open.open_with_checks(again)
    assert (opened.reply_id, len(opened.exchanges)) == (failed.reply_id, 2)
    again.reply_id = opened.reply_id
    assert open.open_with_checks(again).reply_id == failed.reply_id  # as after a broken connection
    heartbeat.save([(again, "One ")])
    assert heartbeat.still_wanted([again]) == {again.attempt}
    assert service._request_stop(session_id)
    assert heartbeat.still_wanted([again]) == set()
    execute(*close.closing(again, NOW, 1, End(Message.Status.STOPPED, "One ")))

    messages.replies().filter(id=again.reply_id).update(feedback="up")
    assert [message.content for message in messages.page(2)[0]] == ["Now?", "One "]
    another = turn_of(Question("Then?", session_id=session_id, replaces=failed.question_id))
    replaced = open._replaced(execute(*open.opening(another, NOW)))
    open.undo(another, replaced)
    open.open_with_checks(another)
    open.undo(again)
    ChatSession.objects.filter(id=session_id).delete()
    assert not messages.exists()


class Looked:
    """Into which partitions PostgreSQL looks for each statement: runs it twice, once to see."""

    def __init__(self):
        self.into = {}

    def __call__(self, run, sql, params, many, context):
        if "chat_message" in sql:
            with transaction.atomic():
                run(f"EXPLAIN ANALYZE {sql}", params, many, context)
                plan = [line for (line,) in context["cursor"].fetchall()]
                transaction.set_rollback(True)
            executed = "\n".join(line for line in plan if "never executed" not in line)
            self.into[sql] = set(re.findall(r"\bchat_message_p\d+\b", executed))
        return run(sql, params, many, context)


@pytest.mark.usefixtures("partitioned")
def test_every_statement_of_a_turn_looks_into_one_partition(settings):
    settings.CHAT_RATE, settings.CHAT_DAILY_TOKEN_BUDGET = (10, 60), 1000

    looked = Looked()
    with connection.execute_wrapper(looked):
        live_through_everything()

    assert len(looked.into) > 10
    assert {sql: parts for sql, parts in looked.into.items() if len(parts) > 1} == {}


@pytest.mark.usefixtures("partitioned")
def test_staff_search_and_export_across_partitions():
    for number in range(20):
        take(Question(f"Exported {number}?", session_id=uuid4()), TOLD)

    exported = [row[3] for rows in export.batches(Message.objects.questions()) for row in rows]

    questions = [each for each in exported if each.startswith(("Before?", "Exported "))]
    assert questions == ["Before?", *(f"Exported {number}?" for number in range(20))]
    assert ChatSession.objects.about("lidar").count() == 21
