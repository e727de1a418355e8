"""What an answer quotes, and whether a section says it word by word.

Words are compared contiguously and never by likeness: every fuzzy way accepts a quotation with a
word replaced, a number changed or a negation put in.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

SHORTEST = 4  # words

_FENCED = re.compile(
    r"^[ \t>]*(`{3,}|~{3,}).*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_INLINE_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
# What closes a quotation, by what opens it.
_CLOSING = {
    first: re.compile(rf"[{last}]|\n(?=\s*\n)")
    for first, last in {
        '"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "‹": "›", "「": "」", "『": "』",
        "‘": "’", "‚": "‘’", "”": "”“",
    }.items()
}  # fmt: skip
_OPENING = re.compile(rf"(?<!\w)\"(?=\S)|[{''.join(_CLOSING.keys() - {'"'})}]")
LONGEST = 2000  # characters: so far is looked for what closes one
_WORD_CHARACTER = re.compile(r"\w")
_BLOCK_QUOTE = re.compile(r"(?:^[ ]{0,3}>.*(?:\n|\Z))+", re.MULTILINE)
_QUOTE_MARK = re.compile(r"^[ ]{0,3}(?:>[ ]?)+", re.MULTILINE)
_FENCE_LINE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,}).*$", re.MULTILINE)
_LIST_MARK = re.compile(r"^[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+", re.MULTILINE)
_LINK_TARGET = re.compile(r"\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+(?:\"[^\"]*\"|'[^']*'))?\)")
_REFERENCE = re.compile(r"\[\^[^\]\s]+\]|(?<=[\s.,;:!?)\]\"”])\[\d+\]")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_ELLIPSIS = re.compile(r"\[\s*(?:\.\s?\.\s?\.|…)\s*\]|\(\s*(?:\.\s?\.\s?\.|…)\s*\)|\.\s?\.\s?\.|…")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_WORD = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff])*(?:\+\+|#(?!\w))?"
    r"|(?:(?<![\w)])-)?\d+(?:[.,]\d+)*"
)


def contains(quotation: str, section: str) -> bool:
    """Whether the section (Markdown) has these words, contiguous.

    Where the quotation leaves something out (…), each of its parts of four words or more must stand
    there, in their order. Marks, quotes, dashes, case and line breaks do not matter.
    """
    text = _running_text(section)
    parts = [_words(part) for part in _ELLIPSIS.split(quotation)]
    if not any(parts):
        return False
    long_enough = [part for part in parts if len(part) >= SHORTEST]
    checked = long_enough or [list(chain.from_iterable(parts))]
    at = 0
    for part in checked:
        found = text.find(f" {' '.join(part)} ", at)
        if found < 0:
            return False
        at = found + len(" ".join(part)) + 1
    return True


def quotations(text: str) -> list[str]:
    """What stands in quotation marks or block quotes, in its order, outside of code.

    Fewer than four words are no quotation: they name something.
    """
    if ">" not in text and not _OPENING.search(text):  # as in most answers
        return []
    prose = _INLINE_CODE.sub(lambda code: " " * len(code[0]), _FENCED.sub("\n", text))
    blocks = [
        (each.start(), _QUOTE_MARK.sub("", each[0]).strip())
        for each in _BLOCK_QUOTE.finditer(prose)
    ]
    # The words of code within a quotation are needed; only what begins in code is left out.
    spans = [each.span() for each in _BLOCK_QUOTE.finditer(prose)]
    found = [*blocks, *(each for each in _in_marks(prose) if not _is_within(each[0], spans))]
    return [quoted for _, quoted in sorted(found) if len(_words(quoted)) >= SHORTEST]


def _in_marks(prose: str) -> Iterator[tuple[int, str]]:
    at = 0
    while opening := _OPENING.search(prose, at):
        start, at = opening.end(), opening.end()
        closing = _CLOSING[opening[0]].search(prose, start, start + LONGEST)
        if closing is None or closing[0] == "\n" or closing.start() == start:
            continue
        if _WORD_CHARACTER.match(prose, closing.end()):
            continue
        yield opening.start(), prose[start : closing.start()].strip()
        at = closing.end()


def _is_within(at: int, spans: list[tuple[int, int]]) -> bool:
    return any(first <= at < last for first, last in spans)


@lru_cache(1024)
def _running_text(markdown: str) -> str:
    return f" {' '.join(_words(markdown))} "


def _words(markdown: str) -> list[str]:
    text = _FENCE_LINE.sub("", markdown)
    text = _REFERENCE.sub("", _LINK_TARGET.sub("]", _LIST_MARK.sub("", text)))
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", html.unescape(text)))
    return _WORD.findall(_DASHES.sub("-", text).casefold().replace("\\", ""))
