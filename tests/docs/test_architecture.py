"""docs/architecture.md names every module of the packages, and no other."""

import re
import tomllib
from pathlib import Path

from tests.docs.pages import table_under, text_of
from tests.helpers.environment import CHECKOUT

# Of Django's usual places, which need no explanation.
MODELS = ("book/models.py", "chat/models.py", "review/models.py")
USUAL = ("management", "migrations", "static", "templatetags", "apps.py", "__init__.py")


def packages() -> list[str]:
    linted = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]
    return linted["root_packages"]


def test_every_module_has_its_line():
    modules = {
        file.relative_to(CHECKOUT).as_posix()
        for package in packages()
        for file in (CHECKOUT / package).rglob("*.py")
        if not set(file.parts) & set(USUAL)
    }

    scripts = {file.relative_to(CHECKOUT).as_posix() for file in CHECKOUT.glob("widget/*.js")}

    assert described_modules() == modules | scripts


def described_modules() -> set[str]:
    """The tree under the heading: two spaces for each level, folders end with a slash."""
    tree = table_under("Where to find things", "docs/architecture.md").partition("```text\n")[2]
    found, folders = set(), []
    for line in tree.partition("\n```")[0].splitlines():
        indent, name = re.match(r"( *)(\S+)", line).groups()
        del folders[len(indent) // 2 :]
        if name.endswith("/"):
            folders.append(name)
        else:
            found.add(Path(*folders, name).as_posix())
    return found


def test_the_arrows_between_packages_are_those_that_are_checked():
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if "containers" not in each)

    assert " ──► ".join(layers) in text_of("docs/architecture.md")


def test_every_table_is_described():
    described = table_under("The tables", "docs/architecture.md")

    assert set(re.findall(r"^\| `(\w+)`", described, re.MULTILINE)) == set(
        re.findall(r'db_table = "(\w+)"', "".join(map(text_of, MODELS)))
    )
