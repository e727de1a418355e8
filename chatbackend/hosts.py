"""ALLOWED_HOSTS for the API, which does without Django's CommonMiddleware."""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

# Balancers probe by the machine's address; these answers tell nothing.
ANY_HOST = ("/health", "/health/ready")


@async_only_middleware
def allowed_hosts_middleware(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    async def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in ANY_HOST:
            request.get_host()  # raises DisallowedHost
        return await get_response(request)

    return middleware
