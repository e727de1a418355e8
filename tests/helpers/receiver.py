"""A receiver of webhooks on loopback: it checks signatures, keeps bodies, and refuses at will."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.helpers.serving import serving

KEY = b"a secret of 24 bytes...."
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Receiver:
    """Answers with `statuses` in turn, 0 being a closed connection, and then with 204.

    With `hold` cleared it answers only once that is set again. `certificate` is a file with a key
    and a certificate, for HTTPS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.received: list[tuple[Message, bytes]] = []
        self.statuses: list[int] = []
        self.location = "/elsewhere"
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.headers, body))
                receiver.hold.wait(20)
                if status := receiver.statuses.pop(0) if receiver.statuses else 204:
                    self.send_response(status)
                    self.send_header("Location", receiver.location)
                    self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}/hook"

    def bodies(self) -> list[Any]:
        """Each must be signed."""
        for headers, body in self.received:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
            assert headers["webhook-signature"] == f"v1,{digest}"
        return [json.loads(body) for _, body in self.received]

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]


@contextmanager
def receiving(certificate: Path | None = None) -> Iterator[Receiver]:
    receiver = Receiver(certificate)
    with serving(receiver.http):
        try:
            yield receiver
        finally:
            receiver.hold.set()
