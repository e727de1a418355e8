"""Django as ASGI applications: one for pages, one for the API, which needs far less of it."""

import asyncio
from collections.abc import Iterable, Mapping
from inspect import iscoroutinefunction
from io import BytesIO
from typing import IO, Any, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import exceptions
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseNotFound
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix
from django.utils.module_loading import import_string

from chat.errors import BadRequest


class PagesHandler(ASGIHandler):
    """Raises BadRequest for what Django cannot make a request of, where it would crash or answer
    in HTML.
    """

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None]:
        if scope["query_string"].count(b"&") >= settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
            raise BadRequest("too many fields in the query")
        public = dict(scope) | {"path": settings.PUBLIC_PATH + scope["path"]}  # as Django wants it
        try:
            request, _ = super().create_request(public, body_file)
        except exceptions.BadRequest as error:
            raise BadRequest(str(error)) from error
        if request is None:
            raise BadRequest("a header or the query is not text")
        if r"\000" in request.META.get("HTTP_COOKIE", ""):  # as cookies write NUL
            raise BadRequest("a cookie with NUL, which PostgreSQL does not look up")
        return request, None


class ApiHandler(PagesHandler):
    """Never blocks the event loop: with the given middleware, and without the thread and the
    signals by which Django manages a database connection for each request. (The API's connections
    belong to `chat.database`, not to requests.)
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

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        event = await receive()  # with the whole body, see `chatbackend.body_limit`
        if event["type"] == "http.disconnect":
            return
        set_script_prefix(get_script_prefix(scope))
        request, _ = self.create_request(scope, BytesIO(event["body"]))
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self.listen_for_disconnect(receive))
                response = await self.respond(request)
                await self.send_response(response, send)
                listening.cancel()
        except* exceptions.RequestAborted:
            pass


async def call_view(request: HttpRequest) -> HttpResponseBase:
    try:
        match = request.resolver_match = resolve(request.path_info)
    except Resolver404:  # Django's page for it would take a thread
        return HttpResponseNotFound()
    view = match.func if iscoroutinefunction(match.func) else sync_to_async(match.func)
    return cast(HttpResponseBase, await view(request, *match.args, **match.kwargs))
