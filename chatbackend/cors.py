"""CORS: which pages' scripts may read an answer, and what browsers are told when they ask before.

Own code and not django-cors-headers, since answers are also made without Django (a request that is
no HTTP), allowed pages may send any header, and a refused origin is reported.
"""

import re
from mmap import mmap
from zlib import crc32

from django.conf import settings
from loguru import logger

type Headers = list[tuple[bytes, bytes]]

ALLOWED = frozenset(origin.encode() for origin in settings.FRONTEND_ORIGINS)
METHODS = b"DELETE, GET, OPTIONS, POST, PUT"
EXPOSED = b"Mcp-Session-Id, Retry-After, X-Request-ID"
# For how long a browser need not ask again; browsers allow two hours (Chromium) to a day (Firefox).
MAX_AGE_SECONDS = b"86400"
HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4096}")
LONGEST_REPORTED = 200
# A byte for each origin that was reported, by its hash: shared by the workers, which are forked
# later, and bounded, whatever is sent.
_reported = mmap(-1, 1024)


def headers_for(request_headers: Headers) -> Headers:
    """What every answer to this request carries; an origin that is refused is reported once."""
    origin = host = b""
    for name, value in request_headers:
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    if not origin:
        return [(b"Vary", b"origin")]
    if origin not in ALLOWED:
        _report(origin, host)
        return [(b"Vary", b"origin")]
    return [
        (b"Vary", b"origin"),
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Expose-Headers", EXPOSED),
    ]


def is_preflight(method: str, request_headers: Headers) -> bool:
    return method == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in request_headers
    )


def preflight_headers(request_headers: Headers) -> Headers:
    """What the answer to a preflight carries beside `headers_for`; any header may be sent."""
    if not any(name == b"origin" and value in ALLOWED for name, value in request_headers):
        return []
    wanted = b", ".join(
        value for name, value in request_headers if name == b"access-control-request-headers"
    )
    found = [
        (b"Access-Control-Allow-Methods", METHODS),
        (b"Access-Control-Max-Age", MAX_AGE_SECONDS),
        (b"Vary", b"access-control-request-headers"),
    ]
    if HEADER_NAMES.fullmatch(wanted):
        found.append((b"Access-Control-Allow-Headers", wanted))
    return found


def _report(origin: bytes, host: bytes) -> None:
    """Log a refused origin, once; the service's own pages are none."""
    if origin.partition(b"://")[2] == host:
        return
    slot = crc32(origin) % len(_reported)
    if _reported[slot]:
        return
    _reported[slot] = 1
    logger.warning(
        "Pages of {} may not read answers: add it to FRONTEND_URL if it is the book's site",
        origin[:LONGEST_REPORTED].decode("latin-1"),
    )
