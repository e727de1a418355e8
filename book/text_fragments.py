"""Addresses that scroll to a quote and highlight it: text fragments (`#:~:text=`).

A browser looks for the words as they are on the page, so they are made from the quote's rendered
text. A term is found within one block only, on whole words; hence none reaches over a formula, a
picture or the mark of a footnote, and long quotes are given by their first and last words.
https://wicg.github.io/scroll-to-text-fragment/
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote as percent_encoded

from markdown_it.token import Token

from book.markdown_text import parser

WHOLE = 10  # words of a quote that is given in full
EDGE = 5  # words at each end of a longer one, at least
CONTEXT = 3  # words before or after
TELLING = 4  # fewer words may stand anywhere in the page
# Ends of a block, and where something stands between that has no words to look for.
BLOCK, GAP = "\n", "\0"

_FORMULA = re.compile(
    r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)"  # code stays
    r"|\$\$.+?\$\$|(?<![\\$\w])\$(?![\s$])[^$\n]*?(?<![\s\\])\$(?![\w$])",
    re.DOTALL,
)
_NOTE = re.compile(r"\[\^[^\]\s]+\](?!:)")
_NOTE_LABEL = re.compile(r"\[\^[^\]\s]+\]:[ \t]*")
_TASK = re.compile(r"\[[ xX]\][ ]")
_CELL_END = re.compile(r"(?<!\\)\|")
_BLOCK_MARKS = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?")
_SPACES = re.compile(r"[ \t]+")
_GAP_AROUND = re.compile(r"[ ]*([\0\n])[ ]*")
_WORD_SIGN = re.compile(r"\w")


class _Rendered(NamedTuple):
    """`text` has its blocks apart; the block at line `lines[i]` begins at `starts[i]`."""

    text: str
    lines: list[int]
    starts: list[int]
    is_code: list[bool]


class _Term(NamedTuple):
    start: int
    end: int


@lru_cache(512)
def with_fragment(url: str, quote: str, section: str) -> str:
    """`url` (with the section's anchor, or none) so that it leads to a quote in the section.

    `quote` is a verbatim part of the section's Markdown. Where it cannot be addressed, `url` alone.
    """
    rendered = _rendered(section)
    found = _place(quote, section, rendered)
    directive = _directive(rendered.text, found) if found else ""
    if not directive:
        return url
    return f"{url}{'' if '#' in url else '#'}:~:text={directive}"


# The page's text ----------------------------------------------------------------------------
@lru_cache(256)
def _rendered(section: str) -> _Rendered:
    text = GAP
    lines: list[int] = []
    starts: list[int] = []
    is_code: list[bool] = []
    for token in parser.parse(section):
        if token.map is None or not token.content:
            continue
        if token.type != "inline":  # buttons and titles stand around code
            text += GAP
        for line, words in _lines(token):
            lines.append(line)
            starts.append(len(text))
            is_code.append(token.type != "inline")
            text += f"{words}{BLOCK}"
        if token.type != "inline":
            text += GAP
    return _Rendered(text, lines, starts, is_code)


def _lines(token: Token) -> Iterator[tuple[int, str]]:
    """A paragraph or cell; of code each line, with its number in the section."""
    first = token.map[0] if token.map else 0
    if token.type == "inline":
        yield first, _inline(token.content)
        return
    first += token.type == "fence"
    for number, line in enumerate(token.content.splitlines()):
        if line.strip():
            yield first + number, _code(line)


def _inline(markdown: str) -> str:
    """The words of a paragraph, with gaps for what has none."""
    label = _NOTE_LABEL.match(markdown)
    text = _TASK.sub("", markdown[label.end() if label else 0 :], count=1)
    text = _NOTE.sub("\ue000", _FORMULA.sub(_masked, text))
    (token,) = parser.parseInline(text)
    words = "".join(_piece(child) for child in token.children or ())
    around = GAP if label else ""
    return around + _collapsed(words.replace("\ue000", GAP)) + around


def _masked(found: re.Match[str]) -> str:
    return found[0] if found[1] else "\ue000"


def _piece(token: Token) -> str:
    match token.type:
        case "softbreak":
            return " "
        case "hardbreak" | "image":
            return GAP
    return token.content


def _code(line: str) -> str:
    """Code keeps its spaces, which a term cannot: those in a row are a gap."""
    return re.sub(r"[ ]{2,}|\t+", GAP, line.strip())


def _collapsed(text: str) -> str:
    return _GAP_AROUND.sub(r"\1", _SPACES.sub(" ", text.replace("\n", " "))).strip(" ")


# The quote in it ----------------------------------------------------------------------------
def _place(quote: str, section: str, rendered: _Rendered) -> _Term | None:
    at = section.find(quote)
    if at < 0 or not quote.strip() or not rendered.lines:
        return None
    line = section.count("\n", 0, at)
    number = bisect_right(rendered.lines, line) - 1
    if number < 0:
        return None
    while number and rendered.lines[number - 1] == rendered.lines[number]:
        number -= 1  # the first cell of a row
    if rendered.is_code[number]:
        words = BLOCK.join(_code(each) for each in quote.splitlines() if each.strip())
    elif quote.lstrip().startswith("|"):
        cells = _CELL_END.split(quote.strip().removeprefix("|").removesuffix("|"))
        words = BLOCK.join(filter(None, map(_inline, map(str.strip, cells))))
        return _found(rendered.text.replace(BLOCK + BLOCK, BLOCK), words, rendered.starts[number])
    else:
        words = _inline(_BLOCK_MARKS.sub("", quote))
    return _found(rendered.text, words, rendered.starts[number])


def _found(text: str, words: str, start: int) -> _Term | None:
    words = words.strip(f"{GAP}{BLOCK} ")
    at = text.find(words, start) if words else -1
    return _Term(at, at + len(words)) if at >= 0 else None


# The directive ------------------------------------------------------------------------------
def _directive(text: str, quote: _Term) -> str:
    quoted = text[quote.start : quote.end]
    is_whole = not re.search(f"[{BLOCK}{GAP}]", quoted)
    if is_whole and quoted.count(" ") < WHOLE:
        return _with_context(text, quote, None)
    start = _first_words(text, quote)
    end = _last_words(text, quote, start)
    if start is None or end is None or end.start < start.end:
        return _with_context(text, start or quote, None) if start or is_whole else ""
    return _with_context(text, start, end)


def _first_words(text: str, quote: _Term) -> _Term | None:
    """As many as tell them from the rest of the section, from the first that are a term."""
    piece = next(_pieces(text, quote), None)
    if piece is None:
        return None
    ends = (_word_end(text, piece, count) for count in _counts(text, piece))
    return _first_unique(text, [_Term(piece.start, end) for end in ends])


def _last_words(text: str, quote: _Term, start: _Term | None) -> _Term | None:
    pieces = list(_pieces(text, quote))
    if not pieces or start is None:
        return None
    last = pieces[-1]
    if last.start <= start.start:  # of the same piece, what is left of it
        last = _Term(start.end + (text[start.end : start.end + 1] == " "), last.end)
    if last.start >= last.end:
        return None
    starts = (_word_start(text, last, count) for count in _counts(text, last))
    return _first_unique(text, [_Term(first, last.end) for first in starts])


def _counts(text: str, piece: _Term) -> range:
    words = text.count(" ", piece.start, piece.end) + 1
    return range(min(EDGE, words), words + 1)


def _first_unique(text: str, terms: list[_Term]) -> _Term:
    return next((term for term in terms if _is_unique(text, term)), terms[-1])


def _pieces(text: str, quote: _Term) -> Iterator[_Term]:
    """The parts of a quote that a term can be, those with a letter or a digit."""
    for found in re.finditer(f"[^{BLOCK}{GAP}]+", text[quote.start : quote.end]):
        if _WORD_SIGN.search(found[0]):
            yield _Term(quote.start + found.start(), quote.start + found.end())


def _word_end(text: str, piece: _Term, count: int) -> int:
    at = piece.start
    for _ in range(count):
        at = text.find(" ", at + 1, piece.end)
        if at < 0:
            return piece.end
    return at


def _word_start(text: str, piece: _Term, count: int) -> int:
    at = piece.end
    for _ in range(count):
        at = text.rfind(" ", piece.start, at)
        if at < 0:
            return piece.start
    return at + 1


def _is_unique(text: str, term: _Term) -> bool:
    words = text[term.start : term.end]
    return len(re.findall(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE)) == 1


def _with_context(text: str, start: _Term, end: _Term | None) -> str:
    """With the words before and after where those of the terms are few, or repeated."""
    parts = [_encoded(text, start)]
    if _needs_context(text, start) and (before := _before(text, start)):
        parts.insert(0, f"{_encoded(text, before)}-")
    last = end or start
    if end:
        parts.append(_encoded(text, end))
    if _needs_context(text, last) and (after := _after(text, last)):
        parts.append(f"-{_encoded(text, after)}")
    return ",".join(parts)


def _needs_context(text: str, term: _Term) -> bool:
    is_short = text.count(" ", term.start, term.end) + 1 < TELLING
    return is_short or not _is_unique(text, term)


def _before(text: str, term: _Term) -> _Term | None:
    """The last words of the same block, or of the block before; none beside a gap."""
    end = term.start - (text[term.start - 1] in f" {BLOCK}")
    first = max(text.rfind(BLOCK, 0, end), text.rfind(GAP, 0, end)) + 1
    piece = _Term(first, end)
    return _Term(_word_start(text, piece, CONTEXT), end) if _has_words(text, piece) else None


def _after(text: str, term: _Term) -> _Term | None:
    start = term.end + (text[term.end : term.end + 1] in (" ", BLOCK))
    ends = [at for sign in (BLOCK, GAP) if (at := text.find(sign, start)) >= 0]
    piece = _Term(start, min(ends, default=len(text)))
    return _Term(start, _word_end(text, piece, CONTEXT)) if _has_words(text, piece) else None


def _has_words(text: str, piece: _Term) -> bool:
    return bool(_WORD_SIGN.search(text[piece.start : piece.end]))


def _encoded(text: str, term: _Term) -> str:
    return percent_encoded(text[term.start : term.end], safe="").replace("-", "%2D")
