"""Which addresses an answer may link to: the book's own, and those that its model was given."""

import re
from collections.abc import Iterable
from functools import cached_property

# What browsers read differently from how it looks is no address here: backslashes, user names,
# entities or escapes within the host.
ADDRESS = re.compile(
    r"(https?)://([a-z0-9.-]+)(?::(\d{1,5}))?(?=[/?#]|\Z)([^\s\\<>\[\]`\x00-\x1f\x7f]*)", re.I
)
DEFAULT_PORTS = {"http": "80", "https": "443"}
IN_TEXT = re.compile(r"https?://[^\s<>\"'`\\\[\]]{1,2000}", re.I)
AFTER_ADDRESS = ".,;:!?*_۔،؛؟"
PAIRS = {")": "(", "]": "["}


def trimmed(address: str) -> str:
    """An address as it stands in a text, without the punctuation of the text after it."""
    while address:
        last = address[-1]
        closes = last in PAIRS and address.count(last) > address.count(PAIRS[last])
        if last not in AFTER_ADDRESS and not closes:
            break
        address = address[:-1]
    return address


class AllowedLinks:
    """Allows every address of the hosts that `book_urls` name, and each that stands in `texts`."""

    def __init__(self, book_urls: Iterable[str], texts: Iterable[str]) -> None:
        self._book_urls, self._texts = book_urls, texts

    def allows(self, address: str) -> bool:
        parts = _parts(address if "//" in address else f"https://{address}")
        return parts is not None and (parts[0] in self._origins or parts in self._known)

    @cached_property
    def _origins(self) -> set[str]:
        return {parts[0] for parts in map(_parts, self._book_urls) if parts}

    @cached_property
    def _known(self) -> set[tuple[str, str]]:
        found = (trimmed(match[0]) for text in self._texts for match in IN_TEXT.finditer(text))
        return {parts for parts in map(_parts, found) if parts}


def _parts(address: str) -> tuple[str, str] | None:
    """Host with port, and what follows it; None for what is no plain http or https address."""
    match = ADDRESS.fullmatch(address)
    if not match:
        return None
    scheme, host, port, rest = match.groups()
    is_default = port in (None, DEFAULT_PORTS[scheme.lower()])
    return host.lower() + ("" if is_default else f":{port}"), rest.removesuffix("/")
