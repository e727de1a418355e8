"""A pytest plugin: a reader in Chromium, on the chat's own page or on a book of another origin."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.helpers.scripted_model import ScriptedModel
from tests.helpers.server import Server, running_server
from tests.helpers.wire import Wire

ANSWER = "A scripted answer."
PASSAGE = "A node is an executable process that performs computation."

HOST_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>Chapter 1</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
{head}
<script src="{server}/widget.js" defer {settings}></script></head>
<body>{body}</body></html>"""
POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
  style-src 'self'; script-src {server}; connect-src {server}">"""
BODY = f"""<main><h1>Chapter 1</h1><p id="passage">{PASSAGE}</p>
<p><a href="two.html">Chapter 2</a></p><label>Notes <textarea>my own notes</textarea></label>
</main>"""


class Book:
    """A site of static pages on another origin, with the chat by one script tag."""

    def __init__(self, folder: Path) -> None:
        handler = partial(QuietHandler, directory=folder)
        self.folder = folder
        self.site = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.site.server_port}"
        threading.Thread(target=self.site.serve_forever, args=(0.05,), daemon=True).start()

    def write(
        self,
        server: str,
        settings: str = "",
        lang: str = "en",
        head: str = POLICY,
        body: str = BODY,
    ) -> str:
        facts = {"settings": settings, "lang": lang, "body": body}
        page = HOST_PAGE.format(server=server, head=head.replace("{server}", server), **facts)
        for name in ("one", "two"):
            (self.folder / f"{name}.html").write_text(page)
        return f"{self.url}/one.html"

    def close(self) -> None:
        self.site.shutdown()
        self.site.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    book = Book(tmp_path_factory.mktemp("book"))
    yield book
    book.close()


@pytest.fixture(scope="module")
def reading(
    book: Book, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that the book may call."""
    log = tmp_path_factory.mktemp("server") / "log"
    allowed = {"FRONTEND_URL": book.url, "EMBEDDED": "true", "CHAT_RATE": "1000/m"}
    with running_server(log, **environment | allowed) as server:
        yield server


@pytest.fixture
def open_book(
    visit: Callable[..., Page], book: Book, reading: Server, model: ScriptedModel
) -> Callable[..., Page]:
    """Opens the book's first page, with these settings of the script's.

    `head` and `body` are the page's own; other options are Playwright's of a context.
    """

    def opening(settings: str = "", **options: Any) -> Page:
        own = {name: options.pop(name) for name in ("lang", "head", "body") if name in options}
        page = visit(**options)
        page.goto(book.write(reading.base_url, settings, **own))
        return ready(page)

    return opening


@pytest.fixture
def chat_page(
    visit: Callable[..., Page], reading: Server, model: ScriptedModel
) -> Callable[..., Page]:
    """Opens the chat's own page."""

    def opening(**options: Any) -> Page:
        page = visit(base_url=reading.base_url, **options)
        page.goto("/")
        return ready(page)

    return opening


@pytest.fixture
def wire(reading: Server) -> Iterator[Wire]:
    """Between the browser and the server."""
    wire = Wire(reading.port)
    yield wire
    wire.close()


def ready(page: Page) -> Page:
    page.locator("book-chat").wait_for(state="attached")
    return page


def say(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def replies(page: Page) -> Locator:
    return page.locator(".message.assistant .text")


def answered(page: Page, count: int = 1) -> None:
    """So many replies are complete (or stopped)."""
    expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_count(count)


def select(page: Page, selector: str = "#passage") -> None:
    page.evaluate("at => getSelection().selectAllChildren(document.querySelector(at))", selector)


def is_focused(page: Page, label: str) -> bool:
    focused = "document.querySelector('book-chat').shadowRoot.activeElement?.ariaLabel"
    return bool(page.evaluate(focused) == label)


def expected(troubles: list[str], *texts: str) -> None:
    """These troubles, and no others, were what the test is about."""
    assert troubles
    assert all(any(text in trouble for text in texts) for trouble in troubles), troubles
    troubles.clear()
