"""Pages over HTTP: one site, one request at a time, bounded in size and time."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2

from book.read.html import MAX_PAGE_BYTES
from book.read.pages import PageError, Validators

USER_AGENT = "BookChatIndexer/1.0"
PAGE_SECONDS = 30
CONNECT_SECONDS = 10
MAX_REDIRECTS = 5
MAX_URL = 2000  # characters
BUSY = (429, 503)
TRIES = 3
MAX_WAIT_SECONDS = 30
DEFAULT_PORTS = {"http": 80, "https": 443}


class Gone(PageError):
    """The page is not there (any more)."""


class Elsewhere(PageError):
    """The server redirects to what is not part of the site."""

    def __init__(self, target: str) -> None:
        super().__init__(f"it redirects to {target}, which is not part of the site")
        self.target = target


class Unreachable(PageError):
    """No answer that could be used; the next request may fare better."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`url` is where the page was found, after redirects; `raw` is None where it is as before."""

    url: str
    raw: bytes | None
    content_type: str
    validators: Validators

    @property
    def is_html(self) -> bool:
        return self.content_type.partition(";")[0].strip().lower() in (
            "",
            "text/html",
            "application/xhtml+xml",
        )

    @property
    def charset(self) -> str:
        return self.content_type.lower().partition("charset=")[2].strip(" \"'")


def normalised(url: str) -> str:
    """One spelling for an address: no fragment, no default port, host in lower case.

    Empty for what is no http(s) address.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or len(url) > MAX_URL:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port and port != DEFAULT_PORTS[parts.scheme]:
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))


@dataclass(frozen=True)
class Site:
    """The pages of one host, below one path."""

    start: str

    @property
    def root(self) -> str:
        return urljoin(self.start, ".")

    @property
    def host(self) -> str:
        return urlsplit(self.start).netloc

    def has(self, url: str) -> bool:
        """Whether a normalised address is part of the site, in HTTP or HTTPS."""
        ours, its = urlsplit(self.root), urlsplit(url)
        is_host = its.netloc == ours.netloc and (
            its.scheme == ours.scheme or (ours.port is None and its.port is None)
        )
        return is_host and (its.path or "/").startswith(ours.path) and "/../" not in its.path


class Fetcher:
    """Gets the pages of a site, one after the other."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._client = httpx2.Client(
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
            timeout=httpx2.Timeout(PAGE_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=2),
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._client.close()

    def site_serves(self, url: str) -> bool:
        """Whether it is at the site's host, be it above its path, as sitemaps may be."""
        return Site(urljoin(self.site.start, "/")).has(url)

    def get(
        self, url: str, known: Validators | None = None, *, max_bytes: int = MAX_PAGE_BYTES
    ) -> Answer:
        """Raises Gone, Elsewhere, Unreachable, or PageError for what is too large."""
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._patiently(url, known, max_bytes)
            if isinstance(answer, Answer):
                return answer
            if not self.site.has(answer):
                raise Elsewhere(answer)
            url, known = answer, None
        raise PageError("it redirects without end")

    def _patiently(self, url: str, known: Validators | None, max_bytes: int) -> Answer | str:
        """Once more where the server is busy, after the time that it asks for."""
        for tries_left in reversed(range(TRIES)):
            answer = self._once(url, known, max_bytes, may_wait=tries_left > 0)
            if not isinstance(answer, float):
                return answer
            time.sleep(answer)
        raise Unreachable("the server is too busy")

    def _once(
        self, url: str, known: Validators | None, max_bytes: int, *, may_wait: bool
    ) -> Answer | str | float:
        """The answer, or where it redirects to, or how long to wait (seconds)."""
        try:
            with self._client.stream("GET", url, headers=_conditions(known)) as response:
                if response.status_code in BUSY and may_wait:
                    return _seconds_to_wait(response)
                if response.is_redirect:
                    return normalised(urljoin(url, response.headers.get("location", "")))
                return _answer(url, response, known, max_bytes)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, zlib.error, ValueError) as error:
            raise Unreachable(f"it could not be fetched ({type(error).__name__})") from error


def _conditions(known: Validators | None) -> dict[str, str]:
    if known is None:
        return {}
    named = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in named.items() if value}


def _seconds_to_wait(response: httpx2.Response) -> float:
    asked = response.headers.get("retry-after", "")
    return float(min(int(asked), MAX_WAIT_SECONDS) if asked.isdecimal() else 2)


def _answer(
    url: str, response: httpx2.Response, known: Validators | None, max_bytes: int
) -> Answer:
    headers, status = response.headers, response.status_code
    content_type = headers.get("content-type", "")
    if status == 304 and known is not None:
        return Answer(url, None, content_type, known)
    if status in (404, 410):
        raise Gone("it is not there")
    if status != 200:
        raise Unreachable(f"the server answered with status {status}")
    raw = b"".join(_bounded(response, max_bytes))
    validators = Validators(headers.get("etag", ""), headers.get("last-modified", ""))
    return Answer(url, raw, content_type, validators)


def _bounded(response: httpx2.Response, max_bytes: int) -> Iterator[bytes]:
    """The body, no more than `max_bytes` of it, however far a few bytes may unfold."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise Unreachable(f"it came in the encoding {encoding}, which was not asked for")
    unfold = zlib.decompressobj(31) if "gzip" in encoding else None
    end, size = time.monotonic() + PAGE_SECONDS, 0
    for raw in response.iter_raw():
        piece = unfold.decompress(raw, max_bytes + 1 - size) if unfold else raw
        size += len(piece)
        if size > max_bytes:
            raise PageError(f"it has more than {max_bytes >> 20} MB")
        if time.monotonic() > end:
            raise Unreachable(f"it took longer than {PAGE_SECONDS} seconds")
        yield piece
