"""MCP's messages: JSON-RPC requests, protocol versions, errors.

Written by hand rather than with the official SDK: its server keeps sessions in one process and runs
in a lifespan of Starlette's, which gunicorn's workers, our limits and our log have no part in.
https://modelcontextprotocol.io/specification
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from django.conf import settings
from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, Field, StrictInt, StrictStr, ValidationError

from chat.api.schemas import may_be_stored

STATELESS = "2026-07-28"  # each request carries its version; there is no handshake
WITH_HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
WITH_BATCHES = "2025-03-26"  # also what a client speaks that does not say
VERSIONS = [STATELESS, *reversed(WITH_HANDSHAKE)]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000
RESOURCE_NOT_FOUND = -32002  # before the stateless revision
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

META = "io.modelcontextprotocol/"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

type Params = Mapping[str, Any]
type Reply = dict[str, Any]
Id = Annotated[
    StrictInt | Annotated[StrictStr, Field(max_length=256)], BeforeValidator(may_be_stored)
]


class McpError(Exception):
    """A JSON-RPC error, with the HTTP status that it has where its request came alone."""

    def __init__(self, code: int, message: str, status: int = 400, data: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message} | ({"data": data} if data else {})


class Message(BaseModel):
    """A request; without `id` a notification."""

    jsonrpc: Literal["2.0"]
    method: Annotated[str, Field(max_length=256)]
    id: Id | None = None
    params: dict[str, Any] = {}

    @property
    def meta(self) -> Params:
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def progress_token(self) -> int | str | None:
        """What the client knows the progress by; None where it wants none."""
        return usable_id(self.meta.get("progressToken"))


class Token(BaseModel):
    token: Id | None


def usable_id(sent: object) -> int | str | None:
    """What a client names a request or its progress by; None where it is not usable as that."""
    try:
        return Token.model_validate({"token": sent}).token
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Version:
    """The revision that a request is written in."""

    name: str

    @property
    def is_stateless(self) -> bool:
        return self.name == STATELESS


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise McpError(PARSE_ERROR, "The request body is not valid JSON.") from error


def _not_json(constant: str) -> None:
    raise ValueError(constant)


def is_reply(sent: Any) -> bool:
    """Whether a client answers a request of ours; it gets none, and its answer is dropped."""
    return isinstance(sent, dict) and "method" not in sent and ("result" in sent or "error" in sent)


def message_of(sent: Any) -> Message:
    try:
        found = Message.model_validate(sent)
    except ValidationError as error:
        raise McpError(INVALID_REQUEST, "This is not a JSON-RPC 2.0 request.") from error
    if found.id is None and "id" in sent:
        raise McpError(INVALID_REQUEST, "The id of a request must not be null.")
    return found


def version_of(request: HttpRequest) -> Version:
    """By its header; clients of the handshake's first revisions send none."""
    name = request.headers.get("MCP-Protocol-Version", WITH_BATCHES)
    if name not in VERSIONS:
        raise unsupported_version(name)
    return Version(name)


def unsupported_version(name: str) -> McpError:
    data = {"supported": VERSIONS, "requested": name[:100]}
    return McpError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def check_envelope(request: HttpRequest, message: Message) -> None:
    """The stateless revision's: what the headers say is what the body says."""
    wanted = [META + "protocolVersion", META + "clientCapabilities"]
    if missing := [key for key in wanted if key not in message.meta]:
        raise McpError(INVALID_PARAMS, f"params._meta has no {' and no '.join(missing)}.")
    sent = {
        "MCP-Protocol-Version": message.meta[META + "protocolVersion"],
        "Mcp-Method": message.method,
    }
    if (name := message.params.get(NAMED_BY.get(message.method, ""))) is not None:
        sent["Mcp-Name"] = name
    for header, value in sent.items():
        if _decoded(request.headers.get(header, "")) != value:
            raise McpError(HEADER_MISMATCH, f"The header {header} and the body differ.")


def _decoded(header: str) -> str | None:
    """What is no printable ASCII comes as `=?base64?…?=`."""
    if not (header.startswith("=?base64?") and header.endswith("?=")):
        return header
    try:
        return base64.b64decode(header[9:-2], validate=True).decode()
    except ValueError:
        return None


def about_server() -> dict[str, Any]:
    title = settings.BOOK_TITLE
    return {"name": "book-chat", "title": title, "version": "1"}


def result(version: Version, found: dict[str, Any], ttl_ms: int | None = None) -> dict[str, Any]:
    """`found`, with what the stateless revision adds; `ttl_ms`: for how long it may be kept."""
    if not version.is_stateless:
        return found
    caching = {} if ttl_ms is None else {"ttlMs": ttl_ms, "cacheScope": "public"}
    stamp = {META + "serverInfo": about_server()}
    return found | {"resultType": "complete", "_meta": stamp} | caching


def success(message: Message, found: Reply) -> Reply:
    return {"jsonrpc": "2.0", "id": message.id, "result": found}


def failure(error: McpError, sent_id: int | str | None) -> Reply:
    return {"jsonrpc": "2.0", "id": sent_id, "error": error.body}
