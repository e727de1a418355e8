"""The readers' chat for any page: one script, and the modules (in `widget/`) that it loads.

`/widget.js` is small, knows this server's settings and is asked for anew every few minutes; the
modules' address holds a digest of them all, so that browsers keep them for good.
"""

import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from rjsmin import jsmin

from llm.providers import is_demonstration

FOLDER = settings.BASE_DIR / "widget"
LOADER = "loader.js"
CONTENT_TYPE = "text/javascript; charset=utf-8"
LOADER_SECONDS = 300
FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Script:
    content: bytes
    compressed: bytes


@cache
def scripts() -> dict[str, Script]:
    """Each file of the widget by its name, such as `vendor/marked-1.0/marked.esm.js`."""
    found = {}
    for file in sorted(path for path in FOLDER.rglob("*") if path.suffix in (".js", ".mjs")):
        name = file.relative_to(FOLDER).as_posix()
        content = file.read_bytes()
        if not name.startswith("vendor/"):  # those carry their licence
            content = jsmin(content)  # a fifth of what readers would load
        found[name] = Script(content, gzip.compress(content, mtime=0))
    return found


@cache
def release() -> str:
    """The digest in the modules' addresses: a new one whenever any of them changes."""
    digest = hashlib.sha256()
    for name, script in scripts().items():
        digest.update(f"{name} {len(script.content)} ".encode() + script.content)
    return digest.hexdigest()[:16]


@csrf_exempt  # a POST gets 405, not an error about a missing token
@require_safe
def loader(request: HttpRequest) -> HttpResponseBase:
    server = {
        "path": settings.PUBLIC_PATH,
        "module": f"/widget/{release()}/book-chat.js",
        "demonstration": is_demonstration(),
        "messageChars": settings.CHAT_MESSAGE_MAX_CHARS,
        "passageChars": settings.CHAT_SELECTED_TEXT_MAX_CHARS,
    }
    source = scripts()[LOADER].content.decode()
    content = source.replace('"SERVER"', json.dumps(server)).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    response = _sent(HttpResponse(content), f"public, max-age={LOADER_SECONDS}")
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response


@csrf_exempt
@require_safe
def module(request: HttpRequest, version: str, name: str) -> HttpResponse:
    script = scripts().get(name)
    if script is None or name == LOADER:
        raise Http404
    response = HttpResponse(script.content)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response = HttpResponse(script.compressed, headers={"Content-Encoding": "gzip"})
    response["Vary"] = "Accept-Encoding"
    # During a rolling update a worker may get requests for the other release.
    return _sent(response, FOR_GOOD if version == release() else "no-store")


def _sent(response: HttpResponse, cache_control: str) -> HttpResponse:
    """Any page may load the code; which origins may call the API is checked there."""
    response["Content-Type"] = CONTENT_TYPE
    response["Content-Length"] = str(len(response.content))
    response["Cache-Control"] = cache_control
    response["Access-Control-Allow-Origin"] = "*"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
