"""Answers as JSON, which nobody is to keep, and answers without a body."""

from django.http import HttpResponse

from chat.api.media_types import JSON
from chat.api.schemas import encode


def json_response(data: object, status: int = 200) -> HttpResponse:
    return json_text(encode(data), status)


def json_text(text: str, status: int = 200) -> HttpResponse:
    content = text.encode()
    headers = {"Cache-Control": "no-store", "Content-Length": str(len(content))}
    return HttpResponse(content, f"{JSON}; charset=utf-8", status, headers=headers)


def no_content(status: int) -> HttpResponse:
    """An answer without a body, and so without a media type."""
    response = HttpResponse(status=status, headers={"Cache-Control": "no-store"})
    del response["Content-Type"]
    if status != 204:
        response["Content-Length"] = "0"
    return response
