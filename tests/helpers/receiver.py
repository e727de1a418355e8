"""A receiver of webhooks on loopback: it checks signatures, keeps bodies, and refuses at will."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = b"a secret of 24 bytes...."
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Receiver:
    """Answers with `statuses` in turn, then with 204; `hold` cleared: only once it is set again."""

    def __init__(self) -> None:
        self.received: list[tuple[Message, bytes]] = []
        self.statuses: list[int] = []
        self.location = "/elsewhere"
        self.answer = b""
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.headers, body))
                receiver.hold.wait(20)
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", receiver.location)
                self.end_headers()
                self.wfile.write(receiver.answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook"

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
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    threading.Thread(target=receiver.http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        receiver.http.shutdown()
        receiver.http.server_close()
