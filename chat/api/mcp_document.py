"""MCP in the OpenAPI document: the envelope of its messages, and examples of them.

What is in the envelope, MCP's own schema says.
"""

from typing import Any, Literal

from ninja import Field, Schema
from pydantic import TypeAdapter

from chat.api.mcp_messages import VERSIONS, Id, Message
from chat.api.media_types import JSON


# Answers ------------------------------------------------------------------------------------
class McpErrorOut(Schema):
    code: int
    message: str
    data: dict[str, Any] | None = None


class McpFailure(Schema):
    jsonrpc: Literal["2.0"]
    id: int | str | None = Field(description="The request's; null where it could not be read.")
    error: McpErrorOut


class McpSuccess(Schema):
    jsonrpc: Literal["2.0"]
    id: int | str = Field(description="The request's.")
    result: dict[str, Any]


McpAnswers = McpSuccess | McpFailure | list[McpSuccess | McpFailure]


class McpRemote(Schema):
    type: Literal["streamable-http"]
    url: str
    supportedProtocolVersions: list[str]  # noqa: N815 - MCP's own name


class McpServerCard(Schema):
    name: str
    title: str
    version: str
    remotes: list[McpRemote]


EVENT = {
    "type": "object",
    "description": "A server-sent event whose data is a message: progress, or at last the answer.",
    "required": ["event", "data"],
    "properties": {"event": {"const": "message"}, "data": {"type": "string"}},
}


# Requests -----------------------------------------------------------------------------------
MESSAGE: dict[str, Any] = Message.model_json_schema() | {
    "description": "A request; without `id` a notification.",
}
MESSAGE["properties"]["id"] = TypeAdapter(Id).json_schema()
REPLIES: list[dict[str, Any]] = [
    {
        "title": f"ReplyWith{name.title()}",
        "description": "A client's reply to a request of the server's: dropped.",
        "type": "object",
        "required": [name],
        "properties": {name: {}},
    }
    for name in ("result", "error")
]
BATCH: dict[str, Any] = {
    "title": "Batch",
    "description": "Of the revision 2025-03-26 alone.",
    "type": "array",
    "minItems": 1,
    "maxItems": 10,
    "items": {"type": "object"},
}


def _example(method: str, **params: Any) -> dict[str, Any]:
    return {"value": {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}}


EXAMPLES = {
    "initialize": _example("initialize", protocolVersion="2025-11-25", capabilities={}),
    "tools": _example("tools/list"),
    "search": _example("tools/call", name="search", arguments={"query": "What is a node?"}),
    "ask": _example("tools/call", name="ask", arguments={"question": "What is a node?"}),
    "pages": _example("resources/list"),
}
VERSION_HEADER = {
    "name": "MCP-Protocol-Version",
    "in": "header",
    "description": "The revision that the message is written in; without it 2025-03-26.",
    "schema": {"type": "string", "enum": VERSIONS},
}
REQUEST: dict[str, Any] = {
    "parameters": [VERSION_HEADER],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"anyOf": [MESSAGE, *REPLIES, BATCH]}, "examples": EXAMPLES},
        },
    },
}
