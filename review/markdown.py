"""Markdown as HTML that is safe to show to staff.

Text from readers and models is treated as hostile: raw HTML is shown as text, images become links
(loading one would tell its server who reads, and when), a link shows the host that it leads to if
that is not the book's, and the result passes a sanitiser.
"""

import nh3
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from review.addresses import is_in_book, shown

MAX_CHARS = 50_000  # longer text is shown unformatted
MAX_BRACKETS = 500  # more would take the parser time by the square of their number
TAGS = {
    "a", "bdi", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


def _show_destinations(state: StateCore) -> None:
    for block in state.tokens:
        if block.children:
            block.children = _with_destinations(block.children)


def _with_destinations(tokens: list[Token]) -> list[Token]:
    """After each link that leaves the book, where it leads; the label may claim anything.

    Isolated, since a mark for another direction of writing in front of it would turn it around.
    """
    found: list[Token] = []
    destination = ""
    for token in tokens:
        found.append(token)
        if token.type == "link_open":
            destination = str(token.attrs.get("href", ""))
        elif token.type == "link_close" and not is_in_book(destination):
            found += [
                Token("html_inline", "", 0, content=" <bdi>"),
                Token("text", "", 0, content=f"(→ {shown(destination)})"),
                Token("html_inline", "", 0, content="</bdi>"),
            ]
    return found


_markdown = (
    MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
)
_markdown.core.ruler.push("show_destinations", _show_destinations)


def rendered(text: str) -> SafeString:
    if len(text) > MAX_CHARS or text.count("[") > MAX_BRACKETS:
        return unformatted(text)
    html = nh3.clean(
        _markdown.render(text),
        tags=TAGS,
        attributes={"*": set(), "a": {"href"}, "ol": {"start"}},  # no title, which could lie
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(html)  # noqa: S308 - sanitised in the line above


def unformatted(text: str) -> SafeString:
    return format_html('<pre class="unformatted">{}</pre>', text)
