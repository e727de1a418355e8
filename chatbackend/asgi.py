"""The application as a server sees it: Django, wrapped in what every request needs.

The wrapper gives each request an id (the client's own, where it is usable), answers a browser's
CORS preflight, adds the headers that every answer carries, writes the access line, and answers what
no Django handler could. It is plain ASGI and not a Django middleware so that it also covers a
streamed answer, which is sent after Django's middleware is done.
"""

import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbackend.settings")

import django
from django.conf import settings
from loguru import logger

from chatbackend import cors
from chatbackend.paths import is_open_to_all, is_page, without_prefix

django.setup()

from chat.api.problems import problem_document  # noqa: E402 - needs a Django that is set up
from chat.checks import stop_if_misconfigured  # noqa: E402
from chat.errors import InternalError  # noqa: E402
from chat.turn import heartbeat, service  # noqa: E402
from chat.webhooks import delivery  # noqa: E402
from chatbackend.body_limit import INCOMPLETE, Receive, Scope, with_whole_body  # noqa: E402
from chatbackend.handlers import ApiHandler, PagesHandler  # noqa: E402
from chatbackend.http_protocol import REFUSED  # noqa: E402
from chatbackend.page_limit import LimitedPages  # noqa: E402
from llm.clients import load_sdk  # noqa: E402
from llm.errors import CodedError  # noqa: E402

stop_if_misconfigured()
load_sdk()
# An extra, which costs its memory only where it is wanted.
telemetry = import_module("chatbackend.telemetry") if settings.OTEL_EXPORTER_OTLP_ENDPOINT else None

type Send = Callable[[Any], Awaitable[None]]

USABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
CLOSE = (b"Connection", b"close")
STRICT_TRANSPORT_SECURITY = f"max-age={settings.SECURE_HSTS_SECONDS}".encode()

pages = LimitedPages(PagesHandler())
api = ApiHandler(settings.API_MIDDLEWARE)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        if settings.PUBLIC_PATH:
            scope["path"] = without_prefix(scope["path"], settings.PUBLIC_PATH)
        with telemetry.continued(scope["headers"]) if telemetry else nullcontext():
            await serve(scope, receive, send)
    elif scope["type"] == "lifespan":
        await live(receive, send)


async def live(receive: Receive, send: Send) -> None:
    """Start and end of a worker, which first completes its turns."""
    await receive()
    if telemetry:
        telemetry.start()
    heartbeat.scan_for_orphans()  # the worker before this one may have been killed
    delivery.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await service.finish()
    if telemetry:
        await telemetry.finish()
    await send({"type": "lifespan.shutdown.complete"})


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    request_id = take_request_id(scope)
    begin = time.perf_counter()
    status = 0

    async def send_with_headers(event: Any) -> None:
        nonlocal status
        if event["type"] == "http.response.start":
            status = event["status"]
            event["headers"] = with_common_headers(event["headers"], common_headers, scope)
        try:
            await send(event)
        except RuntimeError as error:  # uvloop's error for a client that has just disconnected
            if "closed" not in str(error):
                raise

    with logger.contextualize(request_id=request_id):
        try:
            common_headers = headers_of_every_answer(scope, request_id)
            await respond(scope, receive, send_with_headers)
        except Exception as error:
            if status:
                raise
            await refuse(error, scope, request_id, send_with_headers)
        finally:
            logger.bind(
                method=scope["method"],
                path=scope["path"],
                status=status or None,
                duration_ms=round((time.perf_counter() - begin) * 1000, 1),
                **scope.get("state", {}),
            ).log(
                level_of(status, scope),
                "Request" if status else "Request abandoned by the client",
            )


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    receive = await with_whole_body(scope, receive)
    if REFUSED in scope:
        raise scope[REFUSED]
    if cors.is_preflight(scope["method"], scope["headers"]):
        await answer(
            send, 200, [(b"Content-Length", b"0"), *cors.preflight_headers(scope["headers"])]
        )
    elif is_page(scope["path"]):
        await pages(scope, receive, send)
    else:
        await api(scope, receive, send)


async def refuse(error: Exception, scope: Scope, request_id: str, send: Send) -> None:
    """Answer with a problem document: what the protocol refused, or a crash outside of Django."""
    if not isinstance(error, CodedError):
        logger.opt(exception=error).error("Unforeseen error")
        error = InternalError()
    accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
    problem = problem_document(error, request_id, accept, scope["path"])
    scope.setdefault("state", {}).update(code=error.code, reason=str(error))
    headers = [(name.encode(), value.encode("latin-1")) for name, value in problem.items()]
    headers.append(CLOSE)
    await answer(send, problem.status_code, headers, problem.content)


async def answer(send: Send, status: int, headers: cors.Headers, body: bytes = b"") -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def headers_of_every_answer(scope: Scope, request_id: str) -> cors.Headers:
    found = [(b"X-Request-ID", request_id.encode())]
    if not is_open_to_all(scope["path"]):
        found += cors.headers_for(scope["headers"])
    if not is_page(scope["path"]):  # Django's own middleware adds them to pages
        found.append((b"X-Content-Type-Options", b"nosniff"))
        if settings.SECURE_HSTS_SECONDS and came_by_tls(scope):
            found.append((b"Strict-Transport-Security", STRICT_TRANSPORT_SECURITY))
    return found


def came_by_tls(scope: Scope) -> bool:
    """Whether the client's own connection is encrypted; TLS usually ends at a proxy."""
    if scope["scheme"] == "https":
        return True
    return bool(settings.NUM_PROXIES) and any(
        name == b"x-forwarded-proto" and value.partition(b",")[0].strip() == b"https"
        for name, value in scope["headers"]
    )


def with_common_headers(own: cors.Headers, common: cors.Headers, scope: Scope) -> cors.Headers:
    """An answer's headers. What the API says is for one client, unless it says otherwise."""
    headers = [*own, *common]
    if not is_page(scope["path"]) and not any(name.lower() == b"cache-control" for name, _ in own):
        headers.append((b"Cache-Control", b"no-store"))
    if INCOMPLETE in scope:
        headers.append(CLOSE)
    return headers


def level_of(status: int, scope: Scope) -> str:
    if status < 500:
        return "INFO"
    is_limit_of_ours = scope.get("state", {}).get("code") == "budget_exhausted"
    return "WARNING" if is_limit_of_ours else "ERROR"


def take_request_id(scope: Scope) -> str:
    """The request's id; Django and everything behind it find it in the header X-Request-ID."""
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    usable = len(sent) == 1 and USABLE_REQUEST_ID.fullmatch(sent[0])
    request_id = sent[0] if usable else secrets.token_hex(8).encode()
    others = [(name, value) for name, value in scope["headers"] if name != b"x-request-id"]
    scope["headers"] = [*others, (b"x-request-id", request_id)]
    return request_id.decode()
