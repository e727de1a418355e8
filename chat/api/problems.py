"""Every error as a problem document (RFC 9457), with its sentence: the one table.

The media type is `application/problem+json`, or `application/json` for a client whose header Accept
rules the former out.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from ninja import Field, Schema
from pydantic import ConfigDict, WithJsonSchema

from chat.api.access_note import note
from chat.api.media_types import JSON, PROBLEM_JSON, accepts
from chat.api.schemas import without_defaults
from chat.errors import (
    AnswerInProgress,
    AnswerStopped,
    BadRequest,
    BudgetExhausted,
    ChatError,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InternalError,
    InvalidJson,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
)
from llm.errors import (
    CodedError,
    ContextTooLong,
    ModelMisconfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    title: str
    detail: str
    retryable: bool = False


PROBLEMS: dict[str, Problem] = {
    BadRequest.code: Problem(400, "Bad request", "The server could not accept this request."),
    InvalidJson.code: Problem(400, "Invalid JSON", "The request body is not valid JSON."),
    NotFound.code: Problem(404, "Not found", "There is nothing at this address."),
    MethodNotAllowed.code: Problem(
        405, "Method not allowed", "This address does not accept this kind of request."
    ),
    RequestTimeout.code: Problem(
        408,
        "Request timeout",
        "The request did not arrive in time; please try again.",
        retryable=True,
    ),
    AnswerInProgress.code: Problem(
        409,
        "Answer in progress",
        "This question is still being answered; please look again in a moment.",
        retryable=True,
    ),
    AnswerStopped.code: Problem(
        409, "Answer stopped", "The answer was stopped before its first word."
    ),
    PayloadTooLarge.code: Problem(
        413, "Payload too large", "The request is too large; please shorten the text."
    ),
    UnsupportedMediaType.code: Problem(
        415, "Unsupported media type", "Please send the request as application/json."
    ),
    InvalidRequest.code: Problem(422, "Invalid request", "The request is not valid."),
    IdempotencyKeyReused.code: Problem(
        422,
        "Idempotency key reused",
        "This Idempotency-Key was used for another question; a new question needs a new key.",
    ),
    ContextTooLong.code: Problem(
        422,
        "Context too long",
        "The text is too long for the model; please shorten it or start a new conversation.",
    ),
    RateLimited.code: Problem(
        429,
        "Too many requests",
        "You are asking faster than this chat allows; please wait a moment.",
        retryable=True,
    ),
    BudgetExhausted.code: Problem(
        503,
        "Budget exhausted",
        "This chat has answered all it can for today; please come back tomorrow.",
        retryable=True,
    ),
    ModelUnavailable.code: Problem(
        502,
        "Model unavailable",
        "The language model could not answer just now; please try again.",
        retryable=True,
    ),
    ModelMisconfigured.code: Problem(
        502,
        "Model misconfigured",
        "The language model is not set up correctly; please tell the author of this book.",
    ),
    ModelRateLimited.code: Problem(
        503,
        "Model rate limited",
        "The language model is receiving too many requests; please try again in a moment.",
        retryable=True,
    ),
    Unavailable.code: Problem(
        503,
        "Unavailable",
        "The chat is receiving too many requests; please try again in a moment.",
        retryable=True,
    ),
    DatabaseUnavailable.code: Problem(
        503,
        "Database unavailable",
        "The chat cannot reach its storage just now; please try again in a moment.",
        retryable=True,
    ),
    ModelTimeout.code: Problem(
        504,
        "Model timeout",
        "The language model took too long to answer; please try again.",
        retryable=True,
    ),
    InternalError.code: Problem(
        500,
        "Internal error",
        "Something went wrong on our side; please try again.",
        retryable=True,
    ),
}
CODE_OF_STATUS = {
    400: BadRequest.code,
    404: NotFound.code,
    405: MethodNotAllowed.code,
    413: PayloadTooLarge.code,
}
STATUSES = sorted({problem.status for problem in PROBLEMS.values()})


# The shape ----------------------------------------------------------------------------------
class InvalidField(Schema):
    loc: list[str | int] = Field(description="The part of the request, then the path in it.")
    msg: str = Field(description="What is wrong, as a sentence.")
    type: str = Field(description="What is wrong, as a name.")


class ProblemResponse(Schema):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    type: Annotated[str, WithJsonSchema({"type": "string", "format": "uri"})]
    title: str
    status: Annotated[int, WithJsonSchema({"type": "integer", "enum": STATUSES})]
    detail: str = Field(description="One sentence that can be shown to readers.")
    code: Annotated[str, WithJsonSchema({"type": "string", "enum": list(PROBLEMS)})]
    retryable: bool = Field(description="Whether the same request may succeed later.")
    request_id: str = Field(description="Names the request in the server's log.")
    errors: list[InvalidField] = Field([], description="With `invalid_request` only.")


def problem_response(request: HttpRequest, error: CodedError) -> HttpResponse:
    """`error` as the client of `request` gets it."""
    note(request, code=error.code)
    if isinstance(error, DatabaseUnavailable):
        note(request, reason=str(error))
    headers = request.headers
    return problem_document(error, headers.get("X-Request-ID", ""), headers.get("Accept", ""))


def problem_document(error: CodedError, request_id: str, accept: str) -> HttpResponse:
    """`error` as clients get it; its own message stays inside. `accept` is a header Accept."""
    problem = PROBLEMS[error.code]
    body: dict[str, object] = {
        "type": f"urn:problem-type:chat:{error.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail(error),
        "code": error.code,
        "retryable": problem.retryable,
        "request_id": request_id,
    }
    if isinstance(error, InvalidRequest):
        body["errors"] = error.errors
    response = HttpResponse(json.dumps(body), _media_type(accept), problem.status)
    response["Content-Length"] = str(len(response.content))
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["Accept"])
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _media_type(accept: str) -> str:
    return JSON if accepts(accept, JSON) and not accepts(accept, PROBLEM_JSON) else PROBLEM_JSON


def problem_for(request: HttpRequest, refusal: HttpResponseBase) -> HttpResponse:
    """An HTML or plain-text error of Django's as a problem; headers such as `Allow` are kept."""
    error = ChatError()
    error.code = CODE_OF_STATUS.get(refusal.status_code, InternalError.code)
    if refusal.status_code < 500 and error.code == InternalError.code:
        error.code = BadRequest.code
    problem = problem_response(request, error)
    for name, value in refusal.headers.items():
        if name not in ("Content-Type", "Content-Length"):
            problem.headers.setdefault(name, value)
    return problem


