"""The application as a server sees it: Django, wrapped in what every request needs.

The wrapper gives each request an id (the client's own, where it is usable), answers a browser's
CORS preflight, adds the headers that every answer carries, writes the access line, and drops a body
that is too large before it is kept anywhere. It is plain ASGI and not a Django middleware so that
it also covers a streamed answer, which is sent after Django's middleware is done.
"""

import asyncio
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from inspect import iscoroutinefunction
from io import BytesIO
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbackend.settings")

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseNotFound
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix
from django.utils.module_loading import import_string
from loguru import logger

from chatbackend import cors
from chatbackend.body_limit import Receive, Scope, with_whole_body
from chatbackend.page_limit import LimitedPages
from chatbackend.paths import is_open_to_all, is_page

pages = LimitedPages(get_asgi_application())

from chat.checks import stop_if_misconfigured  # noqa: E402 - models need a Django that is set up
from chat.turn import heartbeat, service  # noqa: E402

stop_if_misconfigured()

type Send = Callable[[Any], Awaitable[None]]

USABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class ApiHandler(ASGIHandler):
    """Django for the API, which never blocks the event loop: with the given middleware, and without
    the thread and the signals by which Django manages a database connection for each request.
    (The API's connections belong to `chat.database`, not to requests.)
    """

    def __init__(self, middleware: Iterable[str]) -> None:
        self.middleware = middleware
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        """The given middleware instead of settings.MIDDLEWARE, which is for pages."""
        respond: Any = convert_exception_to_response(call_view)
        for name in reversed(list(self.middleware)):
            respond = convert_exception_to_response(import_string(name)(respond))
        self.respond = respond

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        event = await receive()  # with the whole body, see `with_whole_body`
        if event["type"] == "http.disconnect":
            return
        set_script_prefix(get_script_prefix(scope))
        request, response = self.create_request(scope, BytesIO(event["body"]))
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self.listen_for_disconnect(receive))
                if request is not None:
                    response = await self.respond(request)
                await self.send_response(cast(HttpResponseBase, response), send)
                listening.cancel()
        except* RequestAborted:
            pass


async def call_view(request: HttpRequest) -> HttpResponseBase:
    try:
        match = request.resolver_match = resolve(request.path_info)
    except Resolver404:  # Django's page for it would take a thread
        return HttpResponseNotFound()
    view = match.func if iscoroutinefunction(match.func) else sync_to_async(match.func)
    response: HttpResponseBase = await view(request, *match.args, **match.kwargs)
    return response


api = ApiHandler(settings.API_MIDDLEWARE)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await serve(scope, receive, send)
    elif scope["type"] == "lifespan":
        await live(receive, send)


async def live(receive: Receive, send: Send) -> None:
    """Start and end of a worker, which first completes its turns."""
    await receive()
    heartbeat.scan_for_orphans()  # the worker before this one may have been killed
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await service.finish()
    await send({"type": "lifespan.shutdown.complete"})


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    request_id = take_request_id(scope)
    begin = time.perf_counter()
    status = 0

    async def send_with_headers(event: Any) -> None:
        nonlocal status
        if event["type"] == "http.response.start":
            status = event["status"]
            event["headers"] = [*event["headers"], *extra_headers]
        try:
            await send(event)
        except RuntimeError as error:  # uvloop's error for a client that has just disconnected
            if "closed" not in str(error):
                raise

    with logger.contextualize(request_id=request_id):
        try:
            extra_headers = headers_of_every_answer(scope, request_id)
            receive = await with_whole_body(scope, receive)
            await handler_for(scope)(scope, receive, send_with_headers)
        finally:
            logger.bind(
                method=scope["method"],
                path=scope["path"],
                status=status or None,
                duration_ms=round((time.perf_counter() - begin) * 1000, 1),
                **scope.get("state", {}),
            ).log(level_of(status), "Request" if status else "Request abandoned by the client")


def handler_for(scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    if cors.is_preflight(scope["method"], scope["headers"]):
        return answer_preflight
    return pages if is_page(scope["path"]) else api


def headers_of_every_answer(scope: Scope, request_id: str) -> cors.Headers:
    found = [(b"X-Request-ID", request_id.encode())]
    if not is_open_to_all(scope["path"]):
        found += cors.headers_for(scope["headers"])
    if not is_page(scope["path"]):  # Django's own middleware adds it to pages
        found.append((b"X-Content-Type-Options", b"nosniff"))
    return found


async def answer_preflight(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"Content-Length", b"0"), *cors.preflight_headers(scope["headers"])]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


def level_of(status: int) -> str:
    return "ERROR" if status >= 500 else "INFO"


def take_request_id(scope: Scope) -> str:
    """The request's id; Django and everything behind it find it in the header X-Request-ID."""
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    usable = len(sent) == 1 and USABLE_REQUEST_ID.fullmatch(sent[0])
    request_id = sent[0] if usable else secrets.token_hex(8).encode()
    others = [(name, value) for name, value in scope["headers"] if name != b"x-request-id"]
    scope["headers"] = [*others, (b"x-request-id", request_id)]
    return request_id.decode()
