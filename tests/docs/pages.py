"""The written pages, as the tests of this folder read them."""

import re
from pathlib import Path

from tests.helpers.environment import CHECKOUT

PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def text_of(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def table_under(heading: str, page: str) -> str:
    """What a page has between this heading and the next."""
    _, found, rest = text_of(page).partition(f"\n## {heading}\n")
    assert found, f"{page} has no heading {heading!r}"
    return rest.partition("\n## ")[0]


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(
        r"^#+ (.*)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
