"""A language model whose words are scripted: an OpenAI-compatible server on loopback."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass(frozen=True)
class Reply:
    """What the model does with one request.

    `body` replaces the whole answer; `status`, `headers` go with it. `delay` is in seconds, before
    the first byte. `drop` ends the connection without an answer.
    """

    text: str | None = "A scripted answer."
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    drop: bool = False
    usage: dict[str, int] | None = field(default_factory=lambda: dict(USAGE))
    finish_reason: str = "stop"
    message: dict[str, Any] | None = None

    def completion(self, model: str) -> dict[str, Any]:
        message = self.message or {"role": "assistant", "content": self.text}
        return {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
        } | ({"usage": self.usage} if self.usage else {})


def refusal(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI words it."""
    error = {"error": {"message": message, "type": "error", "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps(error).encode(), headers=named)


class ScriptedModel:
    """`says(...)` sets the replies to come (the last one repeats); `requests` keeps what came."""

    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.lock = threading.Lock()
        self.forget()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        self.replies = [Reply()]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    def says(self, *replies: Reply | str) -> None:
        self.replies = [Reply(each) if isinstance(each, str) else each for each in replies]

    @property
    def prompt(self) -> list[dict[str, str]]:
        """The messages of the last request."""
        return self.requests[-1]["messages"]

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        with self.lock:
            self.requests.append(body)
            self.headers.append(headers)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(scripted) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = scripted.take(body, {k.lower(): v for k, v in self.headers.items()})
                time.sleep(reply.delay)
                if reply.drop:
                    self.close_connection = True
                    return
                content = reply.body
                if content is None:
                    content = json.dumps(reply.completion(body["model"])).encode()
                self.send_response(reply.status)
                headers = {"Content-Type": "application/json"} | reply.headers
                for name, value in (headers | {"Content-Length": str(len(content))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(Handler):
            def handle(self) -> None:
                with suppress(BrokenPipeError, ConnectionResetError):  # the caller may hang up
                    super().handle()

        return Quiet


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    try:
        yield model
    finally:
        model.close()
