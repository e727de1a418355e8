"""The JSON API: thin endpoints over `chat.turn.service` and `chat.sessions`."""

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from loguru import logger
from ninja import Header, NinjaAPI, Query, Status
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from chat import sessions
from chat.api import health, ui_stream
from chat.api.access_note import note_session
from chat.api.client import client_of_request
from chat.api.problems import CONTENT_TYPE, invalid_request, problem_response
from chat.api.schemas import (
    ChatRequest,
    ChatResponse,
    FeedbackOut,
    FeedbackRequest,
    HealthResponse,
    HistoryResponse,
    IdempotencyKey,
    ProblemResponse,
    ReadyResponse,
)
from chat.errors import (
    InternalError,
    InvalidJson,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from chat.models import Message
from chat.turn import service
from chat.turn.turn import Question
from llm.errors import CodedError


class JsonParser(Parser):
    """JSON only: a cross-site form can send JSON as text/plain without asking (CORS)."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != "application/json":
            raise UnsupportedMediaType
        try:
            return json.loads(request.body)
        except (ValueError, RecursionError) as error:
            raise InvalidJson from error


class BookChatAPI(NinjaAPI):
    """Documents errors under the media type they are sent with, which ninja cannot be told."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        for operations in schema["paths"].values():
            for operation in operations.values():
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if "ProblemResponse" in str(content):
                        content[CONTENT_TYPE] = content.pop("application/json")
        return schema


api = BookChatAPI(
    title="Book chat",
    version="1",
    description=f"Ask questions about “{settings.BOOK_TITLE}”. Errors are problem details.",
    parser=JsonParser(),
)


def problems(*statuses: int) -> dict[int, type[ProblemResponse]]:
    return dict.fromkeys((*statuses, 500), ProblemResponse)


# Endpoints ----------------------------------------------------------------------------------
@api.post(
    "/chat",
    response={200: ChatResponse, **problems(400, 409, 413, 415, 422, 429, 502, 503, 504)},
    summary="Ask a question",
    description="Answered as a stream of events with `stream`, or with `Accept: "
    "text/event-stream`: the AI SDK's UI message stream, version 1.",
    openapi_extra={"responses": {200: {"content": {ui_stream.CONTENT_TYPE: {}}}}},
)
async def ask(
    request: HttpRequest,
    payload: ChatRequest,
    idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
) -> dict[str, object] | HttpResponseBase:
    deadline = asyncio.get_running_loop().time() + ui_stream.FIRST_TOKEN_SECONDS
    note_session(request, payload.session_id)
    question = _question(request, payload, idempotency_key)
    if payload.stream or ui_stream.is_wanted(request.headers.get("Accept", "")):
        turn = await service.begin(question, streaming=True)
        note_session(request, turn.session_id)
        return ui_stream.stream_response(await ui_stream.ready_to_stream(turn, deadline))
    answer = await service.answer(question)
    note_session(request, answer.session_id)
    return {
        "response": answer.text,
        "session_id": answer.session_id,
        "timestamp": answer.at,
        "message_id": answer.message_id,
    }


def _question(request: HttpRequest, payload: ChatRequest, key: str | None) -> Question:
    return Question(
        payload.message,
        payload.session_id,
        payload.selected_text,
        payload.page_url,
        client_of_request(request),
        key or "",
    )


@api.post(
    "/chat/{session_id}/stop",
    response={202: None, 204: None, **problems(404, 422, 503)},
    summary="Stop the pending answer",
    description="202 where there was one (it ends within two seconds), 204 where there was none.",
)
async def stop(request: HttpRequest, session_id: UUID) -> HttpResponse:
    note_session(request, session_id)
    return _no_content(202 if await service.stop(session_id) else 204)


@api.put(
    "/chat/{session_id}/messages/{message_id}/feedback",
    response={200: FeedbackOut, **problems(400, 404, 413, 415, 422, 503)},
    summary="Judge a reply",
)
async def give_feedback(
    request: HttpRequest, session_id: UUID, message_id: UUID, payload: FeedbackRequest
) -> dict[str, object]:
    note_session(request, session_id)
    rating, comment = payload.rating, payload.comment or ""
    await sessions.give_feedback(session_id, message_id, rating or "", comment)
    return {"rating": rating, "comment": comment}


@api.get(
    "/chat/{session_id}",
    response={200: HistoryResponse, **problems(404, 422, 503)},
    summary="Read a conversation",
)
async def history(
    request: HttpRequest,
    session_id: UUID,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: UUID | None = None,
) -> dict[str, object]:
    note_session(request, session_id)
    session, messages, has_more = await sessions.read_page(session_id, limit, before)
    return {
        "session_id": session.id,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "messages": [_message_out(message) for message in messages],
        "has_more": has_more,
    }


@api.delete(
    "/chat/{session_id}",
    response={204: None, **problems(404, 422, 503)},
    summary="Delete a conversation",
)
async def delete(request: HttpRequest, session_id: UUID) -> HttpResponse:
    note_session(request, session_id)
    await sessions.delete(session_id)
    return _no_content(204)


@api.api_operation(
    ["GET", "HEAD"], "/health", response=HealthResponse, summary="Is the process up?"
)
async def healthy(request: HttpRequest) -> HealthResponse:
    return HealthResponse()


@api.api_operation(
    ["GET", "HEAD"],
    "/health/ready",
    response={200: ReadyResponse, 503: ReadyResponse},
    summary="Can it answer questions?",
)
async def ready(request: HttpRequest) -> Status[dict[str, object]]:
    checks = await health.checks()
    if all(state == "ok" for state in checks.values()):
        return Status(200, {"status": "ready", "checks": checks})
    return Status(503, {"status": "unready", "checks": checks})


def _message_out(message: Message) -> dict[str, object]:
    """A message as its reader gets it."""
    feedback = {"rating": message.feedback or None, "comment": message.feedback_comment}
    correction = {"text": message.correction, "at": message.corrected_at}
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "status": message.status,
        "error_code": message.error_code or None,
        "created_at": message.created_at,
        "selected_text": message.selected_text or None,
        "page_url": message.page_url or None,
        "reply_to": message.reply_to_id,
        "feedback": feedback if any(feedback.values()) else None,
        "correction": correction if message.correction else None,
    }


