"""manage.py: how its commands end when their output goes nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.server import CHECKOUT

COMMANDS = (
    ("usage_report",),
    ("export_conversations", "--format", "csv"),
    ("purge_conversations", "--older-than", "9999w", "--dry-run"),
    ("validate_env",),
)


def ended(environment, command, stdout):
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=CHECKOUT,
        env=os.environ | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_reader_that_has_enough_ends_a_command_quietly(environment, command):
    """As `| head -1` does."""
    out, into = os.pipe()
    os.close(out)

    done = ended(environment, command, into)
    os.close(into)

    assert done.returncode == 128 + 13  # as for what SIGPIPE ends
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_full_disk_is_said_in_a_sentence(environment, command):
    with Path("/dev/full").open("w") as full:
        done = ended(environment, command, full)

    assert done.returncode == 1
    assert done.stderr.endswith("The output cannot be written: No space left on device.\n")
    assert "Traceback" not in done.stderr


def test_the_sdk_is_imported_by_servers_and_not_by_commands_that_ask_nobody(environment):
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'chatbackend.settings'\n"
        "django.setup(); import book.management.commands.index_book\n"
        "assert 'openai' not in sys.modules\n"
        "import chatbackend.asgi; assert 'openai' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
