"""One client for each provider and event loop: the only importer of the openai SDK.

It knows how a service is addressed. Requests are made without it, since its own way costs more
than all the rest of a call.
"""

import asyncio
import json
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import httpx2

from llm import refusals
from llm.errors import ModelMisconfigured
from llm.providers import Provider
from llm.transport import Response, Transport

type Clients = dict[Provider, "_Client"]

# A client's connections belong to its event loop, and making one costs 36 ms: one for each loop.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Clients] = WeakKeyDictionary()


def load_sdk() -> Any:
    """The SDK. Its import takes about as long as all else: commands that ask nobody do without, and
    servers load it before the first request.
    """
    return import_module("openai")


async def post(provider: Provider, path: str, body: dict[str, Any]) -> Response:
    """Ask a provider; the response's body is still to be read, and to be closed.

    Raises ModelError for whatever is no success, redirects included.
    """
    client = _client(provider)
    if not client.is_sendable:
        raise ModelMisconfigured("the request cannot be sent: a header is not ASCII")
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    response = await client.transport.post(client.address(path), client.headers, content)
    if response.is_success:
        return response
    text = _text(await response.read(), response.charset)
    raise refusals.of_response(response.status, response.headers, text, provider)


def _text(body: bytes, charset: str) -> str:
    try:
        return str(body, charset, "replace")
    except (LookupError, ValueError):  # no charset, or none of texts
        return str(body, "utf-8", "replace")


class _Client:
    """How the SDK addresses a service: where, and with which headers."""

    def __init__(self, provider: Provider) -> None:
        sdk = load_sdk().AsyncOpenAI(
            api_key=provider.api_key,
            base_url=provider.base_url,
            # It asks nobody; with a transport of its own it would make a TLS context for that.
            http_client=httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport()),
        )
        given = sdk.auth_headers | sdk.default_headers | _headers(provider)
        self.headers = {name: value for name, value in given.items() if isinstance(value, str)}
        self.is_sendable = "".join(self.headers.values()).isascii()
        self.transport = Transport()
        self._base_url = sdk.base_url
        self._addresses: dict[str, str] = {}

    def address(self, path: str) -> str:
        """`path` below the base URL, whose query stays at the end (the SDK puts it before that)."""
        if path not in self._addresses:
            url = self._base_url
            base, mark, query = url.raw_path.partition(b"?")
            whole = base.removesuffix(b"/").removesuffix(path.encode()) + path.encode()
            self._addresses[path] = str(url.copy_with(raw_path=whole + mark + query, fragment=None))
        return self._addresses[path]


def _client(provider: Provider) -> _Client:
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if provider not in clients:
        clients[provider] = _Client(provider)
    return clients[provider]


def _headers(provider: Provider) -> dict[str, str]:
    # An answer is small; packed it would only come later.
    headers = {"Accept-Encoding": "identity"}
    if "api-version=" in (provider.base_url or ""):  # Azure takes no key as a bearer's
        headers["api-key"] = provider.api_key
    return headers


async def close_clients() -> None:
    """Close this loop's connections to the models."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.transport.close()
