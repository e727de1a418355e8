"""Who is asking, as the limits know it: a keyed hash of an address, never the address itself."""

import hashlib
import hmac
from ipaddress import IPv6Address, ip_address, ip_network

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


def _network(address: str) -> str:
    """An IPv6 client usually owns a whole /64 and could ask from each of its addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ip_network((parsed, 64), strict=False))
    return address
