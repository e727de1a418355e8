"""CHANGELOG.md, pyproject.toml and the licence agree on what this version is."""

import re
import tomllib
from datetime import date

from tests.docs.pages import text_of

RELEASES = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", text_of("CHANGELOG.md"), re.MULTILINE)


def test_the_newest_release_is_the_project_s_version():
    project = tomllib.loads(text_of("pyproject.toml"))["project"]

    assert RELEASES[0][0] == project["version"]


def test_releases_are_dated_and_newest_first():
    headings = re.findall(r"^## (.*)$", text_of("CHANGELOG.md"), re.MULTILINE)
    versions = [tuple(map(int, version.split("."))) for version, _ in RELEASES]
    days = [date.fromisoformat(day) for _, day in RELEASES]

    assert headings[0] == "[Unreleased]"
    assert len(headings) == 1 + len(RELEASES)
    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)


def test_changes_are_of_the_usual_kinds():
    kinds = re.findall(r"^### (.*)$", text_of("CHANGELOG.md"), re.MULTILINE)

    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
