"""manage.py replay: stored questions asked again, with another model or other prompts."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone
from loguru import logger

from chat.models import ChatSession, Message
from llm import completions, providers, retries
from review import replay, replay_report
from tests.helpers.environment import CHECKOUT
from tests.helpers.scripted_model import Reply, ScriptedModel, refusal
from tests.helpers.services import with_gemini_at

pytestmark = pytest.mark.usefixtures("ask_llm")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)
    yield
    for package in ("chat", "llm"):  # which the command turns off for its process
        logger.enable(package)


@pytest.fixture
def session(stored):
    """The only session. Outside a transaction, since the command closes its connection."""
    ChatSession.objects.all().delete()
    yield ChatSession.objects.create()
    ChatSession.objects.all().delete()


@pytest.fixture
def report(tmp_path, capsys):
    """Runs the command; returns the lines, the page, and what it printed."""

    def run(*arguments, since="2020-01-01"):
        name = tmp_path / "out"
        call_command("replay", "--since", since, "--output", str(name), *arguments)
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        page = (tmp_path / "out.html").read_text()
        return [json.loads(line) for line in lines], page, capsys.readouterr().out

    return run


def exchange(session, question="What?", answer="That.", *, selected_text="", **columns):
    asked = Message.objects.create(
        session=session, role="user", content=question, selected_text=selected_text
    )
    return Message.objects.create(
        session=session, role="assistant", content=answer, reply_to=asked, **columns
    )


def summary_of(printed):
    """The printed table as {label: (stored, replayed)}."""
    rows = [re.split(r" {2,}", line) for line in printed.splitlines()[1:-1]]
    return {label: (stored, replayed) for label, stored, replayed in rows}


# Questions ----------------------------------------------------------------------------------
@pytest.mark.usefixtures("stored")
def test_a_replay_sends_the_same_prompts_as_the_turns(ask, model, report):
    """Turns over HTTP: continued, failed in between, corrected, and about a passage."""
    started = datetime.now(UTC).isoformat()
    session = str(uuid4())
    model.says("One.", refusal(401), "Three.", "Four.", "Of the passage.", "Six.")
    ask("1? {{ no template }}", session_id=session)
    replies = Message.objects.filter(session_id=session, content="One.")
    replies.update(correction="Won.", corrected_at=timezone.now())
    ask("2?", session_id=session)
    ask("3? <b>&amp;</b>", session_id=session)
    ask("4?", session_id=str(uuid4()))
    ask("5?", session_id=session, selected_text="A node\nis a </passage> process.")
    ask("6?", session_id=session)
    turns = [request["messages"] for request in model.requests]
    model.forget()

    lines, _, _ = report("--concurrency", "1", since=started)

    assert [request["messages"] for request in model.requests] == turns
    assert [line["prompt"] for line in lines] == turns
    assert turns[2][2]["content"] == "Won."
    assert len(turns[4]) == 2


def test_the_history_is_as_long_as_in_a_turn(session, model, report, settings):
    settings.CHAT_HISTORY_MESSAGES = 4
    for number in range(5):
        exchange(session, f"{number}?", f"{number}.")

    lines, _, _ = report("--limit", "1")

    sent = [message["content"] for message in model.prompt[1:]]
    assert sent == ["2?", "2.", "3?", "3.", "4?"]
    assert lines[0]["stored"]["answer"] == "4."


def test_the_most_recent_questions_are_selected_and_reported_oldest_first(session, model, report):
    for number in range(6):
        exchange(session, f"{number}?")

    lines, _, _ = report("--limit", "3")

    assert [line["question"] for line in lines] == ["3?", "4?", "5?"]
    assert len(model.requests) == 3


def test_a_pending_question_does_not_count_to_the_limit(session, report):
    exchange(session, "Answered?")
    exchange(session, "Pending?", "", status="pending")

    assert [line["question"] for line in report("--limit", "1")[0]] == ["Answered?"]


def test_batches_leave_nothing_out_and_nothing_twice(session, report, monkeypatch):
    monkeypatch.setattr(replay, "BATCH", 1)
    for number in range(8):
        exchange(session, f"{number}?")

    lines, page, _ = report("--concurrency", "3")

    assert [line["question"] for line in lines] == [f"{number}?" for number in range(8)]
    assert page.count("<article") == 8


def test_questions_outside_the_period_and_without_an_ended_reply_are_left_out(
    session, model, report
):
    exchange(session, "Pending?", "", status="pending")
    exchange(session, "Stopped?", "Hal", status="stopped")
    exchange(session, "Failed?", "", status="failed", error_code="model_timeout")
    later = (timezone.now() + timedelta(seconds=1)).isoformat()
    Message.objects.create(session=session, role="user", content="No reply?")

    lines, _, _ = report("--until", later)

    assert [line["question"] for line in lines] == ["Stopped?", "Failed?"]
    assert [line["stored"]["status"] for line in lines] == ["stopped", "failed"]
    call_command("replay", "--since", later)
    assert len(model.requests) == 2


def test_no_more_are_asked_at_once_than_allowed(session, report, monkeypatch):
    for number in range(9):
        exchange(session, f"{number}?")
    running, most, complete = set(), [], completions.complete

    async def counted(prompt, **named):
        running.add(id(prompt))
        most.append(len(running))
        completion = await complete(prompt, **named)
        running.discard(id(prompt))
        return completion

    monkeypatch.setattr(completions, "complete", counted)

    report("--concurrency", "3")

    assert max(most) == 3


# Model and prompts ---------------------------------------------------------------------------
def test_another_model_of_the_same_provider_is_asked(session, model, report):
    exchange(session, "What?", "That.", model="gpt-old")

    lines, page, printed = report("--model", "gpt-new")

    assert model.requests[0]["model"] == "gpt-new"
    assert lines[0]["replayed"]["model"] == "gpt-new"
    assert summary_of(printed)["Answered by"] == ("gpt-old (1)", "gpt-new (1)")
    assert "asked again with gpt-new" in page


@pytest.mark.parametrize("arguments", [("--model", "gpt-new"), ()], ids=["named", "configured"])
def test_no_fallback_answers(session, model, report, settings, monkeypatch, arguments):
    exchange(session)
    with ExitStack() as stack:
        second = ScriptedModel()
        stack.callback(second.close)
        settings.GEMINI_API_KEY = "gemini-key"
        monkeypatch.setattr(providers, "SERVICES", with_gemini_at(second.base_url))
        model.says(refusal(503))

        lines, _, _ = report(*arguments)

    assert lines[0]["replayed"]["error_code"] == "model_unavailable"
    assert second.requests == []


def test_edited_prompts_are_used_and_the_others_are_unchanged(session, model, report, tmp_path):
    exchange(session, "About the book?")
    exchange(session, "About the passage?", selected_text="Wheels turn.")
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "conversation.txt").write_text("Be brief about {{ book_title|safe }}.\n")

    lines, page, _ = report("--prompts", str(folder), "--concurrency", "1")

    first, second = (request["messages"] for request in model.requests)
    assert first[0]["content"] == "Be brief about Physical AI & Humanoid Robotics."
    assert "Answer from that passage alone" in second[0]["content"]
    assert "Wheels turn." in second[1]["content"]
    assert "prompts: edited conversation.txt" in page
    assert lines[0]["prompt"] == first


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "contains none of conversation.txt, passage.txt, passage_question.txt, book.txt"),
        (
            {"conversation.txt": b"{% if %}"},
            "conversation.txt, Unexpected end of expression in if tag.",
        ),
        ({"passage.txt": b"\xff"}, "cannot be used: 'utf-8' codec"),
    ],
    ids=["none", "syntax", "bytes"],
)
def test_unusable_prompts_are_refused_before_anything_is_asked(
    session, model, report, tmp_path, files, sentence
):
    exchange(session)
    (tmp_path / "prompts").mkdir()
    for name, content in files.items():
        (tmp_path / "prompts" / name).write_bytes(content)

    with pytest.raises(CommandError, match=re.escape(sentence)):
        report("--prompts", str(tmp_path / "prompts"))

    assert model.requests == []


# The report ---------------------------------------------------------------------------------
def test_both_answers_come_with_their_facts(session, report, settings):
    settings.LLM_PRICE_PER_MILLION = (Decimal(1), Decimal(2))
    reply = exchange(
        session,
        "What?",
        "Stored words.",
        model="gpt-old",
        prompt_tokens=100,
        completion_tokens=50,
        latency_ms=2000,
        first_token_ms=300,
        finish_reason="content_filter",
        feedback="down",
        feedback_comment="Wrong.",
        correction="Better words.",
        corrected_at=timezone.now(),
    )

    lines, page, printed = report("--price", "10,30")

    (line,) = lines
    assert line["question_id"] == str(reply.reply_to_id)
    assert line["session_id"] == str(session.pk)
    stored, replayed = line["stored"], line["replayed"]
    assert (stored["answer"], replayed["answer"]) == ("Stored words.", "A scripted answer.")
    assert (stored["correction"], stored["feedback"]) == ("Better words.", "down")
    assert (stored["cost"], replayed["cost"]) == ("0.0002", "0.00032")
    assert (replayed["prompt_tokens"], replayed["completion_tokens"]) == (11, 7)
    assert replayed["latency_ms"] >= 0
    for text in ("Stored words.", "A scripted answer.", "Better words.", "Wrong.", "thumb down"):
        assert text in page
    printed_summary = summary_of(printed)
    assert printed_summary["Answered"] == ("1", "1")
    assert printed_summary["Mean length, characters"] == ("13", "18")
    assert printed_summary["Tokens in"] == ("100 (mean 100)", "11 (mean 11)")
    assert printed_summary["Tokens out"] == ("50 (mean 50)", "7 (mean 7)")
    assert printed_summary["Estimated cost"] == ("0.0002", "0.0003")
    assert printed_summary["Duration p50"][0] == "2.0 s"


def test_without_prices_nothing_is_estimated(session, report):
    exchange(session, prompt_tokens=1, completion_tokens=1)

    lines, _, printed = report()

    assert lines[0]["replayed"]["cost"] is None
    assert summary_of(printed)["Estimated cost"] == ("—", "—")


def test_refusals_and_truncated_answers_are_counted(session, model, report):
    for reason in ("content-filter", "length", "stop"):
        exchange(session, finish_reason=reason)
    reasons = iter(["content_filter", "content_filter", "odd"])
    model.decides(lambda _: Reply(finish_reason=next(reasons)))

    _, _, printed = report()

    printed_summary = summary_of(printed)
    assert printed_summary["Refused by a content filter"] == ("1", "2")
    assert printed_summary["Ended for another reason"] == ("0", "1")
    assert printed_summary["Cut at the maximum length"] == ("1", "0")


def test_quantiles_are_times_that_were_measured(session, report):
    for seconds in range(1, 21):
        exchange(session, latency_ms=seconds * 1000)

    printed_summary = summary_of(report()[2])

    assert (printed_summary["Duration p50"][0], printed_summary["Duration p95"][0]) == (
        "10.0 s",
        "19.0 s",
    )


def test_a_failure_is_an_outcome(session, model, report):
    exchange(session, "1?")
    exchange(session, "2?", "", status="failed", error_code="interrupted")
    exchange(session, "3?")
    model.says("Fine.", refusal(401), "Fine.")  # the first was accepted, so the others are asked

    lines, page, printed = report("--concurrency", "1")

    assert [line["replayed"]["error_code"] for line in lines] == ["", "model_misconfigured", ""]
    assert summary_of(printed)["Failed"] == ("interrupted (1)", "model_misconfigured (1)")
    assert "<code>model_misconfigured</code> (401 error no)" in page
    assert "The server was killed or restarted" in page


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_provider_that_refuses_the_first_question_is_not_asked_again(
    session, model, report, tmp_path, status
):
    for _ in range(5):
        exchange(session)
    model.says(refusal(status))

    with pytest.raises(CommandError, match=rf"refused the first question \({status} error no\)"):
        report()

    assert len(model.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_hostile_text_is_inert_in_the_report(session, model, report):
    attack = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1)) "
        "![b](https://evil.example/pixel.png) <!-- questions --> {{ trial.provider.api_key }}"
    )
    exchange(
        session,
        attack,
        attack,
        selected_text=attack,
        model="<script>m",
        feedback_comment=attack,
        correction=attack,
        corrected_at=timezone.now(),
    )
    exchange(session, attack, attack)
    exchange(session, "And?")
    model.says(attack)

    lines, page, _ = report("--model", "<script>n")

    assert lines[0]["replayed"]["answer"] == attack
    assert "<script" not in page
    assert "<img" not in page
    assert not re.search(r"""(src|srcset|on\w+|style)\s*=\s*["']""", page.partition("<main>")[2])
    addresses = set(re.findall(r"""href\s*=\s*["']?([^"'\s>]*)""", page))
    to_click = {"https://evil.example/pixel.png"}  # an image is a link
    assert addresses == {f"#question-{number}" for number in (1, 2, 3)} | to_click
    assert "url(" not in page
    assert "@import" not in page
    assert "sk-tests-only" not in page
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert page.count("<article") == 3
    assert page.rstrip().endswith("</html>")


