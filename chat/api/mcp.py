"""MCP over streamable HTTP, at /mcp; nothing is kept between requests.

A request is answered as JSON; `ask` as a stream of events where the client accepts it.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from loguru import logger
from ninja import Router

from chat.api import mcp_ask, mcp_tools
from chat.api.access_note import note
from chat.api.mcp_ask import Asked
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
    Reply,
    Version,
    about_server,
    check_envelope,
    failure,
    is_reply,
    message_of,
    parsed,
    result,
    success,
    version_of,
)
from chat.api.media_types import EVENT_STREAM, JSON, names
from chat.api.openapi import answers
from chat.api.responses import json_response, no_content
from chat.errors import InternalError, PayloadTooLarge, UnsupportedMediaType
from llm.errors import CodedError

LISTS_TTL_MS = 300_000
BATCH = 10


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
    return json_response(failure(error, sent_id), error.status)


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
        return failure(error, None)
    if message.id is None:
        await mcp_ask.heed(request, message)
        return None
    try:
        found = await _handle(request, version, message)
        if isinstance(found, Asked):
            found = await mcp_ask.answered(found)
    except McpError as error:
        return failure(error, message.id)
    return success(message, found)


async def _respond(request: HttpRequest, version: Version, message: Message) -> HttpResponseBase:
    if message.id is None:
        if not version.is_stateless:
            await mcp_ask.heed(request, message)
        return no_content(202)
    try:
        if version.is_stateless:
            check_envelope(request, message)
        found = await _handle(request, version, message)
        if isinstance(found, Asked):
            if names(request.headers.get("Accept", ""), EVENT_STREAM):
                return await mcp_ask.stream(found, message)
            found = await mcp_ask.answered(found)
    except McpError as error:
        note(request, code=str(error.body["code"]))
        return _refusal(error, message.id)
    response = json_response(success(message, found))
    if message.method == "initialize":
        response[mcp_ask.SESSION] = uuid4().hex
    return response


# Methods ------------------------------------------------------------------------------------
async def _handle(request: HttpRequest, version: Version, message: Message) -> Reply | Asked:
    """A request's result, or the question whose answer it will be. Raises McpError."""
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


async def _dispatch(request: HttpRequest, version: Version, message: Message) -> Reply | Asked:
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


async def _call_tool(request: HttpRequest, version: Version, message: Message) -> Reply | Asked:
    try:
        arguments = mcp_tools.arguments_of(message.params)
        if isinstance(arguments, mcp_tools.Ask):
            return await mcp_ask.ask(request, arguments, version, message.id)
        return result(version, await mcp_tools.call(request, arguments))
    except CodedError as error:
        note(request, code=error.code)
        return result(version, mcp_tools.failed(error))


# The server card --------------------------------------------------------------------------
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
