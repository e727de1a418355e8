"""The addresses that readers send with a question: which of them are pages of the book.

Anyone can send any address, and staff would follow a link that says "in the book". So only pages
of the front ends in FRONTEND_URL are links; the others are text that starts with their host.
"""

from functools import lru_cache

from django.conf import settings
from pydantic import ValidationError
from pydantic_core import Url

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_in_book(address: str) -> bool:
    """Whether a browser would go to a host of FRONTEND_URL, or to that of the indexed book, and
    without a user name in front.
    """
    url = _parsed(address)
    if url is None or url.username or url.password:
        return False
    own = (*settings.FRONTEND_ORIGINS, settings.BOOK_URL, settings.BOOK_SOURCE)
    return _host(url) in _hosts_of(own)


def shown(address: str) -> str:
    """`book.example/chapter`: host and path as a browser resolves them, in ASCII (punycode)."""
    url = _parsed(address)
    return address if url is None else f"{_host(url)}{url.path or ''}"


def host(address: str) -> str:
    """`book.example`, `localhost:3000`; empty for what has no host."""
    url = _parsed(address)
    return _host(url) if url else ""


@lru_cache(maxsize=1)
def _hosts_of(origins: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(host, origins)) - {""}  # a folder has none


def _host(url: Url) -> str:
    port = "" if url.port in (None, DEFAULT_PORTS[url.scheme]) else f":{url.port}"
    return f"{url.host}{port}"


def _parsed(address: str) -> Url | None:
    """By the URL standard that browsers follow. None for what is no absolute http(s) address."""
    if not address.lower().startswith(("http://", "https://")):
        return None  # browsers take `http:x` for an address within the page's own site
    try:
        return Url(address)
    except ValidationError:
        return None
