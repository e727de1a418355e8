"""Marks in prose become numbers."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chat.citations import marks
from chat.citations.lines import Lines
from chat.citations.marks import MARK
from chat.citations.patterns import MATH_EDGE, MATH_END, PARENTHESES, PARTIAL_PARENTHESES, WITHIN


class Cited(NamedTuple):
    """A first citation. `text` is the end of the reader's text, as far as it had come."""

    mark: str
    text: str


class Numbers(Lines):
    """Numbers marks by appearance, and takes away those that were not handed out."""

    def __init__(self, handed_out: Sequence[str], silent: str) -> None:
        super().__init__()
        self.cited: list[Cited] = []
        self.is_silent = False
        self._handed_out, self._silent = frozenset(handed_out), silent
        self._numbers: dict[str, int] = {}

    def _is_mark(self, word: str) -> bool:
        """One that was handed out, or might have been."""
        return bool(
            word.lower() in self._handed_out
            or word.lower() == self._silent
            or marks.STRICT.fullmatch(word)
        )

    def _marks_in(self, text: str) -> list[str]:
        return [word for word in re.findall(MARK, text) if self._is_mark(word)]

    def _cite(self, written: Iterable[str], end: int) -> None:
        """Numbers in place of marks."""
        self._leave_out(end)
        for mark in map(str.lower, written):
            self.is_silent |= mark == self._silent
            if mark in self._handed_out and mark != self._silent:
                self._out.number(self._number(mark))
                self._is_bare = self._begins_anew = False

    def _number(self, mark: str) -> int:
        if mark not in self._numbers:
            self._numbers[mark] = len(self._numbers) + 1
            self.cited.append(Cited(mark, self._out.so_far))
        return self._numbers[mark]

    def _are_cited(self, written: Iterable[str]) -> bool:
        return any(mark.lower() in self._handed_out for mark in written)

    def _word(self, word: re.Match[str]) -> None:
        self._peek(word.end())
        if self._is_mark(word[0]):
            self._cite([word[0]], word.end())
        else:
            self._write(word[0], word.end())

    def _wide(self, special: re.Match[str]) -> None:
        if not self._bracketed(special.end(), "】］]"):
            self._write(special[0], special.end())

    def _bracketed(self, begin: int, closing: str) -> bool:
        """Whether it is marks or numbers in brackets, which are then replaced."""
        end = self._taken(WITHIN, begin, marks.LONGEST)
        content = self._buffer[begin:end]
        if self._peek(end) == "\\":
            end += 1
        if self._peek(end) not in tuple(closing):
            return False
        group = marks.group_in(content)
        if group or (marks.are_numbers(content) and not self._is_math()):
            self._cite(group.marks if group else (), end + 1)
            return True
        return False

    def _parenthesis(self, special: re.Match[str]) -> None:
        group = self._matched(PARENTHESES, PARTIAL_PARENTHESES, self._at)
        if group and all(map(self._is_mark, re.findall(MARK, group[0]))):
            self._cite(re.findall(MARK, group[0]), group.end())
            return
        # No link begins where none was seen.
        apart = " " if special[0] == "(" and self._out.last == "]" else ""
        self._write(apart + special[0], special.end())

    def _emphasis(self, stars: re.Match[str]) -> None:
        """Marks of which none is left leave no empty emphasis."""
        end = self._taken(WITHIN, stars.end() + 1, marks.LONGEST)
        content = self._buffer[stars.end() + 1 : end]
        after = end + 1 + len(stars[0])
        group = marks.group_in(content)
        if self._peek(end) in {"]", "】"} and group and not self._are_cited(group.marks):
            self._peek(after - 1)
            if self._buffer[end + 1 : after] == stars[0]:
                self._cite(group.marks, after)
                return
        if group and self._are_cited(group.marks):
            self._begins_anew = False  # with a number after them, they begin no block
        self._write(stars[0], stars.end())

    def _is_math(self) -> bool:
        if self._math and not (self._may_close() and self._closes(MATH_END[self._math])):
            self._math = ""
        return bool(self._math)

    def _may_close(self) -> bool:
        """Whether no price and no code comes before the end of a formula within a line."""
        edge = MATH_EDGE.search(self._buffer, self._at) if self._math == "$" else None
        if edge:
            self._peek(edge.end())
        return not edge or bool(MATH_END["$"].match(self._buffer, edge.start()))
