"""MCP over streamable HTTP, at /mcp; nothing is kept between requests.

A request is answered as JSON; `ask` as a stream of events where the client accepts it, with its
progress. A client of the stateless revision stops an answer by closing its request; one of the
earlier revisions by a notification, which any worker may get: hence the idempotency key, which says
what session of the client's and which of its requests a question belongs to.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from loguru import logger
from ninja import Router

from chat.api import mcp_tools
from chat.api.access_note import note, note_session
from chat.api.client import client_of_request
from chat.api.languages import language_of_request
from chat.api.mcp_document import EVENT, REQUEST, McpAnswers, McpFailure, McpServerCard
from chat.api.mcp_messages import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    REFUSED,
    STATELESS,
    VERSIONS,
    WITH_BATCHES,
    WITH_HANDSHAKE,
    McpError,
    Message,
    Version,
    about_server,
    check_envelope,
    is_reply,
    message_of,
    parsed,
    result,
    version_of,
)
from chat.api.media_types import EVENT_STREAM, JSON, names
from chat.api.openapi import answers
from chat.api.responses import json_response, no_content
from chat.api.schemas import encode
from chat.api.ui_stream import HEADERS, KEEPALIVE, KEEPALIVE_SECONDS
from chat.errors import AnswerStopped, InternalError, PayloadTooLarge, UnsupportedMediaType
from chat.models import Message as Row
from chat.turn import limits, service
from chat.turn.following import FollowedTurn
from chat.turn.turn import Question, Turn
from llm.errors import CodedError

LISTS_TTL_MS = 300_000
PROGRESS_SECONDS = 0.3
BATCH = 10
SESSION = "Mcp-Session-Id"
USABLE_SESSION = re.compile("[!-~]{16,128}")
STREAM_HEADERS = {k: v for k, v in HEADERS.items() if not k.startswith("x-vercel")}

type Reply = dict[str, Any]


router = Router(tags=["MCP"])
DOCUMENTED = answers(
    {200: McpAnswers, 202: None},
    *(PayloadTooLarge, UnsupportedMediaType),
    event=EVENT,
    failures={400: McpFailure, 403: McpFailure, 404: McpFailure},
)
DOCUMENTED["openapi_extra"] |= REQUEST


@router.post(
    "/mcp",
    **DOCUMENTED,
    summary="Speak MCP",
    description="The Model Context Protocol over streamable HTTP: the tools `search`, `fetch` and "
    "`ask`, and the book's pages as resources. `ask` is answered as a stream of events where "
    "`Accept` names `text/event-stream`. There is no stream to listen to, and no session to end.",
)
async def call_mcp(request: HttpRequest) -> HttpResponseBase:
    if not _is_allowed(request):
        return _refusal(McpError(INVALID_REQUEST, "This origin is not allowed.", 403), None)
    if request.content_type != JSON:
        raise UnsupportedMediaType
    try:
        sent = parsed(request.body)
        version = version_of(request)
        if isinstance(sent, list):
            return await _batch(request, version, sent)
        if is_reply(sent):
            return no_content(202)
        message = message_of(sent)
    except McpError as error:
        return _refusal(error, None)
    return await _respond(request, version, message)


def _is_allowed(request: HttpRequest) -> bool:
    """A page may have got here by DNS rebinding; programs send no origin."""
    origin = request.headers.get("Origin")
    if not origin or origin in settings.FRONTEND_ORIGINS:
        return True
    return origin.partition("://")[2] == request.get_host()


def _refusal(error: McpError, sent_id: int | str | None) -> HttpResponse:
    return json_response(_failure(error, sent_id), error.status)


def _failure(error: McpError, sent_id: int | str | None) -> Reply:
    return {"jsonrpc": "2.0", "id": sent_id, "error": error.body}


async def _batch(request: HttpRequest, version: Version, sent: list[Any]) -> HttpResponse:
    if version.name != WITH_BATCHES or not 0 < len(sent) <= BATCH:
        raise McpError(INVALID_REQUEST, f"A batch has up to {BATCH} requests, in {WITH_BATCHES}.")
    replies = [await _reply_in_batch(request, version, each) for each in sent]
    answers = [each for each in replies if each is not None]
    return json_response(answers) if answers else no_content(202)


async def _reply_in_batch(request: HttpRequest, version: Version, sent: Any) -> Reply | None:
    if is_reply(sent):
        return None
    try:
        message = message_of(sent)
    except McpError as error:
        return _failure(error, None)
    if message.id is None:
        await _notified(request, message)
        return None
    try:
        found = await _handle(request, version, message)
        if isinstance(found, Turn):
            found = await _answered(found, version)
    except McpError as error:
        return _failure(error, message.id)
    return _success(message, found)


def _success(message: Message, found: Reply) -> Reply:
    return {"jsonrpc": "2.0", "id": message.id, "result": found}


async def _respond(request: HttpRequest, version: Version, message: Message) -> HttpResponseBase:
    if message.id is None:
        if not version.is_stateless:
            await _notified(request, message)
        return no_content(202)
    try:
        if version.is_stateless:
            check_envelope(request, message)
        found = await _handle(request, version, message)
        if isinstance(found, Turn):
            if names(request.headers.get("Accept", ""), EVENT_STREAM):
                frames = _frames(found, version, message)
                return StreamingHttpResponse(
                    frames, content_type=EVENT_STREAM, headers=STREAM_HEADERS
                )
            found = await _answered(found, version)
    except McpError as error:
        note(request, code=str(error.body["code"]))
        return _refusal(error, message.id)
    response = json_response(_success(message, found))
    if message.method == "initialize":
        response[SESSION] = uuid4().hex
    return response


# Methods ------------------------------------------------------------------------------------
async def _handle(request: HttpRequest, version: Version, message: Message) -> Reply | Turn:
    """A request's result, or the turn that its result comes from. Raises McpError."""
    note(request, mcp=message.method if message.method.isprintable() else "")
    try:
        return await _dispatch(request, version, message)
    except CodedError as error:
        raise McpError(REFUSED, mcp_tools.sentence(error), 200) from error
    except McpError:
        raise
    except Exception as error:
        logger.opt(exception=error).error("Unforeseen error")
        raise McpError(INTERNAL_ERROR, mcp_tools.sentence(InternalError()), 200) from error


