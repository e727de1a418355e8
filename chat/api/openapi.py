"""The OpenAPI document: what ninja makes of the routes, completed for strict validators and client
generators.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_script_prefix, path
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.schema import NinjaGenerateJsonSchema
from pydantic import BaseModel

from chat.api import openai_errors
from chat.api.media_types import EVENT_STREAM, JSON, PROBLEM_JSON, TEXT
from chat.api.openai_errors import OpenAIErrorResponse
from chat.api.problems import PROBLEMS, ProblemResponse
from chat.api.schemas import StreamEvent, encode
from chat.errors import (
    AnswerInProgress,
    BadRequest,
    BudgetExhausted,
    InternalError,
    RateLimited,
    RequestTimeout,
    Unavailable,
)
from llm.errors import CodedError, ModelRateLimited

COMMON_ERRORS: tuple[type[CodedError], ...] = (
    BadRequest,
    RequestTimeout,
    InternalError,
    Unavailable,
)
WITH_RETRY_AFTER = {
    error.code
    for error in (AnswerInProgress, RateLimited, BudgetExhausted, ModelRateLimited, Unavailable)
}
RETRY_AFTER = {
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
# Before OpenAPI 3.2, a stream's schema is by convention that of one event.
EVENT = {
    "type": "object",
    "description": "A server-sent event; there are comments between them (`: keepalive`).",
    "required": ["data"],
    "properties": {
        "data": {
            "anyOf": [
                {"const": "[DONE]", "description": "The last event."},
                {
                    "type": "string",
                    "contentMediaType": JSON,
                    "contentSchema": {"$ref": REF_TEMPLATE.format(model="StreamEvent")},
                },
            ]
        }
    },
}
# Where there is nothing else, Python clients are generated that want text in its place.
EVENTS = {"type": "string", "description": "Events, as `POST /chat` streams them."}


# Routes -------------------------------------------------------------------------------------
def answers(
    success: dict[int, Any],
    *errors: type[CodedError],
    streams: bool = False,
    sentences: bool = False,
    openai: bool = False,
    event: Mapping[str, Any] | None = None,
    failures: Mapping[int, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """A route's options: what it answers with, and each error by its status.

    Some answers are `streams`, of another schema of `event` where there is one; some errors are
    plain `sentences`, and some are as OpenAI's are. `failures` are further shapes of errors, by
    their status.
    """
    codes: dict[int, list[str]] = {}
    for error in (*COMMON_ERRORS, *errors):
        status = PROBLEMS[error.code].status
        if openai:
            status = openai_errors.status_of(status)
        if status not in success:  # /health/ready has a 503 of its own
            codes.setdefault(status, []).append(error.code)
    documented: dict[int, Any] = {status: _described(codes[status]) for status in sorted(codes)}
    if sentences:
        for each in documented.values():
            each["content"] = {TEXT: {"schema": {"type": "string"}}}
    if streams:
        schema = EVENT if 200 in success else EVENTS
        documented[200] = {"description": "OK", "content": {EVENT_STREAM: {"schema": schema}}}
    if event:
        documented[200] = {"content": {EVENT_STREAM: {"schema": event}}}
    errors_by_status: dict[int, Any]
    errors_by_status = dict.fromkeys(
        sorted(codes), OpenAIErrorResponse if openai else ProblemResponse
    )
    for status, shape in failures.items():
        common = errors_by_status.get(status)
        errors_by_status[status] = shape | common if common else shape
    return {
        "response": success | errors_by_status,
        "openapi_extra": {"responses": documented},
    }


def _described(codes: list[str]) -> dict[str, Any]:
    description = "\n".join(f"- `{code}`: {PROBLEMS[code].detail}" for code in codes)
    headers = {"headers": RETRY_AFTER} if WITH_RETRY_AFTER & {*codes} else {}
    return {"description": description, **headers}


# The document -------------------------------------------------------------------------------
class DocumentedAPI(NinjaAPI):
    """Answers with its document at /openapi.json, which each worker writes once."""

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        patterns, app_name, namespace = super().urls
        return [path("openapi.json", document_view(self)), *patterns], app_name, namespace

    def get_openapi_operation_id(self, operation: Any) -> str:
        return str(operation.view_func.__name__)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options | {"path_prefix": "/"})
        if settings.PUBLIC_PATH:  # on whichever host the document is read
            schema["servers"] = [{"url": settings.PUBLIC_PATH}]
        for operations in schema["paths"].values():
            if "head" in operations:
                operations["head"] = _without_content(operations["head"])
            for operation in operations.values():
                _complete(operation)
        schema.add_schema_definitions(_definitions(StreamEvent))
        return schema


class Document(NamedTuple):
    content: bytes
    etag: str


def document_view(
    api: NinjaAPI,
) -> Callable[[HttpRequest], Coroutine[Any, Any, HttpResponseBase]]:
    documents: dict[str, Document] = {}

    @require_safe
    async def document(request: HttpRequest) -> HttpResponseBase:
        root = get_script_prefix()
        if root not in documents:
            documents[root] = await asyncio.to_thread(_document, api)
        content, etag = documents[root]
        headers = {"ETag": etag, "Cache-Control": "no-cache"}  # to be asked for with its ETag
        response = HttpResponse(content, content_type=JSON, headers=headers)
        return get_conditional_response(request, etag=etag, response=response) or response

    return document


def _document(api: NinjaAPI) -> Document:
    content = encode(api.get_openapi_schema()).encode()
    return Document(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _without_content(operation: dict[str, Any]) -> dict[str, Any]:
    responses = {
        status: {"description": response["description"]}
        for status, response in operation["responses"].items()
    }
    name = f"{operation['operationId']}_head"
    return operation | {"operationId": name, "responses": responses}


def _complete(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _not_null(parameter["schema"])
    for response in operation["responses"].values():
        content = response.get("content", {})
        if "ProblemResponse" in str(content):  # ninja knows one media type for all answers
            content[PROBLEM_JSON] = content[JSON]


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter may be left out, but it cannot be null."""
    options: list[dict[str, Any]]
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {name: value for name, value in schema.items() if name != "anyOf"} | options[0]


def _definitions(model: type[BaseModel]) -> dict[str, Any]:
    schema: dict[str, Any] = model.model_json_schema(
        ref_template=REF_TEMPLATE, schema_generator=NinjaGenerateJsonSchema, mode="serialization"
    )
    definitions: dict[str, Any] = schema.pop("$defs")
    return definitions | {model.__name__: schema}
