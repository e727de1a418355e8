"""The middleware that the API and the pages share; async only, so that it holds no thread."""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from chat.api.problems import problem_for
from chat.api.refusals import Sentence
from chatbackend.paths import has_html_errors

type Handler = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

# Load balancers probe by the machine's address; these answers disclose nothing.
ANY_HOST = ("/health", "/health/ready")


@async_only_middleware
def allowed_hosts_middleware(get_response: Handler) -> Handler:
    """ALLOWED_HOSTS for the API, which does without Django's CommonMiddleware."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in ANY_HOST:
            request.get_host()  # raises DisallowedHost
        return await get_response(request)

    return middleware


@async_only_middleware
def problem_middleware(get_response: Handler) -> Handler:
    """Turn what Django or ninja refuses before our code runs (an unknown path, method or host, a
    crash) into a problem document.
    """

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        response = await get_response(request)
        if (
            response.status_code < 400
            or "json" in response.headers.get("Content-Type", "")  # the API's own answer
            or isinstance(response, Sentence)
            or has_html_errors(request.path_info)
        ):
            return response
        return problem_for(request, response)

    return middleware