async def _dispatch(request: HttpRequest, version: Version, message: Message) -> Reply | Turn:
    if message.method == "tools/call":
        return await _call_tool(request, version, message)
    if message.method == "resources/list":
        pages = await mcp_tools.list_pages(request, message.params)
        return result(version, pages, LISTS_TTL_MS)
    if message.method == "resources/read":
        page = await mcp_tools.read_page(request, message.params, version)
        return result(version, page, LISTS_TTL_MS)
    methods = STATELESS_METHODS if version.is_stateless else HANDSHAKE_METHODS
    if not (method := methods.get(message.method)):
        status = 404 if version.is_stateless else 200
        raise McpError(METHOD_NOT_FOUND, "This server has no such method.", status)
    return result(version, *method(message))


def _initialize(message: Message) -> tuple[Reply]:
    wanted = message.params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise McpError(INVALID_PARAMS, "protocolVersion must be a text.", 200)
    agreed = wanted if wanted in WITH_HANDSHAKE else WITH_HANDSHAKE[-1]
    return ({"protocolVersion": agreed, "serverInfo": about_server(), **_abilities()},)


def _discover(_message: Message) -> tuple[Reply, int]:
    return {"supportedVersions": [STATELESS], **_abilities()}, LISTS_TTL_MS


def _abilities() -> Reply:
    title = settings.BOOK_TITLE
    instructions = f"Answers about the book “{title}”. Quote its sources with their addresses."
    return {"capabilities": {"tools": {}, "resources": {}}, "instructions": instructions}


def _list_tools(_message: Message) -> tuple[Reply, int]:
    return {"tools": mcp_tools.listed()}, LISTS_TTL_MS


def _list_templates(_message: Message) -> tuple[Reply, int]:
    return {"resourceTemplates": []}, LISTS_TTL_MS


LISTS: dict[str, Callable[[Message], Any]] = {
    "tools/list": _list_tools,
    "resources/templates/list": _list_templates,
}
STATELESS_METHODS = LISTS | {"server/discover": _discover}
HANDSHAKE_METHODS = LISTS | {"initialize": _initialize, "ping": lambda _: ({},)}


async def _call_tool(request: HttpRequest, version: Version, message: Message) -> Reply | Turn:
    try:
        arguments = mcp_tools.arguments_of(message.params)
        if isinstance(arguments, mcp_tools.Ask):
            return await _ask(request, arguments, _key(request, version, message.id))
        return result(version, await mcp_tools.call(request, arguments))
    except CodedError as error:
        note(request, code=error.code)
        return result(version, mcp_tools.failed(error))


