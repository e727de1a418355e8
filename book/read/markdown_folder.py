"""A folder of Markdown or MDX, read as the site that its generator makes of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt

from book.read import docusaurus
from book.read.folder import bytes_of, files_in
from book.read.from_markdown import DOCUSAURUS, MKDOCS, PLAIN, Dialect, front_matter, html_of
from book.read.html import parsed_text
from book.read.html_page import HtmlPage
from book.read.markdown_files import SUFFIXES, MarkdownFile, in_natural_order
from book.read.mkdocs import MkDocs
from book.read.pages import PageError, ReadPage, SourceError, UnchangedPage, Validators, digest_of
from book.read.reading import Reading

SUMMARY = "SUMMARY.md"  # mdBook, HonKit and GitBook list their pages in it


@dataclass(frozen=True)
class MarkdownBook:
    """The files in their order, and the addresses of their pages."""

    root: Path
    dialect: Dialect
    addresses: dict[PurePosixPath, str]
    files: Sequence[MarkdownFile]
    language: str = ""


def read_markdown_folder(
    root: Path, book_url: str, reading: Reading
) -> Iterator[ReadPage | UnchangedPage]:
    book = _book(root, book_url, reading)
    if not book.files:
        raise SourceError("The folder has no text in Markdown.")
    for file in book.files:
        yield from _read(book, file, reading)


def _book(root: Path, book_url: str, reading: Reading) -> MarkdownBook:
    if mkdocs := MkDocs.of(root):
        files = mkdocs.in_order(_files(mkdocs.docs, reading))
        base = book_url or mkdocs.site_url
        addresses = _addresses(files, base, mkdocs.address_of)
        return MarkdownBook(mkdocs.docs, MKDOCS, addresses, files, mkdocs.language)
    root = next((root / inner for inner, is_project in PROJECTS if is_project(root)), root)
    files = _files(root, reading)
    if docusaurus.is_made_with(root, files):
        published = [file for file in files if docusaurus.is_published(file)]
        files = docusaurus.in_order(root, published)
        addresses = _addresses(files, book_url, docusaurus.address_of)
        return MarkdownBook(root, DOCUSAURUS, addresses, files)
    files = _in_plain_order(root, files)
    return MarkdownBook(root, PLAIN, _addresses(files, book_url, _plain_address), files)


def _is_docusaurus(root: Path) -> bool:
    return docusaurus.is_project(root) and (root / "docs").is_dir()


def _is_mdbook(root: Path) -> bool:
    return (root / "book.toml").is_file() and (root / "src" / SUMMARY).is_file()


# Where the texts are in the folder of a whole project.
PROJECTS = (("docs", _is_docusaurus), ("src", _is_mdbook))


def _files(root: Path, reading: Reading) -> list[MarkdownFile]:
    found = []
    for path in files_in(root, SUFFIXES, reading.on_problem):
        try:
            text = bytes_of(root, path).decode("utf-8", "replace")
        except PageError:  # reported when its turn comes
            text = ""
        found.append(MarkdownFile(path, front_matter(text)[0]))
    return found


def _addresses(
    files: Sequence[MarkdownFile], book_url: str, address_of: Callable[[MarkdownFile], str]
) -> dict[PurePosixPath, str]:
    base = f"{book_url.rstrip('/')}/"
    return {file.path: base + address_of(file) for file in files}


def _plain_address(file: MarkdownFile) -> str:
    folder = "".join(f"{part}/" for part in file.path.parent.parts)
    return quote(folder if file.is_index else f"{folder}{file.path.stem}.html")


def _in_plain_order(root: Path, files: Sequence[MarkdownFile]) -> list[MarkdownFile]:
    """As the book's own list says, else by name, each folder's own page first."""
    waiting = {
        file.path: file
        for file in sorted(files, key=lambda file: _plain_key(file.path, file.is_index))
    }
    listed = [waiting.pop(path) for path in _summary(root) if path in waiting]
    waiting.pop(PurePosixPath(SUMMARY), None)
    return [*listed, *waiting.values()]


def _plain_key(path: PurePosixPath, is_index: bool) -> tuple[object, ...]:
    folder = path.parent
    return (in_natural_order(folder.as_posix()), not is_index, in_natural_order(path.name))


def _summary(root: Path) -> Iterator[PurePosixPath]:
    if not (root / SUMMARY).is_file():
        return
    try:
        text = bytes_of(root, PurePosixPath(SUMMARY)).decode("utf-8", "replace")
    except PageError:
        return
    for token in MarkdownIt().parse(text):
        for child in token.children or ():
            if child.type == "link_open":
                yield PurePosixPath(unquote(str(child.attrs.get("href", "")).partition("#")[0]))


def _read(
    book: MarkdownBook, file: MarkdownFile, reading: Reading
) -> Iterator[ReadPage | UnchangedPage]:
    url = book.addresses[file.path]
    try:
        raw = bytes_of(book.root, file.path)
        if reading.is_unchanged(url, raw):
            yield UnchangedPage(url)
            return
        text = front_matter(raw.decode("utf-8", "replace"))[1]
        html = html_of(text, book.dialect, lambda href: _target(book, file, href))
        page = HtmlPage(url, parsed_text(html))
        title = file.matter.get("title")
        said = title if isinstance(title, str) and title else file.path.stem
        yield page.read(Validators(digest=digest_of(raw)), title=said, language=book.language)
    except PageError as why:
        yield from reading.failed(url, why, file.path.as_posix())


def _target(book: MarkdownBook, file: MarkdownFile, href: str) -> str:
    """A link to another file leads to that one's page."""
    path, mark, anchor = href.partition("#")
    if not path.lower().endswith(SUFFIXES) or "://" in path:
        return href
    parts: list[str] = [] if path.startswith("/") else list(file.path.parent.parts)
    for part in unquote(path).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return book.addresses.get(PurePosixPath(*parts), path) + mark + anchor
