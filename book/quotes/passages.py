"""A section's Markdown as the passages that can be quoted: sentences, lines of code, rows.

Lines are read as `book.read.to_markdown` writes them; a full parser takes ten times as long.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE = re.compile(
    r"(?P<indent>[ \t]*)(?:>[ \t]?)*(?P<mark>(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<text>.*)"
)
_FENCE = re.compile(r"[ \t>]*(?:[-*+][ \t]+)?(?P<fence>`{3,}|~{3,})")
_TABLE_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t:-]*)*$")
_LABEL = re.compile(
    r"(?:\*\*|__)(?P<bold>[^*\n]{1,80}?)(?:\*\*|__)(?=\s*[:(–—-]|:|\s|$)"
    r"|(?P<plain>[^\s:][^:.!?\n]{0,60}?):(?=\s|$)"
)
_SENTENCE_END = re.compile(
    r"""(?:[.!?…]+|[؟۔])(?:["”’»)\]*_`]|\[\^[^\]]*\])*\s+|[。！？]+[”’」』）]*"""
)
_NO_END = re.compile(
    r"(?:\b(?:e\.\s?g|i\.\s?e|cf|vs|etc|approx|figs?|eq|sec|no|nr|vol|dr|mrs?|ms|prof|st"
    r"|z\.\s?b|d\.\s?h|u\.\s?a|bzw|ca|p\.\s?ej|p\.\s?ex|ex)|\b[A-Z]|^\d+)\.[\"”’»)*_`]*\s*$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"[a-z,;]")
LONGEST_ABBREVIATION = 40  # with the marks and the space after it


class Passage(NamedTuple):
    """`text` is verbatim. `block` numbers the paragraph, list item, table or code it is part of.

    `above` is the item around that one; `labels` are what these begin with, innermost first, and of
    a row its first cell.
    """

    text: str
    labels: tuple[str, ...]
    block: int
    above: int
    is_code: bool
    is_item: bool = False


class _Item(NamedTuple):
    indent: int
    block: int
    label: str


def passages_of(section: str) -> list[Passage]:
    """In their order. Without formulas on lines of their own, and the rules of tables."""
    reading = _Reading()
    for line in section.splitlines():
        reading.read(line)
    return reading.found


class _Reading:
    """Line by line."""

    def __init__(self) -> None:
        self.found: list[Passage] = []
        self._items: list[_Item] = []
        self._fence, self._block, self._was_blank = "", 0, True
        self._is_formula = False

    def read(self, line: str) -> None:
        if line.strip(" \t>") == "$$" and not self._fence:
            self._is_formula, self._was_blank = not self._is_formula, True
            return
        if self._is_formula:
            return
        opened = _FENCE.match(line)
        if opened and (not self._fence or opened["fence"].startswith(self._fence)):
            self._block += not self._fence
            self._fence = "" if self._fence else opened["fence"]
            self._was_blank = True
        elif self._fence:
            if any(map(str.isalnum, line)):
                self.found.append(Passage(line.strip(), (), self._block, 0, True))
        elif not line.strip(" \t>"):
            self._was_blank = True
        else:
            self._read_text(line)

    def _read_text(self, line: str) -> None:
        parts = _LINE.match(line)
        if parts is None:
            return
        text = parts["text"].strip().removesuffix("\\")
        indent = len(parts["indent"])
        if parts["mark"] or self._was_blank:
            self._block += 1
            while self._items and self._items[-1].indent >= indent:
                self._items.pop()
        if parts["mark"]:
            self._items.append(_Item(indent, self._block, _label_of(text)))
        self._was_blank = False
        self.found += _of_text(text, self._items, self._block)


def _of_text(text: str, items: list[_Item], block: int) -> Iterator[Passage]:
    labels = tuple(item.label for item in reversed(items) if item.label)
    above = items[-2].block if len(items) > 1 else 0
    if text.startswith("|"):
        if not _TABLE_RULE.match(text):
            first_cell = text.strip("| ").partition("|")[0].strip()
            yield Passage(text, (first_cell, *labels), block, -block, False)
        return
    own = items[-1].block if items else block
    for sentence in _sentences(text):
        yield Passage(sentence, labels, own, above, False, bool(items))


def _label_of(text: str) -> str:
    found = _LABEL.match(text)
    return (found["bold"] or found["plain"] or "") if found else ""


def _sentences(text: str) -> Iterator[str]:
    """A part is looked at once, however many of them one sentence has."""
    start = at = parentheses = backticks = 0
    for end in _SENTENCE_END.finditer(text):
        part, at = text[at : end.end()], end.end()
        parentheses += part.count("(") - part.count(")")
        backticks += part.count("`")
        last_words = text[max(start, at - LONGEST_ABBREVIATION) : at]
        if _GOES_ON.match(text, at) or _NO_END.search(last_words):
            continue
        if parentheses > 0 or backticks % 2:
            continue
        yield text[start:at].strip()
        start, parentheses, backticks = at, 0, 0
    if rest := text[start:].strip():
        yield rest
