"""uvicorn's HTTP protocol, with a limit on a request's head and connections for every worker.

The parser has no limit of its own: one endless header would be kept until the memory is full.
After a header `Upgrade` it reads no body, and whatever follows would be taken for another request:
nothing more is read from such a connection.
"""

import asyncio
import time

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 2**16
BODY = (b"content-length", b"transfer-encoding")
# Pause after accept, so that other workers get connections too. Otherwise the first worker to wake
# up takes all that come at once, and since they are kept open the others have nothing to do.
PAUSE_AFTER_ACCEPT_SECONDS = 50e-6


class Protocol(HttpToolsProtocol):
    _head_bytes = 0
    _in_head = True
    _is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if settings.WEB_CONCURRENCY > 1:
            time.sleep(PAUSE_AFTER_ACCEPT_SECONDS)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._is_over = self.parser.should_upgrade()
        if self._is_over and any(name in BODY for name, _ in self.headers):
            self.send_400_response("A request with a body cannot ask for an upgrade.")
            return
        super().on_headers_complete()
        if self._is_over:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        if not self.transport.is_closing():
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing that an operator could change."""
