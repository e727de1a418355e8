"""Stand-in."""

from collections.abc import Sequence
from typing import NamedTuple


class Quote(NamedTuple):
    text: str
    score: float


def best_quote(sentence: str, section: str) -> Quote | None:
    return Quote(section.split("\n\n", maxsplit=1)[0], 0.9)


def is_supported(sentence: str, sections: Sequence[str]) -> bool:
    return "never" not in sentence


def contains(quotation: str, section: str) -> bool:
    return quotation in section


def quotations(text: str) -> list[str]:
    return text.split('"')[1::2]
