"""Markdown as the plain text that its reader sees."""

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def inline_text(tokens: Iterable[Token] | None) -> str:
    """Of an inline token's children, with line breaks where they have some."""
    return "".join(map(_text_of, tokens or ()))


def _text_of(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return token.content  # of an image its alternative text
