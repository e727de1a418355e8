"""Settings: every one read, every misconfiguration one sentence, and nothing served with one."""

import os
import subprocess

import pytest

from chatbackend import environment
from tests.helpers import CHECKOUT, commands
from tests.helpers.server import GUNICORN, free_port

PRODUCTION = {
    "SECRET_KEY": "x" * 25 + "0123456789abcdefghijklmnopqrs",
    "DATABASE_URL": "postgresql://chat:pw@127.0.0.1:1/chat",
    "OPENAI_API_KEY": "sk-x",
    "EMBEDDED": "",
}


def manage(*arguments, **environment):
    """`manage.py` with these settings and no others (the tests' own are empty or replaced)."""
    return commands.manage(*arguments, **dict.fromkeys(PRODUCTION, "") | environment)


def test_production_settings_are_usable_and_pass_the_deployment_checks():
    valid = manage("validate_env", **PRODUCTION)
    deployed = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)

    assert (valid.returncode, valid.stdout) == (0, "The settings are usable.\n")
    assert deployed.returncode == 0, deployed.stderr
    assert "no issues" in deployed.stdout


@pytest.mark.parametrize(
    ("changed", "ids"),
    [
        ({"SECRET_KEY": ""}, {"chat.E002"}),
        ({"DATABASE_URL": ""}, {"chat.E003"}),
        ({"OPENAI_API_KEY": ""}, {"chat.E004"}),
        (dict.fromkeys(PRODUCTION, ""), {"chat.E002", "chat.E003", "chat.E004"}),
        ({"PORT": "http"}, {"chat.E001"}),
        ({"PORT": "70000"}, {"chat.E001"}),
        ({"DEBUG": "maybe"}, {"chat.E001"}),
        ({"LOG_LEVEL": "LOUD"}, {"chat.E001"}),
        ({"LLM_TIMEOUT_SECONDS": "soon"}, {"chat.E001"}),
        ({"LLM_TIMEOUT_SECONDS": "0"}, {"chat.E001"}),
        ({"DATABASE_URL": "mysql://a/b"}, {"chat.E001"}),
        ({"DATABASE_URL": "nonsense"}, {"chat.E001"}),
        ({"DATABASE_URL": "postgresql://host"}, {"chat.E001"}),
        ({"FRONTEND_URL": "book.example"}, {"chat.E001"}),
        ({"ALLOWED_HOSTS": "http://book.example"}, {"chat.E001"}),
        ({"CHAT_RATE": "often"}, {"chat.E001"}),
        ({"LLM_PRICE_PER_MILLION": "0.40"}, {"chat.E001"}),
        ({"LLM_PRICE_PER_MILLION": "cheap,dear"}, {"chat.E001"}),
        ({"LLM_PRICE_PER_MILLION": "-1,NaN"}, {"chat.E001"}),
        ({"OPENAI_BASE_URL": "localhost:1"}, {"chat.E001", "chat.W001"}),
        ({"EMBEDDING_BASE_URL": "http://127.0.0.1:1/v1"}, {"chat.E007"}),
        ({"FRONTEND_URL": "https://a.example; https://b.example"}, {"chat.E001"}),
        ({"ALLOWED_HOSTS": "a.example b.example"}, {"chat.E001"}),
        ({"HOST": "0.0.0.0:8000"}, {"chat.E001"}),
    ],
)
def test_each_misconfiguration_is_one_sentence(changed, ids):
    checked = manage("validate_env", **PRODUCTION | changed)

    lines = checked.stdout.splitlines()
    assert checked.returncode == 1
    assert {line.partition(":")[0] for line in lines} == ids
    assert all(line.endswith(".") for line in lines)
    assert len(lines) == len(ids)


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "chat.W001"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_MODEL": "m"}, "chat.W005"),
        ({"DEBUG": "true"}, "chat.W002"),
        ({"SECRET_KEY": "short"}, "chat.W003"),
        ({"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/db?pgbouncer=true"}, "chat.W004"),
    ],
)
def test_settings_with_a_warning_are_usable(changed, warning):
    checked = manage("validate_env", **PRODUCTION | changed)

    assert (checked.returncode, checked.stdout.partition(":")[0]) == (0, warning)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:99999/", "http://127.0.0.256/", "http://x:0", "http://[::1/", "ftp://x",
        "http://", "http:///v1", "http:x", "http://a%20b/", "http://x\\y", "x",
    ],
)  # fmt: skip
def test_an_address_that_nothing_can_be_sent_to_is_refused(monkeypatch, address):
    monkeypatch.setenv("WEBHOOK_URL", address)
    monkeypatch.setattr(environment, "INVALID", {})

    assert environment.web_address("WEBHOOK_URL") == ""
    sentence = "WEBHOOK_URL must be an http:// or https:// address."
    assert list(environment.INVALID.values()) == [sentence]


