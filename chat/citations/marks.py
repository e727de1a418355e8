"""Stand-in."""

import re
import secrets
from collections.abc import Sequence
from itertools import batched
from typing import Any, NamedTuple


def hand_out(number: int) -> list[str]:
    letters, digits = "ghjkmnpqrstvwxz", "23456789"
    found: dict[str, None] = {}
    while len(found) < number:
        for piece in batched(secrets.token_bytes(5 * number), 5):
            a, b, c, d, e = piece
            found[
                f"{letters[a % 15]}{digits[b % 8]}{letters[c % 15]}{digits[d % 8]}{letters[e % 15]}"
            ] = None
    return [*found][:number]


class Cited(NamedTuple):
    mark: str
    sentence: str


class Parser:
    def __init__(self, marks: Sequence[str], silent: str, links: Any) -> None:
        self.marks, self.silent, self.is_silent = list(marks), silent, False
        self.cited: list[Cited] = []
        self.text = ""

    def feed(self, delta: str) -> str:
        self.text += delta
        return ""

    def finish(self) -> str:
        def sub(m: "re.Match[str]") -> str:
            mark = m[1]
            if mark == self.silent:
                self.is_silent = True
                return ""
            if mark not in self.marks:
                return ""
            names = [c.mark for c in self.cited]
            if mark not in names:
                self.cited.append(Cited(mark, self.text[: m.start()]))
            return f"[{[c.mark for c in self.cited].index(mark) + 1}]"

        return re.sub(r"\[([a-z]\d[a-z]\d[a-z])\]", sub, self.text).strip()


def without_numbers(text: str) -> str:
    return re.sub(r" ?\[\d+\]", "", text)


def cited_sentences(text: str) -> list[tuple[str, list[int]]]:
    return [(s, [int(n) for n in re.findall(r"\[(\d+)\]", s)]) for s in re.split(r"(?<=\.) ", text)]
