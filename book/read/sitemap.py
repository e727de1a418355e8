"""Which pages a site says that it has."""

import zlib
from collections.abc import Iterator
from urllib.parse import urljoin
from urllib.robotparser import RobotFileParser
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from book.read.fetch import Fetcher, normalised
from book.read.pages import PageError

MAX_SITEMAPS = 100
MAX_SITEMAP_BYTES = 50 * 2**20  # as sitemaps.org has it
GZIP = b"\x1f\x8b"


def robots_of(fetcher: Fetcher) -> RobotFileParser:
    """What the site asks of those who read it by machine; where it asks nothing, all is allowed."""
    robots = RobotFileParser()
    try:
        raw = fetcher.get(urljoin(fetcher.site.start, "/robots.txt")).raw or b""
        robots.parse(raw.decode("utf-8", "replace").splitlines())
    except PageError:
        robots.parse([])
    return robots


def listed_pages(fetcher: Fetcher, robots: RobotFileParser) -> list[str]:
    """The addresses in the site's sitemaps, as they stand there; empty where it has none."""
    root = fetcher.site.root
    usual = [urljoin(root, "sitemap.xml"), urljoin(root, "/sitemap.xml")]
    waiting = list(dict.fromkeys(map(normalised, [*(robots.site_maps() or ()), *usual])))
    usual_or_named = set(waiting)
    found: dict[str, None] = {}
    for _ in range(MAX_SITEMAPS):
        if not waiting:
            break
        url = waiting.pop(0)
        if url in usual_or_named and found:
            continue  # the same again, at another of its usual places
        pages, further = _read(fetcher, url)
        found |= dict.fromkeys(pages)
        waiting = [*(each for each in further if each not in waiting), *waiting]
    return list(found)


def _read(fetcher: Fetcher, url: str) -> tuple[list[str], list[str]]:
    """The pages in a sitemap, and the sitemaps in an index of them."""
    if not fetcher.site_serves(url):
        return [], []
    try:
        raw = fetcher.get(url, max_bytes=MAX_SITEMAP_BYTES).raw or b""
        if raw.startswith(GZIP):
            raw = zlib.decompressobj(31).decompress(raw, MAX_SITEMAP_BYTES)
        root = fromstring(raw, forbid_dtd=True)
    except (PageError, ParseError, DefusedXmlException, ValueError, LookupError, zlib.error):
        return [], []
    addresses = [normalised(text) for text in _locations(root)]
    kind = root.tag.rpartition("}")[2]
    return ([], addresses) if kind == "sitemapindex" else (addresses, [])


def _locations(root: object) -> Iterator[str]:
    for entry in root:  # type: ignore[attr-defined]
        for child in entry:
            if child.tag.rpartition("}")[2] == "loc" and child.text:
                yield child.text
