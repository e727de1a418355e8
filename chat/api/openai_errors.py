"""Errors as OpenAI words them, by which its clients choose what to raise."""

from typing import Annotated, Any

from ninja import Schema
from pydantic import WithJsonSchema

# Those paths where an error has this form, whoever finds it.
PREFIX = "/v1/"
# What their service answers with where ours has a code of its own, and by which clients go.
CODES = {"context_too_long": "context_length_exceeded"}


class OpenAIError(Schema):
    message: str
    type: Annotated[
        str,
        WithJsonSchema(
            {
                "type": "string",
                "enum": ["invalid_request_error", "rate_limit_error", "server_error"],
            }
        ),
    ]
    param: str | None
    code: str


class OpenAIErrorResponse(Schema):
    error: OpenAIError


def status_of(status: int) -> int:
    """They have one status for what cannot be processed."""
    return 400 if status == 422 else status


def error_body(status: int, sentence: str, code: str, param: str | None) -> dict[str, Any]:
    """`OpenAIErrorResponse`; `status` is ours."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind = "rate_limit_error"
    code = CODES.get(code, code)
    return {"error": {"message": sentence, "type": kind, "param": param, "code": code}}
