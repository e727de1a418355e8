"""manage.py export_conversations: questions with their replies, in constant memory."""

import csv
import io
import json
import os
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from chat.ids import uuid7
from chat.models import ChatSession, Message
from review import export
from tests.helpers.server import CHECKOUT
from tests.review.book import citing, exchange, publish, source

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_ours():
    ChatSession.objects.all().delete()


def reply(asked, answer, **columns):
    return Message.objects.create(
        session=asked.session, role="assistant", content=answer, reply_to=asked, **columns
    )


def exported(capsys, *arguments):
    call_command("export_conversations", *arguments)
    out, err = capsys.readouterr()
    return out, err


def test_each_question_comes_with_its_own_reply_whatever_their_order(capsys):
    """Of two simultaneous turns the replies were stored in the other order."""
    session = ChatSession.objects.create(verdict="good", review_note="Fine.")
    first, second = (
        Message.objects.create(session=session, role="user", content=text) for text in ("1?", "2?")
    )
    reply(second, "Two.")
    reply(first, "One.", model="gpt-x", prompt_tokens=3, feedback="down", feedback_comment="No.")

    out, err = exported(capsys)

    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["question"], row["answer"]) for row in rows] == [("1?", "One."), ("2?", "Two.")]
    assert rows[0].keys() == export.COLUMNS.keys()
    assert rows[0]["session_id"] == str(session.pk)
    assert (rows[0]["model"], rows[0]["prompt_tokens"]) == ("gpt-x", 3)
    assert (rows[0]["feedback"], rows[0]["feedback_comment"]) == ("down", "No.")
    assert (rows[0]["verdict"], rows[0]["review_note"]) == ("good", "Fine.")
    assert datetime.fromisoformat(rows[0]["asked_at"]).tzinfo is not None
    assert err == "Exported 2 questions.\n"


def test_failed_and_unanswered_questions_are_not_left_out(capsys):
    session = ChatSession.objects.create()
    failed = Message.objects.create(session=session, role="user", content="Failed?")
    reply(failed, "", status="failed", error_code="model_timeout")

    row = json.loads(exported(capsys)[0])

    assert (row["status"], row["error_code"], row["answer"]) == ("failed", "model_timeout", "")


def test_batches_leave_nothing_out_and_nothing_twice(capsys, monkeypatch):
    monkeypatch.setattr(export, "BATCH", 3)
    session = ChatSession.objects.create()
    for number in range(10):
        reply(Message.objects.create(session=session, role="user", content=f"{number}"), "x")

    rows = [json.loads(line)["question"] for line in exported(capsys)[0].splitlines()]

    assert rows == [f"{number}" for number in range(10)]


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://evil.example")',
        "+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1+1",
    ],
    ids=["equals", "plus", "minus", "at", "tab", "return", "newline", "full-width"],
)
def test_no_cell_is_a_formula_to_a_spreadsheet(capsys, text):
    asked = Message.objects.create(
        session=ChatSession.objects.create(), role="user", content=text, selected_text=text
    )
    sources = [{"number": 1, "url": text}]
    reply(asked, text, feedback="up", feedback_comment=text, sources=sources, nearest=sources)

    out, _ = exported(capsys, "--format", "csv")

    (row,) = csv.DictReader(io.StringIO(out, newline=""))
    for cell in row.values():
        assert not cell.startswith(export.FORMULA)
    assert row["question"] == f"'{text}"


def test_what_an_answer_rests_on_is_whole_as_json_and_numbers_and_addresses_as_csv(capsys):
    one, two = publish(4, intro="A node.", names="A name.").values()
    citing(one, two, reply={"edition": 4, "misquotes": 1, "replaced": True}, door="mcp")
    near = {"title": "Nodes", "section": "Intro", "url": one.url, "section_id": one.pk}
    exchange({"grounding": "silent", "nearest": [near]})

    cited, silent = (json.loads(line) for line in exported(capsys)[0].splitlines())
    out = exported(capsys, "--format", "csv")[0].removeprefix("\ufeff")
    cited_csv, silent_csv = csv.DictReader(io.StringIO(out, newline=""))

    assert cited["sources"] == [source(one, 1), source(two, 2)]
    assert cited["found"] == [one.pk, two.pk]
    assert (cited["edition"], cited["grounding"], cited["support"]) == (4, "book", 0.8)
    assert (cited["misquotes"], cited["door"], cited["replaced"]) == (1, "mcp", False)
    assert silent["nearest"] == [near]
    assert cited_csv["source_count"] == cited_csv["found_count"] == "2"
    assert cited_csv["source_urls"] == f"{source(one)['url']}\n{source(two)['url']}"
    assert (cited_csv["grounding"], cited_csv["support"]) == ("book", "0.8")
    assert (silent_csv["source_count"], silent_csv["nearest_urls"]) == ("0", one.url)


def test_csv_keeps_quotes_commas_and_lines(capsys):
    text = 'He said "no", twice:\nno\r\nno; روبوٹ'
    asked = Message.objects.create(session=ChatSession.objects.create(), role="user", content=text)
    reply(asked, text)

    (row,) = csv.DictReader(io.StringIO(exported(capsys, "--format", "csv")[0], newline=""))

    assert row["question"] == row["answer"] == text


