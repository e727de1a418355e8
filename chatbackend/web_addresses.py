"""Addresses as browsers write them: lower case, punycode, no default port.

pydantic's `Url` is Rust's implementation of the URL standard that browsers follow.
"""

import re
from ipaddress import IPv6Address

from django.http.request import host_validation_re
from pydantic import ValidationError
from pydantic_core import Url

DEFAULT_PORTS = {"http": 80, "https": 443}
# In full: browsers repair much, such as `https:book.example`, which other clients do not.
WEB_ADDRESS = re.compile(r"https?://(?![/?#])[^\s\\\x00-\x20\x7f]+", re.IGNORECASE)
# Two addresses run together, or a wildcard.
NEVER_IN_AN_ORIGIN = re.compile("[;*]")


def web_address(address: str) -> Url:
    """An http or https address, in its parts.

    Raises ValueError for what is none, and what nothing can be sent to.
    """
    url = _parsed(address)
    if not WEB_ADDRESS.fullmatch(address) or url.port == 0:
        raise ValueError("not an http:// or https:// address")
    return url


def origin_of(address: str) -> str:
    """The origin (scheme, host and port) of an http or https address; its path does not matter.

    Raises ValueError for what no browser would send as `Origin`.
    """
    url = web_address(address)
    if url.username or url.password or NEVER_IN_AN_ORIGIN.search(address):
        raise ValueError("not an address that a browser sends as an origin")
    port = "" if url.port == DEFAULT_PORTS[url.scheme] else f":{url.port}"
    return f"{url.scheme}://{url.host}{port}"


def host_of(name: str) -> str:
    """A host's name as Django compares it: without port and final dot; `*` and `.domain` stay.

    Raises ValueError for what no request can name.
    """
    if name == "*":
        return name
    dot = "." if name.startswith(".") else ""
    bare = name.removeprefix(".")
    if re.search(r"[^\w.:\[\]-]", bare):
        raise ValueError("not a host name")
    host = _parsed(f"http://{in_brackets(bare)}").host or ""
    if not host_validation_re.fullmatch(host):
        raise ValueError("not a host name")
    return dot + host.removesuffix(".")


def in_brackets(host: str) -> str:
    """An IPv6 address as it stands in a web address; anything else as it is."""
    try:
        IPv6Address(host)
    except ValueError:
        return host
    return f"[{host}]"


def _parsed(address: str) -> Url:
    try:
        return Url(address)
    except ValidationError as error:
        raise ValueError("not an address") from error
