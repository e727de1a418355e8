"""A language model whose words are scripted: an OpenAI-compatible server on loopback."""

import hashlib
import json
import math
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    """What the model does with one request.

    `body` replaces the whole answer; `status`, `headers` go with it. `delay` is in seconds, before
    the first byte; `drop` ends the connection without an answer. Where a stream is asked for, the
    text comes in `chunks` (by default word by word), `gap` seconds apart; `cut` ends the
    connection after that many of them. `hold` waits for `release()` before the first byte, or
    after `hold_after` chunks. `pieces` are sent as the body, as they are and without end if they
    have none; `raw` is sent in place of any HTTP, and then the connection is closed. In answer to a
    request for embeddings the texts do not count, and the rest does.
    """

    text: str | None = "A scripted answer."
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    drop: bool = False
    usage: dict[str, int] | None = field(default_factory=lambda: dict(USAGE))
    finish_reason: str | None = "stop"
    message: dict[str, Any] | None = None
    chunks: tuple[Any, ...] = ()
    gap: float = 0
    cut: int | None = None
    hold: bool = False
    hold_after: int | None = None
    pieces: Iterable[bytes] | None = None
    raw: Iterable[bytes] | None = None

    def completion(self, model: str) -> dict[str, Any]:
        message = self.message or {"role": "assistant", "content": self.text}
        return self._event("chat.completion", model) | {
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
            **({"usage": self.usage} if self.usage else {}),
        }

    def embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        tokens = sum(len(text.split()) for text in texts)
        return {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": number, "embedding": word_vector(text)}
                for number, text in enumerate(texts)
            ],
            **({"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if self.usage else {}),
        }

    def events(self, model: str) -> Iterator[dict[str, Any]]:
        """A streamed answer's content chunks."""
        chunks = self.chunks or tuple((self.text or "").replace(" ", " \0").split("\0"))
        for chunk in chunks:
            delta = chunk if isinstance(chunk, dict) else {"content": chunk}
            yield self._chunk(model, [{"index": 0, "delta": delta, "finish_reason": None}])

    def last_events(self, model: str) -> Iterator[dict[str, Any]]:
        yield self._chunk(model, [{"index": 0, "delta": {}, "finish_reason": self.finish_reason}])
        if self.usage:
            yield self._chunk(model, []) | {"usage": self.usage}

    def _chunk(self, model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._event("chat.completion.chunk", model) | {"choices": choices}

    def _event(self, kind: str, model: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-scripted",
            "object": kind,
            "created": 1_700_000_000,
            "model": model,
        }


type Decision = Callable[[dict[str, Any]], Reply]  # by the request's body


def word_vector(text: str, dimensions: int = 256) -> list[float]:
    """Texts with words in common, be they inflected, are close: each word adds in its direction."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.casefold()) or [text]:
        stem = word[:5].encode("utf-8", "replace")
        number = int.from_bytes(hashlib.blake2b(stem, digest_size=4).digest())
        vector[number % dimensions] += 1 if number >> 16 & 1 else -1
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else [1.0, *vector[1:]]


def frames(*data: Any, end: str = "\n\n", done: bool = True, **reply: Any) -> Reply:
    """A stream of these: an object as an event's data, a string as it is."""
    lines = [each if isinstance(each, str) else f"data: {json.dumps(each)}" for each in data]
    body = "".join(f"{line}{end}" for line in [*lines, *(["data: [DONE]"] if done else [])])
    return Reply(body=body.encode(), headers={"Content-Type": "text/event-stream"}, **reply)


def chunk(content: Any = None, finish_reason: Any = None, **delta: Any) -> dict[str, Any]:
    """A chunk of a stream; `delta` are further fields beside the content."""
    fields = ({} if content is None else {"content": content}) | delta
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def refusal(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI words it."""
    error = {"error": {"message": message, "type": "error", "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps(error).encode(), headers=named)


class ScriptedModel:
    """`says(...)` sets the replies to come (the last one repeats); `requests` keeps what came.

    `decides(...)` sets a function from a request's body to the reply instead. Embeddings have
    replies (`embeds(...)`, each a reply or such a function; vectors by default) and requests of
    their own.
    """

    def __init__(self) -> None:
        self.server = Upstream(self)
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.forget()
        # Its end is noticed at the next poll.
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def forget(self) -> None:
        self.released.set()  # those that still wait belong to an earlier test
        self.released = threading.Event()
        self.replies = [Reply()]
        self.decide: Decision | None = None
        self.requests: list[dict[str, Any]] = []
        self.embedding_replies: list[Reply | Decision] = [Reply()]
        self.embedding_requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.hung_up: list[float] = []  # when callers went away, in monotonic seconds
        self.spoke: dict[str, float] = {}  # when it said its first word to each question

    def says(self, *replies: Reply | str) -> None:
        self.replies = [Reply(each) if isinstance(each, str) else each for each in replies]

    def decides(self, decide: Decision) -> None:
        self.decide = decide

    def embeds(self, *replies: Reply | Decision) -> None:
        self.embedding_replies = list(replies)

    def release(self) -> None:
        """Let those go on who hold."""
        self.released.set()

    def wait_for_requests(self, count: int) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while len(self.requests) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.requests) >= count

    @property
    def prompt(self) -> list[dict[str, str]]:
        """The messages of the last request."""
        messages: list[dict[str, str]] = self.requests[-1]["messages"]
        return messages

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        with self.lock:
            self.requests.append(body)
            self.headers.append(headers)
            if self.decide:
                return self.decide(body)
            return _next(self.replies)

    def take_embedding(self, body: dict[str, Any]) -> Reply:
        with self.lock:
            self.embedding_requests.append(body)
            reply = _next(self.embedding_replies)
            return reply if isinstance(reply, Reply) else reply(body)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def _next[R](replies: list[R]) -> R:
    return replies.pop(0) if len(replies) > 1 else replies[0]


class Handler(BaseHTTPRequestHandler):
    server: "Upstream"
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the caller may hang up
            super().handle()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        scripted = self.server.scripted
        self.hung_up, self.released = scripted.hung_up, scripted.released
        is_embedding = self.path.partition("?")[0].endswith("/embeddings")
        if is_embedding:
            reply = scripted.take_embedding(body)
        else:
            scripted.paths.append(self.path)
            reply = scripted.take(body, {k.lower(): v for k, v in self.headers.items()})
        if reply.hold and reply.hold_after is None:
            self.wait(PATIENCE_SECONDS, self.released)
        self.wait(reply.delay)
        if reply.drop:
            self.close_connection = True
        elif reply.raw is not None:
            self.close_connection = True
            for part in reply.raw:
                self.wfile.write(part)
        elif reply.pieces is not None:
            self.chunked(reply, reply.pieces)
        elif body.get("stream") and reply.body is None and reply.status == 200:
            self.stream(reply, body)
        else:
            content = reply.body
            if content is None:
                answer = reply.embeddings(body) if is_embedding else reply.completion(body["model"])
                content = json.dumps(answer).encode()
            headers = {"Content-Type": "application/json"} | reply.headers
            self.head(reply.status, headers | {"Content-Length": str(len(content))})
            self.wfile.write(content)

    def stream(self, reply: Reply, body: dict[str, Any]) -> None:
        content_type = {"Content-Type": "text/event-stream"}
        self.head(200, content_type | {"Transfer-Encoding": "chunked"} | reply.headers)
        for number, event in enumerate(reply.events(body["model"])):
            if number == reply.cut:
                self.close_connection = True
                return
            if number == reply.hold_after:
                self.wait(PATIENCE_SECONDS, self.released)
            elif number:
                self.wait(reply.gap)
            else:
                self.server.scripted.spoke[body["messages"][-1]["content"]] = time.time()
            self.event(json.dumps(event))
        for event in reply.last_events(body["model"]):
            if "usage" not in event or body.get("stream_options") == {"include_usage": True}:
                self.event(json.dumps(event))
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def chunked(self, reply: Reply, pieces: Iterable[bytes]) -> None:
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        self.head(reply.status, headers | reply.headers)
        for number, piece in enumerate(pieces):
            self.wait(reply.gap if number else 0)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def event(self, data: str) -> None:
        content = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def wait(self, seconds: float, released: threading.Event | None = None) -> None:
        """As long as that or until released; ends the thread when the caller goes away."""
        end = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            if released and released.is_set():
                return
            readable = poll.poll(min(left, 0.1) * 1000)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.hung_up.append(time.monotonic())
                raise ConnectionResetError

    def log_message(self, *args: object) -> None:
        pass


class Upstream(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # hundreds may come at once

    def __init__(self, scripted: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripted = scripted

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a caller that went away, again, when the rest was to be sent


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    try:
        yield model
    finally:
        model.close()