@pytest.mark.parametrize(
    "key", ["sk-a b", "sk-a\nb", "sk-a\tb", "sk-\x1b", "sk-ü", "sk-\u200b", "“sk-x”", "sk-\x7f"]
)
def test_a_key_that_cannot_be_a_header_is_refused(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setattr(environment, "INVALID", {})

    assert environment.api_key("OPENAI_API_KEY") == ""
    (sentence,) = environment.INVALID.values()
    assert sentence.startswith("OPENAI_API_KEY cannot be a key: ")
    assert key not in sentence


def test_blanks_around_a_key_do_not_matter(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " sk-x\n")

    assert environment.api_key("OPENAI_API_KEY") == "sk-x"


def test_a_key_that_cannot_be_a_header_stops_the_server_and_is_not_shown():
    checked = manage("validate_env", **PRODUCTION | {"OPENAI_API_KEY": "sk-secret\nkey"})

    assert checked.returncode == 1
    assert "chat.E001: OPENAI_API_KEY" in checked.stdout
    assert "secret" not in checked.stdout + checked.stderr


def test_the_embedded_parts_stand_in_for_what_is_not_set():
    assert manage("validate_env", SECRET_KEY="x" * 60, EMBEDDED="true").returncode == 0


def test_the_server_does_not_start_with_a_misconfiguration():
    started = subprocess.run(
        GUNICORN,
        cwd=CHECKOUT,
        env=os.environ | dict.fromkeys(PRODUCTION, "") | {"PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert started.returncode != 0
    assert "Traceback" not in started.stderr, started.stderr
    assert [line.partition(":")[0] for line in started.stderr.splitlines()[-3:]] == [
        "chat.E002",
        "chat.E003",
        "chat.E004",
    ]


def test_without_the_embedded_packages_the_sentence_says_what_to_install(settings, monkeypatch):
    from chat import checks

    settings.EMBEDDED = True
    monkeypatch.setattr(checks, "EMBEDDED_PACKAGES", ("no_such_package",))
    monkeypatch.setenv("DATABASE_URL", "")

    (message,) = checks.environment()

    assert message.id == "chat.E005"
    assert "no_such_package" in message.msg


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://a:p%40ss@ep-x-pooler.neon.example/db?sslmode=require&channel_binding=require",
            {"HOST": "ep-x-pooler.neon.example", "PASSWORD": "p@ss", "NAME": "db"},
        ),
        ("postgres://a@127.0.0.1:5433/db", {"HOST": "127.0.0.1", "PORT": "5433", "USER": "a"}),
    ],
)
def test_database_addresses_are_taken_as_their_services_give_them(url, expected):
    code = "from django.conf import settings as s; print(repr(s.DATABASES['default']))"
    printed = manage("shell", "--no-imports", "-c", code, **PRODUCTION | {"DATABASE_URL": url})

    config = eval(printed.stdout)
    assert config == config | expected
    assert config["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert config.get("CONN_MAX_AGE", 0) == 0
    if "sslmode" in url:
        assert config["OPTIONS"]["sslmode"] == "require"


def test_commands_have_help():
    printed = manage("validate_env", "--help")

    assert printed.returncode == 0
    assert "Exits with 1" in printed.stdout


def test_without_a_model_questions_are_refused_and_nothing_else():
    settings = PRODUCTION | {"OPENAI_API_KEY": ""}

    asked = manage("ask", "What?", **settings)
    checked = manage("check", **settings)

    assert (asked.returncode, "No model is configured" in asked.stderr) == (1, True)
    assert checked.returncode == 0, checked.stderr
