"""uvicorn's HTTP protocol, with a limit on all that a connection may send, hold and wait for.

uvicorn and its parser have almost none: an endless header or trailer would be kept until memory is
full, half a head would keep its connection open for ever, and so would an answer that is not read.
What follows a request's head is never a header (trailers are dropped), and after a header `Upgrade`
nothing more is read: the parser would take what follows for another request.

What is refused here is answered by the application too, so that it has an id, a line in the log and
CORS headers: the scope's entry `REFUSED` holds the error.
"""

import asyncio
import re
import time
from typing import Any, cast
from weakref import WeakKeyDictionary

import httptools
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from chat.errors import BadRequest, RequestTimeout, Unavailable
from llm.errors import CodedError

REFUSED = "chatbackend.refused"

# What a connection may send.
MOST_HEAD_BYTES = 2**15
MOST_HEADERS = 128
# Without a byte of a body in between: chunk sizes and their extensions, trailers.
MOST_FRAMING_BYTES = 2**14
MOST_PIPELINED = 16
MOST_DROPPED_BYTES = 2**20  # after the connection's last request; the rest stays unread

# How long a client may take.
HEAD_SECONDS: float = 20
BODY_SECONDS = 30 + settings.MAX_BODY_BYTES / 2**15
UNREAD_SECONDS: float = 30  # without reading any of an answer
LINGER_SECONDS: float = 5  # to stop sending, once its last answer is sent
ENDING_SECONDS: float = 2  # for anything, when the worker is to end
SWEEP_SECONDS: float = 1

# Pause after accept, so that other workers get connections too. Otherwise the first worker to wake
# up takes all that come at once, and since they are kept open the others have nothing to do.
PAUSE_AFTER_ACCEPT_SECONDS = 50e-6
NEEDED_FOR_A_REFUSAL = re.compile(rb"(?i)\n(origin|accept|x-request-id):([\t -~]*)\r\n")
BODY_HEADERS = (b"content-length", b"transfer-encoding")


class LingeringTransport:
    """A transport that reads on after its last write, where the client may still be sending.

    Closed at once, it would answer what still comes with a reset, and the client might never see
    what was sent to it before.
    """

    def __init__(self, transport: asyncio.Transport, protocol: "Protocol") -> None:
        self._transport = transport
        self._protocol = protocol
        self.write = transport.write  # the one in every answer's way
        self.is_lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        if self.is_lingering:
            return
        lingers = self._protocol.may_be_sending and not self._transport.is_closing()
        if lingers and self._transport.can_write_eof():  # TLS cannot
            self.is_lingering = True
            self._transport.write_eof()
            self._protocol.flow.resume_reading()
        else:
            self._transport.close()


