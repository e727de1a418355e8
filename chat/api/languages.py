"""Which language a reader wants, by the header Accept-Language."""

from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

MAX_CHARS = 500


def language_of_request(request: HttpRequest) -> str:
    """The first one named, as ISO 639-1; empty where none is."""
    header = request.headers.get("Accept-Language", "")[:MAX_CHARS]
    for tag, _ in parse_accept_lang_header(header):
        if tag != "*":
            return tag.partition("-")[0]
    return ""