def _no_content(status: int) -> HttpResponse:
    """An answer without a body, and so without a media type."""
    response = HttpResponse(status=status)
    del response["Content-Type"]
    if status != 204:
        response["Content-Length"] = "0"
    return response


# Errors -------------------------------------------------------------------------------------
@api.exception_handler(CodedError)
def coded_error(request: HttpRequest, error: CodedError) -> HttpResponse:
    if isinstance(error, InternalError):
        logger.opt(exception=error.__cause__ or error).error("The turn failed")
    return problem_response(request, error)


@api.exception_handler(Exception)
def unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.opt(exception=error).error("Unforeseen error")
    return problem_response(request, InternalError())


@api.exception_handler(Http404)
def not_found(request: HttpRequest, _error: Http404) -> HttpResponse:
    return problem_response(request, NotFound())


@api.exception_handler(RequestDataTooBig)
def too_large(request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    return problem_response(request, PayloadTooLarge())


@api.exception_handler(HttpError)
def unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """ninja wraps what our parser raised."""
    cause = error.__cause__
    return problem_response(request, cause if isinstance(cause, CodedError) else InvalidJson())


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    try:
        is_empty = not request.body
    except RequestDataTooBig:
        return problem_response(request, PayloadTooLarge())
    if is_empty and any(each["loc"][0] == "body" for each in error.errors):
        no_json = request.content_type != "application/json"
        return problem_response(request, UnsupportedMediaType() if no_json else InvalidJson())
    return problem_response(request, invalid_request(_located(each) for each in error.errors))


def _located(error: dict[str, Any]) -> dict[str, Any]:
    """With `loc` as the client sees it: without the name of our parameter."""
    source, *where = error["loc"]
    return error | {"loc": (source, *(where[1:] if source == "body" else where))}