# No traces ----------------------------------------------------------------------------------
def rows():
    """All rows of all tables."""
    everything = {}
    for model in apps.get_models(include_auto_created=True):
        with connection.cursor() as cursor:
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            everything[table] = cursor.fetchall()
    return everything


def test_nothing_is_stored_or_counted(session, model, report, settings):
    settings.CHAT_DAILY_TOKEN_BUDGET, settings.CHAT_RATE = 1, (1, 3600)
    for number in range(4):
        exchange(session, f"{number}?")
    before = rows()
    model.says("Fine.", refusal(503))

    lines, _, _ = report()

    assert len(lines) == 4
    assert rows() == before


@pytest.mark.usefixtures("stored")
def test_no_connection_is_held_while_the_model_works(ask, report, monkeypatch):
    started = datetime.now(UTC).isoformat()
    ask("What?")
    held = []
    here, complete = connections["default"], completions.complete  # in the loop it would be another

    async def counted(*arguments, **named):
        held.append(here.connection is not None)
        return await complete(*arguments, **named)

    monkeypatch.setattr(completions, "complete", counted)

    report(since=started)

    assert held == [False]


def test_a_report_is_replaced_only_by_a_complete_one(session, report, tmp_path, monkeypatch):
    exchange(session)
    report()
    files = {file.name: file.read_text() for file in tmp_path.iterdir()}
    for function in ("_page", "encode"):
        with monkeypatch.context() as patch:
            patch.setattr(replay_report, function, None)
            with pytest.raises(TypeError):
                report()

        assert {file.name: file.read_text() for file in tmp_path.iterdir()} == files
    assert set(files) == {"out.html", "out.jsonl"}


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_a_signal_writes_nothing(ask, model, environment, tmp_path, sent, code):
    started = datetime.now(UTC).isoformat()
    ask("1?")
    ask("2?")
    model.forget()
    model.says("Fine.", Reply(hold=True))
    arguments = ["replay", "--since", started, "--output", str(tmp_path / "out")]

    with subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        model.wait_for_requests(2)
        process.send_signal(sent)
        _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (code, "")
    assert list(tmp_path.iterdir()) == []


