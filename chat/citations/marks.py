"""The marks by which a model cites excerpts: handing them out, and finding them in what it writes.

A mark is letter, digit, letter, digit, letter: `k7m2x`. Neither prose nor code has such words by
itself, and no letter or digit looks like another one.
"""

import re
import secrets
from itertools import batched
from typing import NamedTuple

LETTERS, DIGITS = "ghjkmnpqrstvwxz", "23456789"

BEGIN, END = "(?<![A-Za-z0-9])", "(?![A-Za-z0-9])"
_L, _D = f"[{LETTERS}{LETTERS.upper()}]", f"[{DIGITS}]"
MARK_LETTERS = _L + _D + _L + _D + _L + END
MARK = BEGIN + MARK_LETTERS
# What may become a mark, at the end of a text.
PARTIAL_MARK = f"{BEGIN}{_L}(?:{_D}(?:{_L}(?:{_D}{_L}?)?)?)?"
STRICT = re.compile(f"[{LETTERS}][{DIGITS}]" * 2 + f"[{LETTERS}]")
_PAIRS = [letter + digit for letter in LETTERS for digit in DIGITS]
_COUNT = len(_PAIRS)

_ANY_MARK = re.compile(BEGIN + "(?:[A-Za-z][0-9]){2}[A-Za-z]" + END)
_ORIGIN = re.compile(r"†[^,;]*")  # as in `k7m2x†L1-L3`
_BETWEEN = re.compile(
    r"[\s,;:|/&+.,،؛、，；：\[\]【】［］()^\\\"'`*-]+|\b(?:and|und|y|et|e|or|اور|و)\b"
)
MOST_LABELS, LONGEST_LABEL, LONGEST = 2, 15, 200

_NUMBER = r"\d{1,4}(?:\s*[-–]\s*\d{1,4})?"
_NUMBERS = re.compile(
    rf"[\s\[^]*{_NUMBER}(?:[\s,;&،؛、，；^]+(?:and\s+)?{_NUMBER})*[\s\]]*(?:†.*)?"
)


def hand_out(number: int) -> list[str]:
    """So many marks, distinct and unguessable."""
    marks: dict[str, None] = {}
    while len(marks) < number:
        drawn = secrets.token_bytes(6 * number)
        for first, second, third in batched(memoryview(drawn).cast("H"), 3):
            mark = _PAIRS[first % _COUNT] + _PAIRS[second % _COUNT] + LETTERS[third % len(LETTERS)]
            marks[mark] = None
    return list(marks)[:number]


class Group(NamedTuple):
    """What stands within brackets: marks (as written), and perhaps a word or two of no meaning."""

    marks: list[str]
    is_labelled: bool


def group_in(content: str) -> Group | None:
    """The marks within a pair of brackets; None where it is no group of marks."""
    if len(content) > LONGEST:
        return None
    content = _ORIGIN.sub(" ", content)
    marks = _ANY_MARK.findall(content)
    labels = _BETWEEN.sub(" ", _ANY_MARK.sub(" ", content)).split() if marks else []
    if not marks or len(labels) > MOST_LABELS or any(len(word) > LONGEST_LABEL for word in labels):
        return None
    if labels and not any(STRICT.fullmatch(mark.lower()) for mark in marks):
        return None
    return Group(marks, bool(labels))


def are_numbers(content: str) -> bool:
    """Whether it is a list of numbers as they cite sources: from 1."""
    return (
        len(content) <= LONGEST
        and bool(_NUMBERS.fullmatch(content))
        and not re.search(r"(?<!\d)0", content)
    )
