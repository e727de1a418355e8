"""The JSON API: thin endpoints over `chat.turn.service` and `chat.sessions`."""

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from loguru import logger
from ninja import Body, Header, Query
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from chat import sessions
from chat.api import (
    ai_sdk,
    asking,
    book,
    concurrency,
    front_ends,
    health,
    mcp,
    openai_chat,
    resume,
)
from chat.api.access_note import note, note_session
from chat.api.ai_sdk import AiSdkRequest
from chat.api.bodies import KINDS, ChatBody
from chat.api.client import client_of_request
from chat.api.grounds import grounds
from chat.api.media_types import JSON
from chat.api.openapi import DocumentedAPI, answers
from chat.api.problems import invalid_request
from chat.api.refusals import refusal
from chat.api.responses import json_response, json_text, no_content
from chat.api.schemas import (
    ChatResponse,
    FeedbackOut,
    FeedbackRequest,
    HealthResponse,
    HistoryResponse,
    IdempotencyKey,
    ReadyResponse,
    encode,
)
from chat.api.session_ids import AnySessionId
from chat.errors import (
    DatabaseUnavailable,
    InternalError,
    InvalidJson,
    InvalidRequest,
    NotFound,
    NothingToReplace,
    PayloadTooLarge,
    RateLimited,
    UnsupportedMediaType,
)
from chat.models import ChatSession, Message
from chat.turn import service
from llm.errors import CodedError


class JsonParser(Parser):
    """JSON only: a cross-site form can send JSON as text/plain without a CORS preflight."""

    def parse_body(self, request: HttpRequest) -> Any:
        if request.content_type != JSON:
            raise UnsupportedMediaType
        try:
            return json.loads(request.body)
        except (ValueError, RecursionError) as error:
            raise InvalidJson from error


def only_read(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Other methods get 405, and not first of all CSRF's refusal."""
    return csrf_exempt(require_safe(page))


api = DocumentedAPI(
    title="Book chat",
    version="1",
    description=f"Ask questions about “{settings.BOOK_TITLE}”. Errors are problem details.",
    parser=JsonParser(),
    docs_decorator=only_read,
    servers=[{"url": "/", "description": "The server that this document comes from."}],
    openapi_extra={
        "info": {"license": {"name": "MIT", "identifier": "MIT"}},
        "security": [],  # none: a session's id is the key to it
        "tags": [
            {"name": "chat", "description": "Conversations with the book."},
            {"name": "book", "description": "What the book says."},
            {"name": "front ends", "description": "As other chat backends name it."},
            {"name": "OpenAI", "description": "For clients of OpenAI's chat completions."},
            {"name": "MCP", "description": "For assistants and editors."},
            {"name": "health", "description": "For load balancers and operators."},
        ],
    },
)


# Endpoints ----------------------------------------------------------------------------------
SESSION_ERRORS = (NotFound, InvalidRequest, RateLimited, DatabaseUnavailable)


@api.post(
    "/chat",
    **answers(
        {200: ChatResponse},
        *asking.BODY_ERRORS,
        *asking.TURN_ERRORS,
        streams=True,
        sentences=True,
    ),
    tags=["chat"],
    summary="Ask a question",
    description="Answered as a stream of events with `stream`, or with `Accept: "
    "text/event-stream`: the AI SDK's UI message stream, version 1. Takes the body of the AI SDK's "
    "own transport too, which is always answered so; its errors are one sentence as plain text, "
    "unless `Accept` names JSON. The question may also be called `query` or `question`.",
)
async def ask(
    request: HttpRequest,
    payload: Annotated[ChatBody, Body()],
    idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
) -> HttpResponseBase:
    key = idempotency_key or ""
    if isinstance(payload, AiSdkRequest):
        return await ai_sdk.answer(request, payload, key)
    return await asking.respond(request, payload, key)


@api.post(
    "/chat/{session_id}/stop",
    **answers({202: None, 204: None}, *SESSION_ERRORS, PayloadTooLarge),
    tags=["chat"],
    summary="Stop the pending answer",
    description="202: it ends within two seconds. 204: no answer was pending.",
)
async def stop_answer(request: HttpRequest, session_id: AnySessionId) -> HttpResponse:
    note_session(request, session_id.uuid)
    is_pending = await service.stop(session_id.uuid, client_of_request(request))
    return no_content(202 if is_pending else 204)


@api.put(
    "/chat/{session_id}/messages/{message_id}/feedback",
    **answers({200: FeedbackOut}, *SESSION_ERRORS, *asking.BODY_ERRORS),
    tags=["chat"],
    summary="Rate a reply",
    description="A later rating replaces an earlier one. Questions cannot be rated (404).",
)
async def give_feedback(
    request: HttpRequest, session_id: AnySessionId, message_id: UUID, payload: FeedbackRequest
) -> HttpResponse:
    note_session(request, session_id.uuid)
    rating, comment = payload.rating, payload.comment or ""
    client = client_of_request(request)
    await sessions.give_feedback(session_id.uuid, message_id, rating or "", comment, client)
    return json_response({"rating": rating, "comment": comment})


@api.get(
    "/chat/{session_id}",
    **answers({200: HistoryResponse}, *SESSION_ERRORS),
    tags=["chat"],
    summary="Read a conversation",
    description="Without `before` its newest messages. A page of long messages has fewer than "
    "`limit`, but at least one; `has_more` tells whether there are older ones.",
)
async def read_conversation(
    request: HttpRequest,
    session_id: AnySessionId,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: UUID | None = None,
) -> HttpResponse:
    note_session(request, session_id.uuid)
    client = client_of_request(request)
    async with concurrency.slot_for_page(client) as slot:
        page = await sessions.read_page(session_id.uuid, limit, before, client)
        answer = json_text(_page(session_id.sent, *page))
        slot.size = len(answer.content)
        return answer


@api.delete(
    "/chat/{session_id}",
    **answers({204: None}, *SESSION_ERRORS, PayloadTooLarge),
    tags=["chat"],
    summary="Delete a conversation",
    description="With all its messages. A pending answer is stopped.",
)
async def delete_conversation(request: HttpRequest, session_id: AnySessionId) -> HttpResponse:
    note_session(request, session_id.uuid)
    await sessions.delete(session_id.uuid, client_of_request(request))
    return no_content(204)


@api.api_operation(
    ["GET", "HEAD"],
    "/health",
    **answers({200: HealthResponse}),
    tags=["health"],
    summary="Is the process up?",
    description="Touches neither the database nor the model.",
)
async def check_health(request: HttpRequest) -> HttpResponse:
    return json_response({"status": "healthy"})


@api.api_operation(
    ["GET", "HEAD"],
    "/health/ready",
    **answers({200: ReadyResponse, 503: ReadyResponse}),
    tags=["health"],
    summary="Can it answer questions?",
    description="Whether the database can be written to, has room on its disk and is migrated; "
    "found out within five seconds, at most once a second. Does not call the model.",
)
async def check_readiness(request: HttpRequest) -> HttpResponse:
    checks = await health.checks()
    if health.is_ready(checks):
        return json_response({"status": "ready", "checks": checks})
    note(request, **checks)
    return json_response({"status": "unready", "checks": checks}, 503)


api.add_router("", book.router)
api.add_router("", resume.router)
api.add_router("", front_ends.router)
api.add_router("", openai_chat.router)
api.add_router("", mcp.router)


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
        "replaced": message.replaced,
        **grounds(message),
    }


