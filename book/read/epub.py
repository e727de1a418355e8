"""An EPUB: its chapters in their order."""

import lzma
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html.entities import name2codepoint
from pathlib import Path
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, ParseError, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, fromstring

from book.read.html import MAX_PAGE_BYTES, parsed, parsed_text
from book.read.html_page import HtmlPage
from book.read.pages import PageError, ReadPage, SourceError, UnchangedPage, Validators, digest_of
from book.read.reading import Reading

MAX_MEMBERS = 50_000
MAX_BOOK_BYTES = 500 * 2**20  # unpacked
CONTAINER = "META-INF/container.xml"
CHAPTERS = ("application/xhtml+xml", "text/html")
BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, RuntimeError, ValueError, EOFError,
)  # fmt: skip


@dataclass(frozen=True)
class Package:
    """What the package document says."""

    language: str
    chapters: tuple[str, ...]  # names in the archive, in reading order


def read_epub(path: Path, book_url: str, reading: Reading) -> Iterator[ReadPage | UnchangedPage]:
    """Raises SourceError for what is no EPUB, or unfolds to more than a book can have."""
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise SourceError(f"{path.name} is no EPUB.") from error
    with archive:
        if len(archive.infolist()) > MAX_MEMBERS:
            raise SourceError(f"{path.name} has more than {MAX_MEMBERS} files.")
        budget = _Archive(archive)
        package = _package(budget, path.name)
        for name in package.chapters:
            yield from _read(
                budget, name, f"{book_url.rstrip('/')}/{quote(name)}", package, reading
            )


class _Archive:
    """Reads members, none of them too large, nor all of them together."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = MAX_BOOK_BYTES

    def bytes_of(self, name: str) -> bytes:
        """Raises PageError."""
        try:
            with self._archive.open(name) as member:
                raw = member.read(MAX_PAGE_BYTES + 1)
        except KeyError as error:
            raise PageError("it is not in the archive") from error
        except BROKEN as error:
            raise PageError("it is damaged or encrypted") from error
        self._left -= len(raw)
        if len(raw) > MAX_PAGE_BYTES:
            raise PageError(f"it has more than {MAX_PAGE_BYTES >> 20} MB")
        if self._left < 0:
            raise SourceError(f"The EPUB unfolds to more than {MAX_BOOK_BYTES >> 20} MB.")
        return raw


def _package(archive: _Archive, name: str) -> Package:
    try:
        container = _bare(fromstring(archive.bytes_of(CONTAINER)))
        found = next((each.get("full-path") for each in container.iter("rootfile")), None)
        package = _bare(fromstring(archive.bytes_of(found or "")))
    except (PageError, ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise SourceError(f"{name} is no EPUB.") from error
    items = {item.get("id", ""): item for item in package.iter("item")}
    spine = [items.get(each.get("idref", "")) for each in package.iter("itemref")]
    hrefs = [item.get("href", "") for item in spine if item is not None and _is_chapter(item)]
    folder = posixpath.dirname(found or "")
    chapters = [posixpath.normpath(posixpath.join(folder, unquote(href))) for href in hrefs]
    language = next((each.text or "" for each in package.iter("language")), "").strip()
    return Package(language, tuple(dict.fromkeys(chapters)))


def _is_chapter(item: Element) -> bool:
    is_contents = "nav" in item.get("properties", "").split()
    return item.get("media-type") in CHAPTERS and not is_contents


def _read(
    archive: _Archive, name: str, url: str, package: Package, reading: Reading
) -> Iterator[ReadPage | UnchangedPage]:
    try:
        raw = archive.bytes_of(name)
        if reading.is_unchanged(url, raw):
            yield UnchangedPage(url)
            return
        page = _chapter(raw, url)
        yield page.read(Validators(digest=digest_of(raw)), language=package.language)
    except PageError as why:
        yield from reading.failed(url, why, name)


def _chapter(raw: bytes, url: str) -> HtmlPage:
    """XHTML as HTML: there <title/> is closed, in HTML it would go on to the end of the book."""
    parser = DefusedXMLParser(target=None)
    parser.entity.update({name: chr(code) for name, code in name2codepoint.items()})
    try:
        parser.feed(raw)
        html = tostring(_bare(parser.close()), encoding="unicode", method="html")
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError):
        return HtmlPage(url, parsed(raw))
    return HtmlPage(url, parsed_text(html))


def _bare(root: Element) -> Element:
    """The elements without their namespaces, their attributes as HTML has them."""
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if "}" in name]:
            space, _, bare = name.rpartition("}")
            prefix = "epub:" if space.endswith("/ops") else ""
            element.attrib[f"{prefix}{bare}"] = element.attrib.pop(name)
    return root
