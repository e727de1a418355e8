"""What tests of reading share."""

from collections.abc import Callable, Mapping
from pathlib import Path

from book.read.html import parsed
from book.read.pages import ReadPage, UnchangedPage, Validators
from book.read.sections import sections_of
from book.read.source import read_book

BOOK = "https://book.example/robots"


def read(
    source: object,
    problems: list[str],
    known: Mapping[str, Validators] | None = None,
    book_url: str = BOOK,
) -> list[ReadPage | UnchangedPage]:
    book = read_book(str(source), book_url=book_url, known=known or {}, on_problem=problems.append)
    return list(book)


def writer(root: Path) -> Callable[..., Path]:
    """Writes files, given as their paths and texts, into a folder, and returns the folder."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write


def paths(pages: list[ReadPage]) -> list[str]:
    return [each.url.removeprefix(f"{BOOK}/") for each in pages]


def known_of(pages: list[ReadPage]) -> dict[str, Validators]:
    return {page.url: page.validators for page in pages}


def sections_in(html: str, url: str = f"{BOOK}/page"):
    """The page's sections as (heading path, anchor, text)."""
    _, sections = sections_of(parsed(html.encode()), url)
    return [(section.heading_path, section.anchor, section.text) for section in sections]


def markdown_of(html: str) -> str:
    """The text of a page without headings."""
    ((_, _, text),) = sections_in(f"<title>Page</title><main>{html}</main>")
    return text


def addresses(pages: list[ReadPage]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Of all sections, in their order: page, anchor, heading path."""
    return [
        (page.url, section.anchor, section.heading_path)
        for page in pages
        for section in page.sections
    ]
