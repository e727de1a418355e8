"""manage.py ask: a turn in the terminal."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from uuid import uuid4

import pytest

from chat.models import Message
from tests.helpers import CHECKOUT
from tests.helpers.commands import manage
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.waiting import eventually

SESSION_ID_RULE = (
    "The session id must be a UUID or have 16 to 128 letters, digits, dots, colons, hyphens and "
    "underscores."
)


@pytest.fixture
def begin(environment, model):
    """Starts the command."""

    def beginning(*arguments):
        return subprocess.Popen(
            [sys.executable, "manage.py", "ask", *arguments],
            cwd=CHECKOUT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return beginning


@pytest.fixture
def ask(environment, model):
    """Runs the command to its end: exit code, standard output, standard error."""

    def asking(*arguments, stdin=""):
        done = manage("ask", *arguments, stdin=stdin, **environment)
        return done.returncode, done.stdout, done.stderr

    return asking


@pytest.mark.usefixtures("stored")
def test_the_answer_is_printed_and_the_session_can_be_continued(ask, model):
    model.says("Nodes compute.")

    code, out, err = ask("What is a node?")
    session = re.search(r"--session (\S+)", err).group(1)
    ask("And more?", "--session", session)

    assert (code, out) == (0, "Nodes compute.\n")
    assert err.count("\n") == 1  # no log lines in between
    told = [message["content"] for message in model.prompt[1:]]
    assert told == ["What is a node?", "Nodes compute.", "And more?"]
    assert Message.objects.filter(session_id=session, status="complete").count() == 4


def test_the_answer_is_printed_as_it_comes(begin, model):
    model.says(Reply("One two three.", hold_after=2))

    with begin("Slowly?") as process:
        assert process.stdout.read(8) == "One two "
        model.release()
        assert process.communicate()[0] == "three.\n"


def test_a_terminal_obeys_nothing_that_an_answer_says(ask, model):
    model.says("A \x1b[2Jscreen\rcleared\n\tby \x9b2J.")

    _, out, _ = ask("Can you?")

    assert out == "A \\x1b[2Jscreen\\rcleared\n\tby \\x9b2J.\n"


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_passage_is_read_from_a_file(ask, model, tmp_path, source):
    (tmp_path / "passage.txt").write_text("A node is a process.")
    file, stdin = (str(tmp_path / "passage.txt"), "")
    if source == "stdin":
        file, stdin = "-", "A node is a process."

    assert ask("What does it say?", "--selected-text", file, stdin=stdin)[0] == 0

    assert "A node is a process." in model.prompt[1]["content"]


@pytest.mark.usefixtures("stored")
def test_ctrl_c_stops_the_answer_and_keeps_its_text(begin, model):
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=2))

    with begin("Long?", "--session", session) as process:
        process.stdout.read(8)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (130, "\nStopped.\n")
    reply = Message.objects.get(session_id=session, role="assistant")
    assert (reply.status, reply.content) == ("stopped", "One two ")
    assert eventually(lambda: model.hung_up)


@pytest.mark.usefixtures("stored")
def test_ctrl_c_before_the_first_word_stops_it_too(begin, model):
    session = str(uuid4())
    model.says(Reply(hold=True))

    with begin("Long?", "--session", session) as process:
        model.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert process.returncode == 130
    assert Message.objects.get(session_id=session, role="assistant").status == "stopped"


def press_ctrl_c(process, times=3):
    """As a person does: again, where Python has swallowed it (in the callback of a weak reference,
    for example).
    """
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=10)
    pytest.fail("it does not end")


def test_ctrl_c_at_any_time_is_no_traceback_of_ours(begin, model):
    model.says(Reply(hold=True))

    for pause in (0.1, 0.3, 0.6, 0.9, 1.2):
        with begin("Long?") as process:
            time.sleep(pause)
            _, err = press_ctrl_c(process)
        assert process.returncode != 0
        assert "execute_from_command_line" not in err  # Python's own start may be hit too


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((" ",), "Your question must not be empty."),
        (("x" * 4001,), "Your question must have at most 4000 characters."),
        (("?", "--session", "me"), SESSION_ID_RULE),
        (
            ("?", "--selected-text", "/nowhere"),
            "/nowhere cannot be read: No such file or directory.",
        ),
        (("?", "--selected-text", "/dev/null"), "/dev/null is empty."),
        (("?", "--selected-text", sys.executable), f"{sys.executable} is not a text in UTF-8."),
    ],
    ids=["empty", "long", "session", "file", "nothing", "bytes"],
)
def test_a_wrong_argument_is_answered_with_a_sentence(ask, model, arguments, sentence):
    assert ask(*arguments) == (1, "", f"CommandError: {sentence}\n")
    assert model.requests == []


def test_a_failure_is_a_sentence(ask, model):
    model.says(refusal(401))

    code, out, err = ask("?")

    assert (code, out) == (1, "")
    assert err.startswith("CommandError: The language model is not set up correctly")


def test_a_failure_half_way_keeps_what_was_printed(ask, model):
    model.says(Reply("One two three.", cut=2))

    code, out, err = ask("?")

    assert (code, out) == (1, "One two \n")
    assert err.startswith("CommandError: The language model could not answer")