def _page(
    session_id: str, session: ChatSession, messages: Iterable[Message], has_more: bool
) -> str:
    """A page of history as JSON: of its messages the newest ones that are not too long together."""
    written: list[str] = []
    size = 0
    for message in reversed([*messages]):
        text = encode(_message_out(message))
        size += len(text.encode())
        if written and size > sessions.MAX_PAGE_BYTES:  # as JSON they are longer than stored
            has_more = True
            break
        written.insert(0, text)
    head = {"created_at": session.created_at, "updated_at": session.updated_at}
    start = encode({"session_id": session_id, **head})
    return f'{start[:-1]},"messages":[{",".join(written)}],"has_more":{encode(has_more)}}}'


# Errors -------------------------------------------------------------------------------------
@api.exception_handler(CodedError)
def coded_error(request: HttpRequest, error: CodedError) -> HttpResponse:
    if isinstance(error, InternalError):
        logger.opt(exception=error.__cause__ or error).error("The turn failed")
    return refusal(request, error)


@api.exception_handler(NothingToReplace)
def nothing_to_replace(request: HttpRequest, _error: NothingToReplace) -> HttpResponse:
    unknown = {"loc": ("body", "replaces"), "type": "question_unknown"}
    return refusal(request, invalid_request([unknown]))


@api.exception_handler(Exception)
def unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.opt(exception=error).error("Unforeseen error")
    return refusal(request, InternalError())


@api.exception_handler(Http404)
def not_found(request: HttpRequest, _error: Http404) -> HttpResponse:
    return refusal(request, NotFound())


@api.exception_handler(RequestDataTooBig)
def too_large(request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    return refusal(request, PayloadTooLarge())


@api.exception_handler(HttpError)
def unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """ninja wraps what our parser raised."""
    cause = error.__cause__
    return refusal(request, cause if isinstance(cause, CodedError) else InvalidJson())


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    try:
        is_empty = not request.body
    except RequestDataTooBig:
        return refusal(request, PayloadTooLarge())
    if is_empty and any(each["loc"][0] == "body" for each in error.errors):
        no_json = request.content_type != JSON
        return refusal(request, UnsupportedMediaType() if no_json else InvalidJson())
    return refusal(request, invalid_request(_located(each) for each in error.errors))


def _located(error: dict[str, Any]) -> dict[str, Any]:
    """With `loc` as the client sees it: without the names of our parameter and of its kinds."""
    source, *where = error["loc"]
    if source == "body":
        where = [part for part in where[1:] if part not in KINDS]
    return error | {"loc": (source, *where)}
