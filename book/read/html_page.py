"""A page of HTML, whatever it came from: its sections, and what it says about itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser

from book.read.html import attribute, parsed
from book.read.pages import PageError, ReadPage, Validators
from book.read.sections import sections_of

NEXT = (
    "link[rel~=next]", "a[rel~=next]", "a.pagination-nav__link--next", "a.next-page",
    "a.right-next", "a.md-footer__link--next", "a.nav-chapters.next", ".pager-link.next",
)  # fmt: skip
MAX_LANGUAGE = 35


@dataclass
class HtmlPage:
    """A parsed page at the address `url`; reading it (`read`) uses the document up."""

    url: str
    document: LexborHTMLParser

    @classmethod
    def of(cls, raw: bytes, url: str, charset: str = "") -> "HtmlPage":
        """Raises PageError."""
        return cls(url, parsed(raw, charset))

    @property
    def next(self) -> str:
        """The address of the page that follows this one in the book, or empty."""
        for selector in NEXT:
            if (found := self.document.css_first(selector)) and (href := attribute(found, "href")):
                return self._absolute(href)
        return ""

    @property
    def canonical(self) -> str:
        found = self.document.css_first("link[rel=canonical]")
        return self._absolute(attribute(found, "href")) if found else ""

    @property
    def refresh(self) -> str:
        """Where the page sends its reader at once, or empty."""
        for meta in self.document.css("meta[http-equiv]"):
            if attribute(meta, "http-equiv").lower() == "refresh":
                seconds, _, target = attribute(meta, "content").partition(";")
                name, _, url = target.partition("=")
                if name.strip().lower() == "url" and seconds.strip() in ("0", "1"):
                    return self._absolute(url.strip().strip("'\""))
        return ""

    def links(self) -> Iterator[str]:
        """The addresses that the page leads to, in its order."""
        for link in self.document.css("a[href]"):
            if "nofollow" not in attribute(link, "rel") and (
                url := self._absolute(attribute(link, "href"))
            ):
                yield url

    def read(self, validators: Validators, *, title: str = "", language: str = "") -> ReadPage:
        """Raises PageError where there is no text."""
        language = language or self._language()
        title, sections = sections_of(self.document, self.url, title)
        if not sections:
            raise PageError("it has no text")
        return ReadPage(self.url, title, language, sections, validators)

    def _language(self) -> str:
        root = self.document.root
        found = (attribute(root, "lang") or attribute(root, "xml:lang")) if root else ""
        is_tag = found.replace("-", "").isalnum() and found.isascii() and len(found) < MAX_LANGUAGE
        return found if is_tag else ""

    def _absolute(self, href: str) -> str:
        try:
            return urljoin(self.url, href)
        except ValueError:
            return ""
