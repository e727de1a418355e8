"""HTML from anywhere, as a tree."""

import codecs

from selectolax.lexbor import LexborHTMLParser, LexborNode

from book.read.pages import PageError

MAX_PAGE_BYTES = 10 * 2**20
# The time of HTML's parsing algorithm grows with the square of the depth, and so does the memory
# where formatting elements stay open: 100,000 open <div> take it a minute.
MAX_OPEN_ELEMENTS = 1000
# Closed by what follows them, or never open: they add no depth of their own.
NEVER_DEEP = frozenset(
    [
        "area",
        "base",
        "body",
        "br",
        "col",
        "colgroup",
        "dd",
        "dt",
        "embed",
        "head",
        "hr",
        "html",
        "img",
        "input",
        "li",
        "link",
        "meta",
        "optgroup",
        "option",
        "p",
        "param",
        "rb",
        "rp",
        "rt",
        "rtc",
        "source",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "track",
        "wbr",
    ]
)
END_OF_NAME = frozenset(" \t\n\r\f/>")
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What the web calls by these names is Windows' superset of them.
WINDOWS = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254"}


def parsed(raw: bytes, charset: str = "") -> LexborHTMLParser:
    """The document; `charset` is what a server says. Raises PageError for what is no page."""
    if len(raw) > MAX_PAGE_BYTES:
        raise PageError(f"it has more than {MAX_PAGE_BYTES >> 20} MB")
    return parsed_text(_decoded(raw, charset))


def parsed_text(html: str) -> LexborHTMLParser:
    """Raises PageError for elements nested too deeply."""
    html = html.replace("\0", "")
    if html.count("<") > MAX_OPEN_ELEMENTS and _open_elements(html) > MAX_OPEN_ELEMENTS:
        raise PageError(f"it leaves more than {MAX_OPEN_ELEMENTS} elements open")
    # As a browser with scripts sees it: what stands in <noscript> is text of nobody.
    return LexborHTMLParser(html)


def _decoded(raw: bytes, charset: str) -> str:
    for mark, encoding in MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, "replace")
    return raw.decode(_codec(charset) or _codec(_declared(raw)) or "utf-8", "replace")


def _codec(name: str) -> str:
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    return WINDOWS.get(found, found) if "".encode(found) is not None else ""


def _declared(raw: bytes) -> str:
    """The charset in a <meta> of the first kilobyte, where browsers look for it too."""
    head = LexborHTMLParser(raw[:1024].decode("latin-1"))
    for meta in head.css("meta"):
        if charset := meta.attributes.get("charset"):
            return charset
        content = meta.attributes.get("content") or ""
        if (meta.attributes.get("http-equiv") or "").lower() == "content-type":
            return content.lower().partition("charset=")[2].strip()
    return ""


def _open_elements(html: str) -> int:
    """At most how many elements are open at once: an end tag counts if it closes the last one."""
    still_open: list[str] = []
    most = 0
    at = html.find("<")
    while at >= 0:
        closes = html.startswith("/", at + 1)
        name = _name_at(html, at + 1 + closes)
        if closes and still_open and still_open[-1] == name:
            still_open.pop()
        elif not closes and name and name not in NEVER_DEEP:
            still_open.append(name)
            most = max(most, len(still_open))
        at = html.find("<", at + 1)
    return most


def _name_at(html: str, start: int) -> str:
    end = start
    while end < min(len(html), start + 40) and html[end] not in END_OF_NAME:
        end += 1
    name = html[start:end].lower()
    return name if name[:1].isalpha() else ""


def classes_of(node: LexborNode) -> list[str]:
    return (node.attributes.get("class") or "").split()


def attribute(node: LexborNode, name: str) -> str:
    """Its value; empty where it has none."""
    return node.attributes.get(name) or ""


def tag_of(node: LexborNode) -> str:
    """`-text` for text, `-comment` for comments."""
    return node.tag or ""


def within(node: LexborNode, selector: str) -> list[LexborNode]:
    """The matching elements in it, itself excluded."""
    return [found for found in node.css(selector) if found.mem_id != node.mem_id]