# Asking -------------------------------------------------------------------------------------
async def _ask(request: HttpRequest, arguments: mcp_tools.Ask, key: str) -> Turn:
    question = Question(
        arguments.question,
        arguments.session_id.uuid if arguments.session_id else None,
        arguments.selected_text,
        client=client_of_request(request),
        idempotency_key=key,
        door="mcp",
        language=language_of_request(request),
    )
    turn = await service.begin(question, streaming=True)
    note_session(request, turn.session_id)
    return turn


def _key(request: HttpRequest, version: Version, sent_id: int | str | None) -> str:
    """What a later notification finds the question by; empty where none can come."""
    session = request.headers.get(SESSION, "")
    if version.is_stateless or not USABLE_SESSION.fullmatch(session):
        return ""
    return f"mcp {session} {type(sent_id).__name__} {sent_id}"[:255]


async def _answered(turn: Turn, version: Version) -> Reply:
    try:
        while turn.outcome is None:
            await turn.wait_for_change()
    finally:
        _left(turn, version)
    return _outcome(turn, version)


def _left(turn: Turn, version: Version) -> None:
    """In the stateless revision a closed request is a stop, and before it is not."""
    if version.is_stateless and turn.outcome is None:
        turn.stop()


def _outcome(turn: Turn, version: Version) -> Reply:
    outcome = turn.outcome or InternalError()
    if isinstance(outcome, CodedError):
        return result(version, mcp_tools.failed(outcome))
    if outcome.stopped and not outcome.text:
        return result(version, mcp_tools.failed(AnswerStopped()))
    return result(version, mcp_tools.answered(outcome))


async def _frames(turn: Turn, version: Version, message: Message) -> AsyncIterator[bytes]:
    try:
        async for frame in _progress(turn, message.progress_token):
            yield frame
        yield _frame(_success(message, _outcome(turn, version)))
    except Exception as error:  # noqa: BLE001 - Django does not clean up after what escapes
        logger.opt(exception=error).error("A stream broke")
        failure = McpError(INTERNAL_ERROR, mcp_tools.sentence(InternalError()))
        yield _frame(_failure(failure, message.id))
    finally:
        _left(turn, version)


async def _progress(turn: Turn, token: int | str | None) -> AsyncIterator[bytes]:
    """The text as it comes, in notifications; their `progress` counts its characters."""
    characters, sent_at, followed = 0, 0.0, FollowedTurn(turn)
    while turn.outcome is None:
        if not await followed.wait_for_change(KEEPALIVE_SECONDS):
            yield KEEPALIVE
            continue
        is_due = token is not None and time.monotonic() - sent_at >= PROGRESS_SECONDS
        if is_due and (delta := followed.unread_text()):
            characters, sent_at = characters + len(delta), time.monotonic()
            params = {"progressToken": token, "progress": characters, "message": delta}
            yield _frame({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def _frame(content: Reply) -> bytes:
    return b"event: message\ndata: " + encode(content).encode() + b"\n\n"


# Notifications ------------------------------------------------------------------------------
async def _notified(request: HttpRequest, message: Message) -> None:
    """Of all notifications only a cancellation means anything here."""
    sent_id = message.params.get("requestId")
    if message.method != "notifications/cancelled" or not isinstance(sent_id, int | str):
        return
    if key := _key(request, Version(WITH_BATCHES), sent_id):
        try:
            await _cancel(client_of_request(request), key)
        except CodedError as error:
            logger.warning("A cancellation was not heeded: {}", error.code)


async def _cancel(client: str, key: str) -> None:
    def session_of_pending() -> Any:
        pending = Row.objects.pending().filter(reply_to__idempotency_key=key)
        return pending.values_list("session_id", flat=True).first()

    session_id = await limits.run_counted(client, "stop", session_of_pending)
    if session_id:
        await service.stop(session_id, None)


@router.get(
    "/.well-known/mcp/server-card.json",
    **answers({200: McpServerCard}),
    summary="Describe the MCP server",
    description="What a client may know of it before it connects.",
)
async def read_server_card(request: HttpRequest) -> HttpResponse:
    url = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    remote = {
        "type": "streamable-http",
        "url": f"{url}/mcp",
        "supportedProtocolVersions": VERSIONS,
    }
    return json_response({**about_server(), "remotes": [remote]})
