"""Everything that a page points to exists: links, pictures, commands, settings, files."""

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.docs.pages import CODE, PAGES, anchors_of, text_of
from tests.helpers.environment import CHECKOUT, SETTINGS

LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"\b[A-Z]{2,}(?:_[A-Z]+)+\b")  # SECRET_KEY, POSTGRES_PASSWORD
ASSIGNED = re.compile(r"(?<![\w-])([A-Z][A-Z_]+)=(?=\S)")  # PORT=8001, ARGS="-k cors"
# In backquotes: a path, and a module with its package in front.
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]*)*)`")
MODULE = re.compile(
    r"`((?:chatbackend|chat|llm|review|embedded|examples|benchmarks)(?:\.(?![EW]\d)\w+)+)`"
)
MEASURES = "telemetry.md"  # has dotted names of spans and metrics
KINDS = (".md", ".py", ".js", ".yaml", ".sql", ".ini", ".conf", ".toml", ".txt")
# Made while the project runs, or a file of somebody's book.
NOT_OURS = re.compile(
    r"\.venv|\.embedded|replay\.|conf\.py|chart\.js|docusaurus\.config|mkdocs\.yml|overrides"
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", text_of("Makefile"), re.MULTILINE))


def variables() -> set[str]:
    """What may be set beside the settings: for make, compose, the set-up, PostgreSQL and psql; and
    what `chatbackend.settings` makes of the settings.
    """
    makefile, compose = text_of("Makefile"), text_of("compose.yaml")
    found = re.findall(r"\$[({]([A-Z_]+)[)}:]", makefile + compose)
    made = re.findall(r"^([A-Z_]+) =", text_of("chatbackend/settings.py"), re.MULTILINE)
    return {*found, *made, "PYTHON", "PGOPTIONS", "ON_ERROR_STOP"}


def test_the_readme_is_an_introduction():
    assert len(text_of("README.md").splitlines()) <= 150


def test_every_page_is_found_from_the_readme():
    linked = {(CHECKOUT / link).resolve() for link in LINK.findall(text_of("README.md"))}

    assert set(PAGES) - {CHECKOUT / "README.md"} <= linked


@each_page
def test_every_link_leads_somewhere(page: Path):
    text = CODE.sub("", page.read_text(encoding="utf-8"))

    for link in LINK.findall(text):
        if re.match(r"https?:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_every_picture_is_shown():
    shown = {link for page in PAGES for link in LINK.findall(page.read_text(encoding="utf-8"))}
    pictures = {file.name for file in (CHECKOUT / "docs" / "screenshots").iterdir()}

    assert pictures == {Path(link).name for link in shown if link.endswith(".png")}


@each_page
def test_every_command_exists(page: Path):
    text = page.read_text(encoding="utf-8")

    assert set(re.findall(r"manage\.py ([a-z]\w+)", text)) <= get_commands().keys()
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets()
    assert set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets()


@each_page
def test_every_option_of_a_command_exists(page: Path):
    for line in re.findall(r"manage\.py ([a-z]\w+ .*)$", page.read_text("utf-8"), re.MULTILINE):
        command, *words = shlex.split(re.split(r"[`|;]", line)[0], posix=True)
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= options_of(command), line


def options_of(command: str) -> set[str]:
    from django.core.management import load_command_class

    parser = load_command_class(get_commands()[command], command).create_parser("", command)
    return {option for action in parser._actions for option in action.option_strings}


@each_page
def test_every_setting_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    named = set(NAME.findall(text)) | set(ASSIGNED.findall(text))

    named = {name for name in named if not name.startswith("OTEL_")}  # OpenTelemetry's own
    assert named <= set(SETTINGS) | variables()


@each_page
def test_every_file_and_module_exists(page: Path):
    text = page.read_text(encoding="utf-8")

    for file in filter(is_ours, FILE.findall(text)):
        places = (CHECKOUT, page.parent, CHECKOUT / "templates/chat/prompts", CHECKOUT / "widget")
        assert any((place / file).exists() for place in places), file
    for module in MODULE.findall(text):
        assert is_module(module) or page.name == MEASURES, module


def is_ours(name: str) -> bool:
    folder, is_path, _ = name.partition("/")
    in_checkout = bool(is_path) and (CHECKOUT / folder).exists()
    return (in_checkout or name.endswith(KINDS)) and not NOT_OURS.match(name)


def is_module(name: str) -> bool:
    """A module, a package, or a name in one."""
    path = CHECKOUT.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module = path.parent.with_suffix(".py")
    return module.is_file() and re.search(rf"\b{path.name}\b", module.read_text()) is not None
