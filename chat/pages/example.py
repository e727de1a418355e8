"""The example book with the chat on it, for whoever tries the service out (`EMBEDDED`).

Sources of its answers lead here: `make run` indexes it with this address.
"""

from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from book.read.from_markdown import DOCUSAURUS, front_matter, html_of

FOLDER = Path(settings.BASE_DIR, "examples/docusaurus/docs")
FIRST = "intro"  # the page of the book's own address


@csrf_exempt  # as for the home page
@require_safe
def example_page(request: HttpRequest, name: str = "") -> HttpResponse:
    pages = _pages() if settings.EMBEDDED else {}
    if name == FIRST or (name or FIRST) not in pages:
        raise Http404
    # The text is the repository's own.
    body = mark_safe(_body(name or FIRST))  # noqa: S308
    links = [(_address(each), title) for each, title in pages.items()]
    context: dict[str, Any] = {"title": pages[name or FIRST], "body": body, "links": links}
    return render(request, "chat/example.html", context)


@cache
def _pages() -> dict[str, str]:
    """The titles by the pages' names, in the book's order."""
    found = []
    for path in FOLDER.glob("*.md"):
        matter, text = front_matter(path.read_text("utf-8"))
        title = next(line for line in text.splitlines() if line.startswith("# "))
        found.append((matter["sidebar_position"], path.stem, title.removeprefix("# ")))
    return {name: title for _, name, title in sorted(found)}


@cache
def _body(name: str) -> str:
    text = front_matter((FOLDER / f"{name}.md").read_text("utf-8"))[1]
    return html_of(text, DOCUSAURUS, _target)


def _target(href: str) -> str:
    """Links to other files lead to their pages."""
    path, mark, anchor = href.partition("#")
    name = path.removeprefix("./").removesuffix(".md")
    return f"{_address(name)}{mark}{anchor}" if path.endswith(".md") else href


def _address(name: str) -> str:
    return reverse("example") if name == FIRST else reverse("example-page", args=[name])