def test_a_period_includes_its_start_and_excludes_its_end(capsys):
    session = ChatSession.objects.create()
    now = timezone.now()
    for days in (3, 2, 1):
        Message.objects.create(
            session=session,
            role="user",
            content=f"{days} days ago",
            created_at=now - timedelta(days=days),
            id=uuid7(int((now - timedelta(days=days)).timestamp() * 1000) << 42),
        )
    since = (now - timedelta(days=2)).isoformat()
    until = (now - timedelta(days=1)).isoformat()

    rows = [json.loads(line) for line in exported(capsys, "--since", since)[0].splitlines()]
    assert [row["question"] for row in rows] == ["2 days ago", "1 days ago"]
    rows = [json.loads(line) for line in exported(capsys, "--until", until)[0].splitlines()]
    assert [row["question"] for row in rows] == ["3 days ago", "2 days ago"]


def test_a_file_appears_only_when_it_is_complete(capsys, tmp_path, monkeypatch):
    asked = Message.objects.create(session=ChatSession.objects.create(), role="user", content="?")
    reply(asked, "x")
    file = tmp_path / "out.jsonl"

    exported(capsys, "--output", str(file))
    complete = file.read_text()
    monkeypatch.setattr(export, "encode", None)
    with pytest.raises(TypeError):
        exported(capsys, "--output", str(file))

    assert json.loads(complete)["question"] == "?"
    assert file.read_text() == complete
    assert [each.name for each in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_pipe_or_device_is_written_to_and_not_replaced(capsys, tmp_path):
    asked = Message.objects.create(session=ChatSession.objects.create(), role="user", content="?")
    reply(asked, "x")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    exported(capsys, "--output", str(pipe))

    written = os.read(reader, 10_000)
    os.close(reader)
    assert json.loads(written)["answer"] == "x"
    assert pipe.is_fifo()


def test_a_file_is_readable_by_its_owner_only_even_if_it_replaces_a_public_one(capsys, tmp_path):
    file = tmp_path / "out.csv"
    for _ in range(2):
        exported(capsys, "--format", "csv", "--output", str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)


@pytest.mark.parametrize("target", ["file", "pipe", "nothing"])
def test_a_symbolic_link_is_not_followed(capsys, tmp_path, target):
    theirs = tmp_path / "theirs"
    match target:
        case "file":
            theirs.write_text("theirs")
        case "pipe":
            os.mkfifo(theirs)
    link = tmp_path / "out.jsonl"
    link.symlink_to(theirs)

    with pytest.raises(CommandError, match=r"out\.jsonl is a symbolic link\."):
        exported(capsys, "--output", str(link))

    assert link.is_symlink()
    if target == "file":
        assert theirs.read_text() == "theirs"
    assert theirs.exists() == (target != "nothing")


def test_the_name_of_the_unfinished_file_cannot_be_guessed(capsys, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "out.jsonl.partial").symlink_to(theirs)

    exported(capsys, "--output", str(tmp_path / "out.jsonl"))

    assert theirs.read_text() == "theirs"


@pytest.mark.usefixtures("stored")
def test_excel_reads_umlauts_whatever_the_terminal_s_encoding(ask, environment):
    """Thanks to the byte-order mark; standard output is UTF-8, too, with the line ends of CSV."""
    question = f"Was heißt “Müller” auf 日本語?\nUnd warum? {uuid4()}"
    ask(question)

    written = subprocess.run(
        [sys.executable, "manage.py", "export_conversations", "--format", "csv"],
        cwd=CHECKOUT,
        env=os.environ | environment | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    ).stdout

    assert written.startswith(b"\xef\xbb\xbfsession_id,")
    rows = csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline=""))
    assert question in [row["question"] for row in rows]
    assert written.count(b"\n") > written.count(b"\r\n") > 0  # a line within a cell ends in \n


def test_a_link_of_the_system_is_followed(capfd):
    asked = Message.objects.create(session=ChatSession.objects.create(), role="user", content="?")
    reply(asked, "x")

    call_command("export_conversations", "--output", "/dev/stdout")

    assert json.loads(capfd.readouterr().out)["answer"] == "x"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--since", "yesterday"), "yesterday is not a date such as"),
        (("--since", "0001-01-01T00:00+14:00"), "is not a date such as"),
        (("--since", "2026-12-01", "--until", "2026-11-01"), "--since must be before --until"),
        (("--output", "/nowhere/x"), "cannot be written: No such file"),
        (("--output", "/"), "cannot be written: Is a directory"),
    ],
    ids=["date", "year", "order", "file", "folder"],
)
def test_invalid_arguments_are_refused_with_a_sentence(arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("export_conversations", *arguments)


def test_an_export_of_nothing_is_an_empty_file_with_its_header(capsys):
    assert exported(capsys)[0] == ""
    header = exported(capsys, "--format", "csv")[0]
    assert header.startswith("\ufeffsession_id,question_id,")
    assert header.count("\n") == 1
