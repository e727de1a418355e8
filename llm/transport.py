"""HTTP to models' services, on aiohttp: no redirects or cookies, bounded bodies, our errors.

The openai SDK's own connections read and decompress bodies of any size.
"""

import asyncio
import time
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from django.conf import settings
from httpx2 import create_ssl_context

from llm.errors import ModelMisconfigured, ModelUnavailable

type Decode = Callable[[bytes], Iterable[bytes]]

CONNECT_SECONDS = 5
MAX_CONNECTIONS = 1000
IDLE_SECONDS = 5  # many servers drop a connection that is idle for longer
# A chunk of a stream has about 300 bytes for each token; thoughts may come beside the answer's.
MAX_BODY_BYTES = 16 * 2**20
BYTES_PER_TOKEN = 2**10
MAX_ERROR_BYTES = 64 * 2**10
PIECE_BYTES = 8 * 2**10  # that is handed on at once
# Where more comes at once than a piece, it is read at a pace: after each piece a pause, so many
# times as long as the piece took, one such answer after the other. So floods take a quarter of a
# worker's time, however many there are, and not that of its readers.
PAUSES: float = 3

# Whatever is not HTTP surfaces as one of these, depending on where aiohttp or uvloop meets it.
FAILURES = (aiohttp.ClientError, OSError, RuntimeError, ValueError)


class Transport:
    """Connections to one service. Belongs to one event loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._pace = asyncio.Lock()
        self._proxies = getproxies()

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> "Response":
        """The response, whatever its status; its body is still to be read, and to be closed.

        Raises ModelUnavailable or ModelMisconfigured.
        """
        session = self._session or self._open()
        try:
            response = await session.post(
                url,
                headers=headers,
                data=content,
                allow_redirects=False,
                proxy=self._proxy(url) if self._proxies else None,
            )
        except aiohttp.ClientConnectorError as error:
            raise ModelUnavailable(_words(error)) from error
        except ValueError as error:  # such as a key with a line end, which is not to be in the log
            words = f"the request cannot be sent: {type(error).__name__}"
            raise ModelMisconfigured(words) from error
        except FAILURES as error:
            raise ModelUnavailable(_words(error)) from error
        return Response(response, self._pace)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS, ssl=create_ssl_context()
            ),
            # The whole call's time is limited by `llm.completions`.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self._session

    def _proxy(self, url: str) -> str | None:
        """By the usual variables of the environment: HTTPS_PROXY, NO_PROXY and so on."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        if not proxy or proxy_bypass(parts.hostname or ""):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    async def close(self) -> None:
        if self._session:
            await self._session.close()


class Response:
    """Iterated over, its body in pieces, decompressed, up to a limit; `is_cut` says that there was
    more. A body that is broken off raises ModelUnavailable, unless the status is that of a refusal.
    """

    def __init__(self, response: aiohttp.ClientResponse, pace: asyncio.Lock) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers  # by names in any case
        self.charset = response.charset or "utf-8"
        self.is_success = 200 <= response.status < 300
        self.is_cut = False
        self._pace = pace
        self._response = response
        self._left = MAX_ERROR_BYTES
        if self.is_success:
            self._left = MAX_BODY_BYTES + BYTES_PER_TOKEN * settings.LLM_MAX_OUTPUT_TOKENS

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces():
                if len(piece) > self._left:
                    self.is_cut = True
                    yield piece[: self._left]
                    return
                self._left -= len(piece)
                begin = time.perf_counter()
                yield piece
                if len(piece) == PIECE_BYTES:
                    await self._pause(time.perf_counter() - begin)
        except (*FAILURES, zlib.error) as error:
            if self.is_success:  # of a refusal the status says enough
                raise ModelUnavailable(f"broken off: {_words(error)}") from error

    async def read(self) -> bytes:
        """The whole body; ends the response."""
        try:
            return b"".join([piece async for piece in self])
        finally:
            self.close()

    async def _pause(self, seconds: float) -> None:
        async with self._pace:
            await asyncio.sleep(PAUSES * seconds)

    def _pieces(self) -> AsyncIterator[bytes]:
        pieces = self._response.content.iter_chunked(PIECE_BYTES)
        encoding = self.headers.get("Content-Encoding", "").lower()
        return _decoded(pieces, _decoder(encoding)) if encoding else aiter(pieces)

    def close(self) -> None:
        """End the connection if the body was not read to its end; else it is free for others."""
        self._response.close()


async def _decoded(pieces: AsyncIterable[bytes], decode: Decode) -> AsyncIterator[bytes]:
    async for compressed in pieces:
        for piece in decode(compressed):
            yield piece


def _decoder(encoding: str) -> Decode:
    """Undoes a Content-Encoding, in pieces of bounded size."""
    decode: Decode = lambda compressed: (compressed,)  # noqa: E731
    for name in reversed([word.strip() for word in encoding.split(",")]):
        if name in ("gzip", "x-gzip", "deflate"):
            decode = _after(decode, _Inflate())
        elif name not in ("", "identity"):
            raise aiohttp.ClientPayloadError(f"compressed as {name[:40]}, which was not asked for")
    return decode


def _after(first: Decode, second: Decode) -> Decode:
    return lambda compressed: (out for piece in first(compressed) for out in second(piece))


class _Inflate:
    """gzip (of any number of members), zlib, or the bare format that some servers send."""

    def __init__(self) -> None:
        self._member: zlib._Decompress | None = None

    def __call__(self, compressed: bytes) -> Iterator[bytes]:
        while compressed:
            member = self._member or _member(compressed[0])
            piece = b""
            while compressed or len(piece) == PIECE_BYTES:
                piece = member.decompress(compressed, PIECE_BYTES)
                compressed = member.unconsumed_tail
                yield piece
            compressed = member.unused_data
            self._member = None if member.eof else member


def _member(first_byte: int) -> "zlib._Decompress":
    is_bare = first_byte != 0x1F and first_byte & 0x0F != 8
    return zlib.decompressobj(-zlib.MAX_WBITS if is_bare else 32 + zlib.MAX_WBITS)


def _words(error: Exception) -> str:
    """Without the address that aiohttp names, which may be a proxy's with its password."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{type(error).__name__}: {error.status} {error.message}"
    return f"{type(error).__name__}: {error}"
