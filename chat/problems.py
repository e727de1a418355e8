"""Every error as `application/problem+json` (RFC 9457): the one table, and the last door.

`problem_response` answers for errors the API raised; `problem_middleware` gives the same shape to
what Django or ninja refused before any code of ours ran (unknown path, method, host, a crash).
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from chat.errors import (
    AnswerInProgress,
    AnswerStopped,
    BadRequest,
    BudgetExhausted,
    ChatError,
    ContextTooLong,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InternalError,
    InvalidJson,
    InvalidRequest,
    MethodNotAllowed,
    ModelMisconfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    UnsupportedMediaType,
)

CONTENT_TYPE = "application/problem+json"
# Pages for people; everything else speaks JSON.
HTML_PATHS = ("/admin/", "/static/")


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


def problem_response(request: HttpRequest, error: ChatError) -> HttpResponse:
    """`error` as the outside sees it; its own message stays inside."""
    problem = PROBLEMS[error.code]
    body: dict[str, object] = {
        "type": f"urn:problem-type:chat:{error.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": told(error),
        "code": error.code,
        "retryable": problem.retryable,
        "request_id": request.headers.get("X-Request-ID", ""),
    }
    if isinstance(error, InvalidRequest):
        body["errors"] = error.errors
    response = HttpResponse(json.dumps(body), status=problem.status, content_type=CONTENT_TYPE)
    response["Content-Length"] = str(len(response.content))
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    note(request, code=error.code)
    return response


def note(request: HttpRequest, **facts: str) -> None:
    """Tell the access line (`chatbackend.asgi`) more about this request."""
    getattr(request, "scope", {}).setdefault("state", {}).update(facts)


def told(error: ChatError) -> str:
    """`error` as one human sentence."""
    if isinstance(error, InvalidRequest):
        return _first_sentence(error.errors)
    return PROBLEMS[error.code].detail


# Invalid requests ---------------------------------------------------------------------------
# As a reader knows them.
NAMES = {"message": "Your question", "selected_text": "The selected text"}
SENTENCES = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must have visible ASCII characters only",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}


def invalid_request(errors: Iterable[Mapping[str, Any]]) -> InvalidRequest:
    """What pydantic found, in our words; `loc` begins with the part of the request."""
    return InvalidRequest(
        [{"loc": list(each["loc"]), "msg": _worded(each), "type": each["type"]} for each in errors]
    )


def _worded(error: Mapping[str, Any]) -> str:
    if sentence := SENTENCES.get(error["type"]):
        return sentence.format(**error.get("ctx", {}))
    return str(error["msg"]).removeprefix("Value error, ")


def _first_sentence(errors: list[dict[str, Any]]) -> str:
    """The first error as one human sentence: `Your question must not be empty.`"""
    loc, message = errors[0]["loc"], errors[0]["msg"].rstrip(".")
    field = ".".join(str(part) for part in loc[1:])
    if not field:
        return f"The request is not valid: {message}."
    if message[0].islower():
        return f"{NAMES.get(field, field)} {message}."
    return f"{NAMES.get(field, field)}: {message}."


# The last door ------------------------------------------------------------------------------
@async_only_middleware
def problem_middleware(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        if (
            response.status_code < 400
            or "json" in response.headers.get("Content-Type", "")  # said by the API itself
            or request.path_info.startswith(HTML_PATHS)
        ):
            return response
        return _retold(request, response)

    return middleware


def _retold(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """An HTML or plain error as a problem; headers such as `Allow` are kept."""
    error = ChatError()
    error.code = CODE_OF_STATUS.get(response.status_code, InternalError.code)
    if response.status_code < 500 and error.code == InternalError.code:
        error.code = BadRequest.code
    told = problem_response(request, error)
    for name, value in response.headers.items():
        if name not in ("Content-Type", "Content-Length"):
            told.headers.setdefault(name, value)
    return told
