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
