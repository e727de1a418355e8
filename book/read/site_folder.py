"""A folder with a built site: what a generator wrote, not yet or already served somewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urljoin, urlsplit

from book.read.folder import bytes_of, files_in
from book.read.html_page import HtmlPage
from book.read.order import PagesToRead
from book.read.pages import PageError, ReadPage, UnchangedPage, Validators, digest_of
from book.read.reading import Reading

SUFFIXES = (".html", ".htm", ".xhtml")
INDEXES = ("index.html", "index.htm")
# Pages that say nothing of their own: searches, indexes, errors, all of the book in one page.
NOT_OF_THE_BOOK = frozenset(
    [
        "404.html",
        "search.html",
        "genindex.html",
        "py-modindex.html",
        "modindex.html",
        "print.html",
        "toc.html",
    ]
)
FOLDERS_OF_TOOLS = frozenset({"_static", "_sources", "_modules", "assets"})


@dataclass(frozen=True)
class SiteFolder:
    root: Path
    address: str  # of the folder, with a slash at its end; "/" where it is unknown

    def url_of(self, path: PurePosixPath, canonical: str = "") -> str:
        """A file's address; servers differ in which form they want, pages may say so."""
        full = quote(path.as_posix())
        bare = full.removesuffix(path.name) if path.name in INDEXES else full
        forms = [bare, bare.rstrip("/"), full.removesuffix(path.suffix)]
        said = urlsplit(canonical).path
        for form in forms:
            if form and said.endswith(f"/{form}"):
                return self.address + form
        return self.address + bare

    def path_of(self, url: str) -> PurePosixPath | None:
        """The file at an address within the site."""
        inside = urlsplit(url).path
        start = urlsplit(self.address).path
        if not inside.startswith(start):
            return None
        path = PurePosixPath(unquote(inside[len(start) :]))
        if ".." in path.parts:
            return None
        forms = [path, *(path / name for name in INDEXES), PurePosixPath(f"{path}.html")]
        return next((each for each in forms if (self.root / each).is_file()), None)


def read_site_folder(
    root: Path, book_url: str, reading: Reading
) -> Iterator[ReadPage | UnchangedPage]:
    site = SiteFolder(root, f"{book_url.rstrip('/')}/" if book_url else _said_address(root))
    paths = [path for path in files_in(root, SUFFIXES, reading.on_problem) if _is_page(path)]
    paths.sort(key=lambda path: (len(path.parts), path.name not in INDEXES, path.as_posix()))
    pages = PagesToRead([path.as_posix() for path in paths])
    while (name := pages.pop()) is not None:
        yield from _read(site, PurePosixPath(name), reading, pages)


def _is_page(path: PurePosixPath) -> bool:
    return path.name not in NOT_OF_THE_BOOK and not FOLDERS_OF_TOOLS & set(path.parts)


def _said_address(root: Path) -> str:
    """The address that the first page gives as its own."""
    for name in INDEXES:
        if (root / name).is_file():
            try:
                said = HtmlPage.of(bytes_of(root, PurePosixPath(name)), "").canonical
            except PageError:
                return "/"
            if urlsplit(said).scheme in ("http", "https"):
                return urljoin(f"{said}/" if not said.endswith(INDEXES) else said, ".")
    return "/"


def _read(
    site: SiteFolder, path: PurePosixPath, reading: Reading, pages: PagesToRead
) -> Iterator[ReadPage | UnchangedPage]:
    url = site.url_of(path)
    try:
        raw = bytes_of(site.root, path)
        page = HtmlPage.of(raw, site.address + quote(path.as_posix()))
        if page.refresh:
            return
        url = site.url_of(path, page.canonical)
        following = site.path_of(page.next) if page.next else None
        pages.suggest(following.as_posix() if following else "")
        if reading.is_unchanged(url, raw):
            yield UnchangedPage(url)
            return
        page.url = url
        yield page.read(Validators(digest=digest_of(raw)))
    except PageError as why:
        yield from reading.failed(url, why, path.as_posix())
