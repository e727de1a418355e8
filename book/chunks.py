"""What is searched of a section: parts of a few paragraphs, each with its headings in front."""

from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from book.markdown_text import inline_text, parser

# Add one with each change of what `chunk_texts` returns: then books are cut anew, and embedded.
VERSION = 1
# Short parts are found more exactly; shorter ones than this say too little by themselves.
CHUNK_WORDS = 80
LONGEST_BLOCK_WORDS = 160


def chunk_texts(heading_path: Sequence[str], text: str) -> list[str]:
    """The parts of a section as plain text; at least one. Markdown's marks and links are left out.

    A part ends with a paragraph, a list, a table or a code block, unless that alone is too long.
    """
    path = " > ".join(heading_path)
    parts = list(_parts(_blocks(text)))
    return [f"{path}\n{part}" for part in parts] or [path]


def _parts(blocks: Iterator[str]) -> Iterator[str]:
    part: list[str] = []
    size = 0
    for block in blocks:
        words = len(block.split())
        if part and size + words > CHUNK_WORDS:
            yield "\n".join(part)
            part, size = [], 0
        part.append(block)
        size += words
    if part:
        yield "\n".join(part)


def _blocks(text: str) -> Iterator[str]:
    """The text of each outermost block; one that is too long in several pieces."""
    for block in _outermost(parser.parse(text)):
        words = block.split()
        if len(words) <= LONGEST_BLOCK_WORDS:
            yield block
        else:
            for at in range(0, len(words), CHUNK_WORDS):
                yield " ".join(words[at : at + CHUNK_WORDS])


def _outermost(tokens: list[Token]) -> Iterator[str]:
    lines: list[str] = []
    for token in tokens:
        if token.type == "inline":
            lines.append(inline_text(token.children))
        elif token.content:  # code
            lines.append(token.content.strip())
        if token.level == 0 and token.nesting != 1:
            if joined := "\n".join(filter(str.strip, lines)):
                yield joined
            lines = []
