"""Who is asking, for the limits: a keyed hash of an address, never the address itself."""

import hashlib
import hmac
import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def client_of_request(request: HttpRequest) -> str:
    return client_of(
        request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", "")
    )


def client_of(remote_address: str, forwarded_for: str) -> str:
    """A client as a keyed hash (64 hex digits) of its address.

    `forwarded_for` is the header X-Forwarded-For, to which each proxy appends the address it got
    the request from: with `NUM_PROXIES` of our own, that many entries from the right are true, and
    everything further left is what the client claims.
    """
    entries = [address.strip() for address in forwarded_for.split(",") if address.strip()]
    trusted = settings.NUM_PROXIES
    if trusted and entries:
        remote_address = entries[-min(trusted, len(entries))]
    key = f"chat client {settings.SECRET_KEY}".encode()
    return hmac.new(key, _network(remote_address).encode(), hashlib.sha256).hexdigest()


def _network(entry: str) -> str:
    """An address without port, quotes, brackets and zone, which some proxies add; of an IPv6
    address its /64, since a client usually owns that and could ask from each of its addresses.
    """
    bare = entry.strip(' "').partition("%")[0].removeprefix("[").partition("]")[0]
    without_port = re.sub(":[0-9]*$", "", bare)
    address = _parsed(bare) or _parsed(without_port)
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
    return str(address or without_port)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
