"""One client for each provider and event loop: the only importer of the openai SDK."""

import asyncio
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import httpx2

from llm import refusals
from llm.errors import ModelError, ModelMisconfigured, ModelUnavailable
from llm.providers import Provider
from llm.transport import Transport

type Clients = dict[Provider, "_Client"]

# A client's connections belong to its event loop, and making one costs 36 ms: one for each loop.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Clients] = WeakKeyDictionary()


def load_sdk() -> Any:
    """The SDK. Its import takes about as long as all else: commands that ask nobody do without, and
    servers load it before the first request.
    """
    return import_module("openai")


async def post(provider: Provider, path: str, body: dict[str, Any]) -> httpx2.Response:
    """Ask a provider; the response's body is still to be read, and to be closed.

    Raises ModelError for whatever is no success, redirects included.
    """
    client, openai = _client(provider), load_sdk()
    try:
        # `client.post` and not `chat.completions.create`, which walks over every message of the
        # prompt and costs four times as much; a test holds the body to the same. Its stream is
        # read by `llm.answers`, since the SDK's own gives up an answer for one odd frame.
        return await client.sdk.post(  # type: ignore[no-any-return]
            client.address(path),
            body=body,
            cast_to=httpx2.Response,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
    except openai.APIStatusError as error:
        raise refusals.of_response(error.response, provider) from error
    except openai.APIConnectionError as error:
        raise _of_connection(error.__cause__ or error) from error
    except (ValueError, httpx2.InvalidURL) as error:
        raise _of_connection(error) from error


def _of_connection(error: BaseException) -> ModelError:
    if isinstance(error, httpx2.NetworkError):
        return ModelUnavailable(str(error))
    # Such as a key that cannot be a header, which is not to be in the log.
    return ModelMisconfigured(f"the request cannot be sent: {type(error).__name__}")


class _Client:
    def __init__(self, provider: Provider) -> None:
        self.sdk = load_sdk().AsyncOpenAI(
            api_key=provider.api_key,
            base_url=provider.base_url,
            default_headers=_headers(provider),
            http_client=httpx2.AsyncClient(transport=Transport(), timeout=None),
            timeout=None,  # `llm.completions` limits the time
            max_retries=0,  # and retries within it
        )
        self._addresses: dict[str, str] = {}

    def address(self, path: str) -> str:
        """`path` below the base URL, whose query stays at the end (the SDK puts it before that)."""
        if path not in self._addresses:
            url = self.sdk.base_url
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
        await client.sdk.close()
