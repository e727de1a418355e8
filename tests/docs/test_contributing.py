"""CONTRIBUTING.md: the make targets and the dependencies are those of the project."""

import re
import tomllib
from pathlib import Path

from tests.docs.pages import table_under, text_of
from tests.helpers.environment import CHECKOUT

NODE_PROJECTS = (".", "examples/docusaurus")


def test_every_make_target_is_in_the_table():
    table = table_under("Make targets", "CONTRIBUTING.md")
    targets = set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))

    assert set(re.findall(r"^\| `make ([a-z-]+)`", table, re.MULTILINE)) == targets - {"help"}


def test_every_dependency_has_its_reason():
    table = table_under("Dependencies", "CONTRIBUTING.md")
    project = tomllib.loads(text_of("pyproject.toml"))
    wanted = project["project"]["dependencies"]
    wanted = wanted + project["project"]["optional-dependencies"]["embedded"]
    wanted = wanted + project["dependency-groups"]["dev"]
    names = {re.match(r"[\w-]+", requirement).group() for requirement in wanted}

    assert set(re.findall(r"`([a-z0-9-]+)`", table)) - {"aiohttp"} == names


def test_nothing_names_an_address_to_download_from():
    for file in (CHECKOUT / "requirements").iterdir():
        assert "://" not in file.read_text()
    locks = [CHECKOUT / folder / "package-lock.json" for folder in NODE_PROJECTS]
    assert any(lock.exists() for lock in locks)
    for lock in filter(Path.exists, locks):
        assert '"resolved"' not in lock.read_text()