def detail(error: CodedError) -> str:
    """`error` as one human sentence."""
    if isinstance(error, InvalidRequest):
        return str(error.errors[0]["msg"])
    return PROBLEMS[error.code].detail


# Invalid requests ---------------------------------------------------------------------------
# A sentence is the field as a reader knows it, and what is wrong with it.
FIELDS = {
    "": "The request body",
    "message": "Your question",
    "selected_text": "The selected text",
    "session_id": "The session id",
    "page_url": "The page address",
    "stream": "The choice of streaming",
    "replaces": "The question to replace",
    "rating": "The rating",
    "comment": "The comment",
    "message_id": "The message id",
    "limit": "The limit",
    "q": "The question",
    "section_id": "The section id",
    "before": "The id of the message to read back from",
    "Idempotency-Key": "The Idempotency-Key header",
}
PREDICATES = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must have visible ASCII characters only",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "question_unknown": "is not in this conversation",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
}


def invalid_request(errors: Iterable[Mapping[str, Any]]) -> InvalidRequest:
    """What pydantic found, in our words; `loc` begins with the part of the request."""
    return InvalidRequest(
        [
            {"loc": list(each["loc"]), "msg": _sentence(each), "type": each["type"]}
            for each in errors
        ]
    )


def _sentence(error: Mapping[str, Any]) -> str:
    """`Your question must not be empty.`"""
    field = ".".join(str(part) for part in error["loc"][1:])
    return f"{FIELDS.get(field, f'The value of {field}')} {_predicate(error).rstrip('.')}."


def _predicate(error: Mapping[str, Any]) -> str:
    if predicate := PREDICATES.get(error["type"]):
        return predicate.format(**error.get("ctx", {}))
    message = str(error["msg"])
    if error["type"] == "value_error":  # our own validators (`chat.api.schemas`)
        return message.removeprefix("Value error, ")
    return f"is not valid ({message})"
