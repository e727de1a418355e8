"""A site, page by page: as its sitemap lists them, else as its pages lead to each other."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from book.read.fetch import (
    USER_AGENT,
    Answer,
    Elsewhere,
    Fetcher,
    Gone,
    Site,
    Unreachable,
    normalised,
)
from book.read.html_page import HtmlPage
from book.read.order import PagesToRead
from book.read.pages import PageError, ReadPage, SourceError, UnchangedPage, digest_of
from book.read.reading import Reading
from book.read.sitemap import listed_pages, robots_of

MAX_PAGES = 10_000
MAX_SECONDS = 2 * 60 * 60
FAILURES_IN_A_ROW = 5  # then the server is not there any more
PAGE_SUFFIXES = ("", ".html", ".htm", ".xhtml", ".php")


def read_website(source: str, reading: Reading) -> Iterator[ReadPage | UnchangedPage]:
    """Raises SourceError where the site is not there, or stops to be."""
    start = normalised(source)
    if not start:
        raise SourceError("The book's address is no http:// or https:// address.")
    with Fetcher(Site(start)) as fetcher:
        yield from _Visit(fetcher, reading).pages()


class _Visit:
    def __init__(self, fetcher: Fetcher, reading: Reading) -> None:
        self._fetcher, self._reading, self._site = fetcher, reading, fetcher.site
        self._robots: RobotFileParser
        self._digests: set[str] = set()
        self._has_sitemap = False
        self._failures = 0
        self._cut = False
        self._known = list(reading.known)
        self._after = dict(zip(self._known, self._known[1:], strict=False))

    def pages(self) -> Iterator[ReadPage | UnchangedPage]:
        end = time.monotonic() + MAX_SECONDS
        self._robots = robots_of(self._fetcher)
        self._waiting = PagesToRead(self._first_pages())
        first = True
        while (url := self._waiting.pop()) is not None:
            if time.monotonic() > end:
                raise SourceError(f"Reading took longer than {MAX_SECONDS // 3600} hours.")
            yield from self._page(url, is_first=first)
            first = False

    def _first_pages(self) -> list[str]:
        listed = listed_pages(self._fetcher, self._robots)
        ours = [url for url in listed if self._site.has(url)]
        if len(ours) < len(listed):
            others = next(url for url in listed if not self._site.has(url))
            self._reading.on_problem(
                f"{len(listed) - len(ours)} pages in the sitemap are not part of the site, such as"
                f" {others or 'one without an address'}; they were left out."
            )
        self._has_sitemap = bool(ours)
        found = [self._site.start, *(ours or self._known)]
        if len(found) > MAX_PAGES:
            self._reading.on_problem(
                f"The site has more than {MAX_PAGES} pages; the rest is left out."
            )
        return list(dict.fromkeys(found))[:MAX_PAGES]

    def _page(self, url: str, *, is_first: bool) -> Iterator[ReadPage | UnchangedPage]:
        """The page, or what is known of it; none where there is no text of its own."""
        try:
            if not self._robots.can_fetch(USER_AGENT, url):
                raise PageError("the site's robots.txt asks not to read it")  # noqa: TRY301
            answer = self._fetcher.get(url, self._reading.validators(url))
            self._failures = 0
            yield from self._read(answer, url)
        except PageError as why:
            if is_first and isinstance(why, Elsewhere):
                raise SourceError(f"{url} redirects to {why.target}: name that address.") from why
            if is_first and isinstance(why, Gone | Unreachable):
                raise SourceError(f"{url} could not be read: {why}.") from why
            self._count(why)
            if isinstance(why, Gone):
                self._reading.on_problem(f"{url} was left out, because {why}.")
            else:
                yield from self._reading.failed(url, why)

    def _count(self, why: PageError) -> None:
        if isinstance(why, Unreachable):
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                raise SourceError(f"{self._site.host} stopped answering: {why}.") from why

    def _read(self, answer: Answer, asked: str) -> Iterator[ReadPage | UnchangedPage]:
        url = answer.url
        if url != asked and not self._waiting.take(url):
            return  # it was read under its own address
        if answer.raw is None:
            self._waiting.suggest(self._after.get(url, ""))
            self._digests.add(answer.validators.digest)
            yield UnchangedPage(url)
            return
        if not answer.is_html:
            raise PageError(f"it is {answer.content_type[:100]}, not HTML")
        digest = digest_of(answer.raw)
        if digest in self._digests:
            return  # the same page under another address, and so are the links on it
        self._digests.add(digest)
        page = HtmlPage.of(answer.raw, url, answer.charset)
        self._follow(page)
        if page.refresh:
            return
        if self._reading.is_unchanged(url, answer.raw):
            yield UnchangedPage(url)
        else:
            yield page.read(replace(answer.validators, digest=digest))

    def _follow(self, page: HtmlPage) -> None:
        if page.refresh:
            self._add(normalised(page.refresh))
        if not self._has_sitemap:
            for link in (page.next, *page.links()):
                self._add(normalised(link))
        self._waiting.suggest(normalised(page.refresh or page.next))

    def _add(self, url: str) -> None:
        """A page of the site; what a server makes up for a query may have no end."""
        parts = urlsplit(url)
        is_page = PurePosixPath(parts.path).suffix.lower() in PAGE_SUFFIXES
        if not url or parts.query or not is_page or not self._site.has(url):
            return
        if len(self._waiting) < MAX_PAGES:
            self._waiting.add(url)
        elif not self._cut:
            self._cut = True
            self._reading.on_problem(
                f"The site has more than {MAX_PAGES} pages; the rest is left out."
            )
