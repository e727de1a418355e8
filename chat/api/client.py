"""Who is asking, for the limits: a keyed hash of an address, never the address itself."""

import hashlib
import hmac
import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def client_of_request(request: HttpRequest) -> str:
    return client_of(*_addresses(request))


def address_of_request(request: HttpRequest) -> str:
    """The client's IP address, for the log alone; empty where it has none (a socket's file)."""
    return str(_address(_trusted(*_addresses(request))) or "")


def client_of(remote_address: str, forwarded_for: str) -> str:
    """A client as a keyed hash (64 hex digits) of its address.

    `forwarded_for` is the header X-Forwarded-For, to which each proxy appends the address it got
    the request from: with `NUM_PROXIES` of our own, that many entries from the right are true, and
    everything further left is what the client claims.
    """
    key = f"chat client {settings.SECRET_KEY}".encode()
    network = _network(_trusted(remote_address, forwarded_for))
    return hmac.new(key, network.encode(), hashlib.sha256).hexdigest()


def _addresses(request: HttpRequest) -> tuple[str, str]:
    return request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", "")


def _trusted(remote_address: str, forwarded_for: str) -> str:
    entries = [address.strip() for address in forwarded_for.split(",") if address.strip()]
    trusted = settings.NUM_PROXIES
    return entries[-min(trusted, len(entries))] if trusted and entries else remote_address


def _network(entry: str) -> str:
    """An address; of an IPv6 address its /64, since a client usually owns that and could ask from
    each of its addresses.
    """
    address = _address(entry)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address or _without_port(_bare(entry)))


def _address(entry: str) -> IPv4Address | IPv6Address | None:
    """Without port, quotes, brackets and zone, which some proxies add."""
    bare = _bare(entry)
    address = _parsed(bare) or _parsed(_without_port(bare))
    return getattr(address, "ipv4_mapped", None) or address


def _bare(entry: str) -> str:
    return entry.strip(' "').partition("%")[0].removeprefix("[").partition("]")[0]


def _without_port(entry: str) -> str:
    return re.sub(":[0-9]*$", "", entry)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
