"""docs/settings.md, .env.example and the settings agree."""

import re

from chatbackend.environment import READ
from tests.docs.pages import table_under, text_of
from tests.helpers.environment import SETTINGS

# A list, a word for a truth value, and what the tests themselves set.
NOT_COMPARED = ("ALLOWED_HOSTS", "CHAT_RATE", "DEBUG", "WEB_CONCURRENCY")


def test_every_setting_is_in_the_table_and_in_the_example():
    table = table_under("All settings", "docs/settings.md")

    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == READ
    assert set(SETTINGS) == READ


def test_defaults_in_the_example_are_the_real_ones(settings):
    for line in text_of(".env.example").splitlines():
        name, _, value = line.partition("=")
        if value and not line.startswith("#") and name not in NOT_COMPARED:
            assert str(getattr(settings, name)).removesuffix(".0").lower() == value.lower(), name


def test_defaults_in_the_table_are_those_of_the_example():
    table = table_under("All settings", "docs/settings.md")
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", text_of(".env.example"), re.MULTILINE))
    shown = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]+)`?", table, re.MULTILINE))
    written = {"off ": ("", "false"), "\u2013 ": ("",), "0 (off) ": ("0",)}

    del shown["LOG_FORMAT"]  # it depends on others
    for name, default in shown.items():
        assert example[name] in written.get(default, (default.strip(),)), name


def test_every_check_is_in_the_table():
    table = table_under("What the checks report", "docs/settings.md")

    assert set(re.findall(r"^\| `(chat\.\w+)`", table, re.MULTILINE)) == set(
        re.findall(r'"(chat\.[EW]\d+)"', text_of("chat/checks.py"))
    )
