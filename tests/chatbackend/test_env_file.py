"""`.env`: what it may hold, and how a line that is no setting is reported."""

import os
import shutil
import subprocess
import sys

import pytest

from chatbackend import env_file
from tests.helpers.environment import CHECKOUT, SETTINGS
from tests.helpers.folders import open_folder
from tests.helpers.server import GUNICORN, free_port

SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def read(tmp_path):
    def reading(content):
        file = tmp_path / ".env"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return env_file.read(file)

    return reading


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=abc", "abc"),
        ("KEY=abc # a note", "abc"),
        ("KEY=abc#d", "abc#d"),
        ("KEY=abc\t# a note", "abc"),
        ("KEY=", ""),
        ("KEY= # a note", ""),
        ("KEY=   ", ""),
        ("KEY=abc  ", "abc"),
        ("export KEY=abc", "abc"),
        ("KEY='abc # d'", "abc # d"),
        ("KEY='abc' # a note", "abc"),
        ('KEY="abc # d" # a note', "abc # d"),
        (r'KEY="a\"b\\c\n"', r'a"b\c' + r"\n"),
        (r"KEY=a\b", r"a\b"),
        ("KEY=Physical AI & Humanoid Robotics", "Physical AI & Humanoid Robotics"),
        ('KEY=The "Book"', 'The "Book"'),
        ("KEY=a=b==", "a=b=="),
        ("KEY=ü…", "ü…"),
    ],
)
def test_a_value_is_read_as_shells_and_docker_do(read, line, value):
    assert read(line + "\n") == ({"KEY": value}, {})


@pytest.mark.parametrize(
    "content", ["", "\n\n", "# KEY=abc\n", "  # KEY=abc\n", " \t\n", "\ufeff# a note\n"]
)
def test_blank_lines_and_comments_are_no_settings(read, content):
    assert read(content) == ({}, {})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_of_all_systems_are_read(read, mark, end):
    assert read(f"{mark}A=1{end}B=2{end}") == ({"A": "1", "B": "2"}, {})


def test_a_file_that_does_not_exist_holds_no_settings(tmp_path):
    assert env_file.read(tmp_path / ".env") == ({}, {})


def test_a_file_that_cannot_be_read_is_reported(tmp_path):
    assert env_file.read(tmp_path)[1] == {0: f"{tmp_path.name} cannot be read: Is a directory."}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"OPENAI_API_KEY = {SECRET}", "blanks around the equals sign"),
        (f"OPENAI_API_KEY ={SECRET}", "blanks around the equals sign"),
        (f"OPENAI_API_KEY= {SECRET}", "blanks around the equals sign"),
        (f"OPENAI_API_KEY\u00a0={SECRET}", "blanks around the equals sign"),
        (f"export OPENAI_API_KEY = {SECRET}", "blanks around the equals sign"),
        (f" OPENAI_API_KEY={SECRET}", "blanks before the name"),
        (f"\tOPENAI_API_KEY={SECRET}", "blanks before the name"),
        (f"OPENAI_API_KEY: {SECRET}", "NAME=value"),
        (f'OPENAI_API_KEY="{SECRET}', "quotes"),
        (f"OPENAI_API_KEY='{SECRET}", "quotes"),
        (f'OPENAI_API_KEY={SECRET}"', "quotes"),
        (f'OPENAI_API_KEY="{SECRET}" x', "quotes"),
        (f"OPENAI_API_KEY={SECRET}\0", "NUL"),
    ],
)
def test_a_line_that_is_no_setting_is_reported_by_number_and_name(read, line, reason):
    found, problems = read(f"# a note\n\nBEFORE=1\n{line}\nAFTER=2\n")

    assert found == {"BEFORE": "1", "AFTER": "2"}
    assert problems.keys() == {4}
    assert problems[4].startswith(".env, line 4 (OPENAI_API_KEY), is not a setting: ")
    assert problems[4].endswith(".")
    assert reason in problems[4]
    assert SECRET not in problems[4]


@pytest.mark.parametrize("line", [SECRET, f"set KEY={SECRET}", f"$env:KEY={SECRET}", f"-{SECRET}"])
def test_without_a_name_there_is_the_number_alone(read, line):
    assert read(line)[1] == {1: ".env, line 1, is not a setting: a setting is written NAME=value."}


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("utf-16", "the file is in UTF-16; save it as UTF-8."),
        ("utf-32", "the file is in UTF-32; save it as UTF-8."),
        ("utf-16-le", "it contains NUL characters; save the file as UTF-8."),
    ],
)
def test_another_encoding_is_reported(read, encoding, reason):
    found, problems = read(f"OPENAI_API_KEY={SECRET}".encode(encoding))

    assert found == {}
    assert problems == {1: f".env, line 1 (OPENAI_API_KEY), is not a setting: {reason}"}


def test_a_line_in_an_old_encoding_is_reported(read):
    found, problems = read("A=1\nBOOK_TITLE=Bücher\n".encode("latin-1"))

    assert found == {}
    assert problems == {
        2: ".env, line 2 (BOOK_TITLE), is not a setting: "
        "the file is not in UTF-8; save it as UTF-8."
    }


# What the report stops ----------------------------------------------------------------------
@pytest.fixture(scope="module")
def checkout():
    """A copy of the code, whose `.env` may be written."""
    with open_folder() as folder:
        for name in (
            "chatbackend",
            "chat",
            "book",
            "review",
            "llm",
            "embedded",
            "templates",
            "widget",
        ):
            shutil.copytree(
                CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("node_modules")
            )
        shutil.copy(CHECKOUT / "manage.py", folder)
        yield folder


def run(checkout, command):
    unset = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return subprocess.run(
        command,
        cwd=checkout,
        env=unset | {"PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_line_that_is_no_setting_stops_the_server_and_every_command(checkout):
    key = "SECRET_KEY=" + "x" * 60
    (checkout / ".env").write_text(f"{key}\nEMBEDDED=true\nOPENAI_API_KEY = {SECRET}\n")
    sentence = ".env, line 3 (OPENAI_API_KEY), is not a setting"

    server = [sys.executable, *GUNICORN[1:3], "-c", "chatbackend/gunicorn.py", GUNICORN[-1]]
    commands = [["validate_env"], ["check"], ["shell", "-c", "print('ran')"]]
    ended = [run(checkout, [sys.executable, "manage.py", *command]) for command in commands]
    ended.append(run(checkout, server))

    for each in ended:
        assert each.returncode != 0
        output = each.stdout + each.stderr
        assert sentence in output
        assert SECRET not in output
        assert "ran" not in output
        assert "Traceback" not in output


def test_comments_a_byte_order_mark_and_windows_lines_are_no_obstacle(checkout):
    (checkout / ".env").write_bytes(
        b"\xef\xbb\xbfEMBEDDED=true # for now\r\nSECRET_KEY='" + b"x" * 60 + b"' # a key\r\n"
    )

    checked = run(checkout, [sys.executable, "manage.py", "validate_env"])

    assert (checked.returncode, checked.stdout) == (0, "The settings are usable.\n")
