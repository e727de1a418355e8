"""CONTRIBUTING.md: the make targets and the dependencies are those of the project."""

import json
import re
import tomllib

from tests.docs.pages import table_under, text_of
from tests.helpers.environment import CHECKOUT


def test_every_make_target_is_in_the_table():
    table = table_under("Make targets", "CONTRIBUTING.md")
    targets = set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))

    assert set(re.findall(r"^\| `make ([a-z-]+)`", table, re.MULTILINE)) == targets - {"help"}


def test_every_dependency_has_its_reason():
    table = table_under("Dependencies", "CONTRIBUTING.md")
    python, _, node = table.partition("\n### From npm\n")
    project = tomllib.loads(text_of("pyproject.toml"))
    wanted = project["project"]["dependencies"]
    for extra in ("embedded", "telemetry"):
        wanted = wanted + project["project"]["optional-dependencies"][extra]
    wanted = wanted + project["dependency-groups"]["dev"]
    names = {re.match(r"[\w-]+", requirement).group() for requirement in wanted}

    assert first_cells(python) == names
    assert first_cells(node) == json.loads(text_of("package.json"))["devDependencies"].keys()


def first_cells(table: str) -> set[str]:
    """What is in backquotes in the first cell of each row."""
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_nothing_names_an_address_to_download_from():
    for file in (CHECKOUT / "requirements").iterdir():
        assert "://" not in file.read_text()
    for folder in ("", "examples/docusaurus/"):
        assert '"resolved"' not in text_of(f"{folder}package-lock.json")