def test_without_questions_no_file_is_written(session, model, tmp_path, capsys):
    (tmp_path / "out.html").write_text("an earlier one")

    call_command("replay", "--since", "2020-01-01", "--output", str(tmp_path / "out"))

    printed = "There is no answered question in this period. Nothing was written.\n"
    assert capsys.readouterr().out == printed
    assert [file.read_text() for file in tmp_path.iterdir()] == ["an earlier one"]
    assert model.requests == []


def test_unwritable_files_are_refused_before_anything_is_asked(session, model):
    exchange(session)

    with pytest.raises(CommandError, match=r"/nowhere/x.html cannot be written"):
        call_command("replay", "--since", "2020-01-01", "--output", "/nowhere/x")

    assert model.requests == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "the following arguments are required: --since"),
        (("--since", "yesterday"), "yesterday is not a date such as"),
        (("--since", "2020-01-01", "--limit", "0"), "0 is not a whole number from 1 to 10000"),
        (("--since", "2020-01-01", "--concurrency", "33"), "33 is not a whole number from 1 to 32"),
        (("--since", "2020-01-01", "--price", "1"), "must look like 0.40,1.60"),
    ],
    ids=["since", "date", "limit", "concurrency", "price"],
)
def test_invalid_arguments_are_refused_with_a_sentence(arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("replay", *arguments)
