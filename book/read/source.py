"""What a book is read from: a site, a folder, an EPUB."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from book.read.epub import read_epub
from book.read.markdown_files import SUFFIXES as MARKDOWN
from book.read.markdown_folder import read_markdown_folder
from book.read.pages import ReadPage, SourceError, UnchangedPage, Validators
from book.read.reading import Reading
from book.read.site_folder import INDEXES, read_site_folder
from book.read.website import read_website

NOTHING: Mapping[str, Validators] = MappingProxyType({})


def read_book(
    source: str,
    *,
    book_url: str = "",
    known: Mapping[str, Validators] = NOTHING,
    on_problem: Callable[[str], None],
) -> Iterator[ReadPage | UnchangedPage]:
    """The pages of a book in its order, one at a time.

    `source` is an http(s) address, a folder (of a built site, or of Markdown) or an EPUB file.
    `book_url` is the public address of what is read from files. `known` holds the pages of an
    earlier run by their addresses, in their order: one that is the same, or cannot be read this
    time, is given as unchanged. `on_problem` gets a sentence for each page that was left out or
    kept. Raises SourceError, possibly after some pages, where all of the book cannot be read.
    """
    if book_url and not _is_web_address(book_url):
        raise SourceError("The book's address does not begin with http:// or https://.")
    reading = Reading(known, on_problem)
    if _is_web_address(source):
        return _with_text(read_website(source, reading))
    if "://" in source:
        raise SourceError("Only http:// and https:// addresses, folders and EPUB files are read.")
    path = Path(source).expanduser()
    if path.is_file():
        return _with_text(read_epub(path, book_url, reading))
    if not path.is_dir():
        raise SourceError(f"There is no folder or file {source}.")
    read_folder = read_site_folder if _is_site(path) else read_markdown_folder
    return _with_text(read_folder(path, book_url, reading))


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _is_site(folder: Path) -> bool:
    """A site's folder begins with a page; sources of a site may hold some HTML too."""
    if any((folder / name).is_file() for name in INDEXES):
        return True
    return not any(path.suffix.lower() in MARKDOWN for path in folder.rglob("*"))


def _with_text(pages: Iterator[ReadPage | UnchangedPage]) -> Iterator[ReadPage | UnchangedPage]:
    found = False
    for page in pages:
        found = True
        yield page
    if not found:
        raise SourceError("No page with text was found.")