class Protocol(HttpToolsProtocol):
    transport: LingeringTransport  # type: ignore[assignment]
    since = 0.0  # when the client's time for what it is to do began, on the loop's clock
    _paused_since: float | None = None  # the same for reading an answer
    _closing_since: float | None = None
    _receiving: RequestResponseCycle | None = None  # whose body is not complete
    _in_head = True
    _has_begun = False
    # Of a head that is not complete, what came last: the parser reports a header with the next one.
    _unreported = b""
    _framing_bytes = 0
    _dropped_bytes = 0
    _is_over = False
    _is_ending = False

    # The connection ------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(Any, LingeringTransport(transport, self)))
        self.since = self.loop.time()
        connections = Connections.of(self)
        connections.start_sweeping()
        if not connections.has_room(self):
            self.refuse(Unavailable("too many connections", retry_after=1))
        if settings.WEB_CONCURRENCY > 1:
            time.sleep(PAUSE_AFTER_ACCEPT_SECONDS)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > MOST_DROPPED_BYTES:
                self.flow.pause_reading()
            return
        self._framing_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # `on_headers_complete` has dealt with it
        except httptools.HttpParserError as error:
            self._unreported = data
            cause = error.__context__
            self.refuse(cause if isinstance(cause, CodedError) else BadRequest(str(error)))
        if self._in_head and self._has_begun:
            self._unreported = data
        most = MOST_HEAD_BYTES if self._in_head else MOST_FRAMING_BYTES
        if self._framing_bytes > most:
            self.refuse(BadRequest("a head, or what frames a body, is too large"))

    def pause_writing(self) -> None:
        self._paused_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        super().resume_writing()

    @property
    def may_be_sending(self) -> bool:
        """Whether more may come from the client than what was asked for."""
        return self._is_over or self._receiving is not None

    def shutdown(self) -> None:
        """The worker is to end: complete what was asked, and give a client whose next request is
        on its way the time to send it.
        """
        self._is_ending = True
        self.since = self.loop.time()
        if self.cycle is not None:
            self.cycle.keep_alive = False

    # The parser's callbacks ----------------------------------------------------------------
    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            raise BadRequest("too many pipelined requests")
        super().on_message_begin()
        self._has_begun = True
        if self._receives():
            self.since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.headers) > MOST_HEADERS:
            raise BadRequest("too many header fields")
        if self._framing_bytes > MOST_HEAD_BYTES and self._head_bytes() > MOST_HEAD_BYTES:
            raise BadRequest("the head is too large")
        wants_upgrade = self.parser.should_upgrade()
        if wants_upgrade and any(name in BODY_HEADERS for name, _ in self.headers):
            raise BadRequest("an upgrade with a body")
        super().on_headers_complete()
        self._in_head, self._framing_bytes, self._unreported = False, 0, b""
        self._receiving = self.cycle
        self.since = self.loop.time()
        if wants_upgrade:
            self._is_over = True
        if wants_upgrade or self._is_ending:
            self.cycle.keep_alive = False

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        self._framing_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._has_begun, self._framing_bytes = True, False, 0
        self._receiving = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but without a timer for each answer: `enforce_time_limits` looks at all."""
        self.server_state.total_requests += 1
        self.since = self.loop.time()
        if self.transport.is_closing():
            return
        if self._receiving is not None and self._receiving.response_complete:
            self._is_over = True  # nobody needs the rest of this body
            self.transport.close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    # Refusals and limits -------------------------------------------------------------------
    def refuse(self, error: CodedError) -> None:
        """Answer the request that is being received with `error`, and read nothing after it."""
        if self._is_over:
            return
        self._is_over = True
        cycle = self._receiving or self._cycle_of_half_a_head()
        cycle.keep_alive = False
        if cycle.response_complete:
            self.transport.close()
        else:
            cast(dict[str, Any], cycle.scope)[REFUSED] = error
            cycle.more_body = False
            cycle.message_event.set()

    def _cycle_of_half_a_head(self) -> RequestResponseCycle:
        """What uvicorn makes once a head is complete."""
        if not self._has_begun:
            super().on_message_begin()
        reported = {name for name, _ in self.headers}
        for name, value in NEEDED_FOR_A_REFUSAL.findall(self._unreported):
            if name.lower() not in reported:
                self.headers.append((name.lower(), value.strip()))
        self.scope |= {
            "method": "-",
            "path": "-",
            "raw_path": b"-",
            "query_string": b"",
        }
        earlier, self.cycle = self.cycle, RequestResponseCycle(
            scope=self.scope,
            transport=cast(Any, self.transport),
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.pipeline.appendleft((self.cycle, self.app))
        return self.cycle

    def _receives(self) -> bool:
        """Whether it is the client's turn: to send a request or the rest of one."""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return self.cycle.more_body and not self.pipeline

    def waits_since(self) -> float | None:
        """Since when the client has kept this connection waiting, if it does."""
        if self._paused_since is not None:
            return self._paused_since
        if self.transport.is_closing() or self._receives():
            return self.since
        return None

    def enforce_time_limits(self, now: float) -> None:
        if self._paused_since is not None and now - self._paused_since > UNREAD_SECONDS:
            self.transport.abort()
        elif self.transport.is_closing():
            self._closing_since = self._closing_since or now
            limit = LINGER_SECONDS if self.transport.is_lingering else UNREAD_SECONDS
            if now - self._closing_since > limit:
                self.transport.abort()
        elif self._receives():
            self._enforce_receiving_limits(now - self.since)

    def _enforce_receiving_limits(self, seconds: float) -> None:
        limit: float
        if self._is_ending:
            limit = ENDING_SECONDS
        elif self._receiving is not None:
            limit = BODY_SECONDS
        elif self._has_begun or self.cycle is None:
            limit = HEAD_SECONDS
        else:
            limit = self.timeout_keep_alive
        if seconds <= limit:
            return
        if self._receiving is not None or self._has_begun:
            self.refuse(RequestTimeout("half a request"))
        else:
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing that an operator could change."""


class Connections:
    """A worker's connections: how many there may be, and how long each may keep it waiting."""

    most = 1000  # `chatbackend.gunicorn` sets it by what the system allows

    def __init__(self, loop: asyncio.AbstractEventLoop, members: set[Protocol]) -> None:
        self._loop = loop
        self._members = members
        self._is_sweeping = False

    @staticmethod
    def of(protocol: Protocol) -> "Connections":
        state = protocol.server_state
        if state not in _connections:
            _connections[state] = Connections(protocol.loop, cast(Any, state.connections))
        return _connections[state]

    def start_sweeping(self) -> None:
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        for each in list(self._members):
            each.enforce_time_limits(now)
        self._is_sweeping = bool(self._members)
        if self._is_sweeping:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def has_room(self, newcomer: Protocol) -> bool:
        """Whether one more may stay; those that have kept us waiting longest are closed for it."""
        if len(self._members) <= self.most:
            return True
        others = self._members - {newcomer}
        waiting = [(s, each) for each in others if (s := each.waits_since()) is not None]
        waiting.sort(key=lambda each: each[0])
        longest = waiting[: 1 + len(waiting) // 20]  # some more, since this takes a while
        for _, each in longest:
            each.transport.abort()
        return len(self._members) - len(longest) <= self.most


_connections: WeakKeyDictionary[ServerState, Connections] = WeakKeyDictionary()
