"""A site on this machine for what reads sites: pages from a dictionary, requests kept."""

import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.helpers.serving import serving

type Respond = Callable[[BaseHTTPRequestHandler], None]


class Website:
    """`pages` holds what is answered at each path: HTML, or a function that answers.

    `requests` lists each request's path, with a note where it was answered with 304.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}/"
        self.pages: dict[str, str | bytes | Respond] = {}
        self.requests: list[str] = []

    def serve_folder(self, folder: Path, at: str = "/") -> None:
        """As static hosts do: index.html is its folder's, whose address ends with a slash."""
        for file in folder.rglob("*"):
            if file.is_file():
                path = at + file.relative_to(folder).as_posix()
                self.pages[path] = file.read_bytes()
                if file.name == "index.html":
                    address = path.removesuffix("index.html")
                    self.pages[address] = self.pages.pop(path)
                    self.pages[address.rstrip("/")] = redirect(address)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(request.path) or self.pages.get(request.path.partition("?")[0])
        self.requests.append(request.path)
        if callable(page):
            page(request)
        elif page is None:
            respond(request, 404, b"not here")
        else:
            self._page(request, page if isinstance(page, bytes) else page.encode())

    def _page(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        etag = f'"{sha256(body).hexdigest()[:16]}"'
        if request.headers["If-None-Match"] == etag:
            self.requests[-1] += " unchanged"
            respond(request, 304, b"")
            return
        kind = mimetypes.guess_type(request.path.partition("?")[0])[0] or "text/html"
        if kind == "text/html":
            kind = "text/html; charset=utf-8"
        respond(request, 200, body, ETag=etag, Content_Type=kind)


def respond(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    if status != 304:
        request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def redirect(target: str) -> Respond:
    return lambda request: respond(request, 302, b"", Location=target)


@contextmanager
def website() -> Iterator[Website]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that leaves before the end is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    site = Website(server)
    with serving(server):
        yield site
