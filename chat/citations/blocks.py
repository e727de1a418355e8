"""Where code and tables begin and end in Markdown that arrives line by line, as GFM has it."""

import re
from enum import Enum, auto
from typing import NamedTuple

QUOTE = 0  # a container; any other one is a list item, as the width of what stands before its text

MARKER = re.compile(r"([-*+]|(\d{1,9})[.)])(?=[ \t\n]|\Z)")
FENCE = re.compile(r"(`{3,})[^`\n]*(?=\n|\Z)|(~{3,})[^\n]*")
HEADING = re.compile(r"#{1,6}(?=[ \t\n]|\Z)")
# Under a heading, or between paragraphs.
RULE = re.compile(r"(?:(?:-[ \t]*)+|=+[ \t]*|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})(?=\n|\Z)")
THEMATIC_BREAK = re.compile(r"(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})(?=\n|\Z)")
# The row under the header of a table, which makes it one; a lone dash would begin a list.
DELIMITER_ROW = re.compile(
    r"(?!-[ \t])(?=[^\n]{2})\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*(?=\n|\Z)"
)
CELL_EDGE = re.compile(r"(?<!\\)\|")
# The beginning of a line that does not yet show what the line is.
UNDECIDED = re.compile(
    r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t>]+)*"
    r"(?:\+|(?:[-*_=][ \t]*)+|\d{1,9}[.)]?|`{1,2}|`{3,}[^`\n]*|~{1,2}|~{3,}[^\n]*|#{1,6})?"
)
LIKE_A_DELIMITER_ROW = re.compile(r"[ \t>]*[|:-][|: \t-]*")
MOST_UNDECIDED = 300


class Kind(Enum):
    TEXT = auto()
    BLANK = auto()
    CODE = auto()
    FENCE = auto()  # opens or closes a code block


class Ending(Enum):
    """What ends the inline code and the formulas that begin on a line."""

    LINE = auto()  # of headings
    CELL = auto()  # of the rows of tables
    PARAGRAPH = auto()
    QUOTE = auto()
    ITEM = auto()  # of a list: a paragraph that any item ends
    QUOTED_ITEM = auto()


class Line(NamedTuple):
    kind: Kind
    prefix: int  # characters before its text or code: marks of lists and quotes, indentation
    is_new: bool  # not the continuation of a paragraph
    ending: Ending = Ending.PARAGRAPH


class Blocks:
    """The containers (quotes, list items) and the fence that are open."""

    def __init__(self) -> None:
        self._containers: list[int] = []
        self._fence = ""
        self._in_paragraph = False
        self._may_be_header = False  # the last line, of a table
        self._in_table = False
        self.columns = 0  # of the table that is open

    def read(self, line: str, before: str = "") -> Line:
        """A line, of which at least so much is known that `UNDECIDED` does not match.

        `before` is the text of the line before it, which is the header of a table if this line is
        the delimiter row for as many columns.
        """
        at, matched = self._continued(line)
        if self.is_table(before, line):
            self._in_paragraph, self._in_table = False, True
            self.columns = _columns(before)
            return Line(Kind.TEXT, _indentation(line, at)[0], is_new=True, ending=Ending.CELL)
        if self._fence and matched == len(self._containers):
            return self._in_fence(line, at)
        self._fence = ""
        opened_at, containers = self._opened(line, at, self._containers[:matched])
        return self._leaf(line, opened_at, containers, has_opened=opened_at != at)

    @property
    def may_begin_table(self) -> bool:
        """Whether the last line may be the header of one."""
        return self._in_paragraph and self._may_be_header

    def is_table(self, header: str, line: str) -> bool:
        """Whether the last line, of which `header` is the text, and this one begin a table."""
        return self.may_begin_table and self._is_delimiter_row(line, header)

    def will_be_table(self, header: str, line: str) -> bool:
        """Whether two lines to come in this paragraph will begin one."""
        at, matched = self._continued(header)
        text, indent = _indentation(header, at)
        is_its_own = matched == len(self._containers) and indent < 4
        return is_its_own and self._is_delimiter_row(line, header[text:])

    def _is_delimiter_row(self, line: str, header: str) -> bool:
        at, matched = self._continued(line)
        text, indent = _indentation(line, at)
        is_its_own = matched == len(self._containers) and indent < 4
        return is_its_own and are_rows(header, line[text:])

    def end_paragraph(self) -> None:
        """The last line proved to be no part of one."""
        self._in_paragraph = False

    def _continued(self, line: str) -> tuple[int, int]:
        """How far the open containers reach into this line, and how many of them go on."""
        at = 0
        for number, container in enumerate(self._containers):
            text, indent = _indentation(line, at)
            if container == QUOTE:
                if indent > 3 or line[text : text + 1] != ">":
                    return at, number
                at = _after_one_space(line, text + 1)
            elif not _is_blank(line, text):
                if indent < container:
                    return at, number
                at = _after_columns(line, at, container)
        return at, len(self._containers)

    def _in_fence(self, line: str, at: int) -> Line:
        text, indent = _indentation(line, at)
        closing = re.compile(rf"{self._fence[0]}{{{len(self._fence)},}}[ \t]*(?=\n|\Z)")
        if indent < 4 and closing.match(line, text):
            self._fence = ""
            return Line(Kind.FENCE, at, is_new=True)
        return Line(Kind.CODE, at, is_new=True)

    def _opened(self, line: str, at: int, containers: list[int]) -> tuple[int, list[int]]:
        before = len(containers)
        while True:
            text, indent = _indentation(line, at)
            marker = MARKER.match(line, text)
            if indent > 3 or (marker and THEMATIC_BREAK.match(line, text)):
                return at, containers
            if line[text : text + 1] == ">":
                containers = [*containers, QUOTE]
                at = _after_one_space(line, text + 1)
            elif marker and (len(containers) > before or self._may_begin(marker, line, before)):
                after, spaces = _indentation(line, marker.end())
                spaces = 1 if spaces > 4 or _is_blank(line, after) else spaces
                containers = [*containers, indent + len(marker[0]) + spaces]
                at = _after_columns(line, marker.end(), spaces)
            else:
                return at, containers

    def _may_begin(self, marker: re.Match[str], line: str, matched: int) -> bool:
        """Whether a list may begin here: only some may in the containers of a paragraph."""
        if not self._in_paragraph or matched < len(self._containers):
            return True
        return marker[2] in (None, "1") and not _is_blank(line, _indentation(line, marker.end())[0])

    def _leaf(self, line: str, at: int, containers: list[int], *, has_opened: bool) -> Line:
        text, indent = _indentation(line, at)
        fence = FENCE.match(line, text) if indent < 4 else None
        goes_on = self._in_paragraph and not has_opened
        is_lazy = len(containers) < len(self._containers)
        in_table = self._in_table and not (has_opened or is_lazy)
        self._in_table = False
        if _is_blank(line, text):
            self._containers, self._in_paragraph = containers, False
            return Line(Kind.BLANK, text, is_new=True)
        if fence:
            self._containers, self._in_paragraph = containers, False
            self._fence = fence[1] or fence[2]
            return Line(Kind.FENCE, at, is_new=True)
        if indent > 3 and not goes_on:
            self._containers, self._in_paragraph = containers, False
            return Line(Kind.CODE, at, is_new=True)
        is_heading = indent < 4 and bool(HEADING.match(line, text))
        rule = RULE if goes_on and not is_lazy else THEMATIC_BREAK
        is_rule = indent < 4 and bool(rule.match(line, text))
        is_new = is_heading or is_rule or not goes_on
        if is_new:
            self._containers = containers
        self._in_table = in_table and not is_heading and not THEMATIC_BREAK.match(line, text)
        self._in_paragraph = not (self._in_table or is_heading or is_rule)
        self._may_be_header = indent < 4 and (is_new or not is_lazy)
        return Line(Kind.TEXT, text, is_new, self._ending(is_heading=is_heading))

    def _ending(self, *, is_heading: bool) -> Ending:
        if self._in_table:
            return Ending.CELL
        if is_heading:
            return Ending.LINE
        if any(self._containers):
            return Ending.QUOTED_ITEM if QUOTE in self._containers else Ending.ITEM
        return Ending.QUOTE if self._containers else Ending.PARAGRAPH


def are_rows(header: str, line: str) -> bool:
    """Whether the second is the delimiter row for the columns of the first."""
    row = DELIMITER_ROW.match(line) if "|" in header else None
    return bool(row and _columns(header) == _dashes(row[0]))


def _columns(header: str) -> int:
    cells = CELL_EDGE.split(header.strip())
    return len(cells) - (cells[0] == "") - (len(cells) > 1 and cells[-1] == "")


def _dashes(delimiter_row: str) -> int:
    return len(re.findall("-+", delimiter_row))


def _column(line: str, at: int) -> int:
    return len(line[:at].expandtabs(4))


def _indentation(line: str, at: int) -> tuple[int, int]:
    """Where the text after it begins, and its width in columns."""
    text = at
    while line[text : text + 1] in {" ", "\t"}:
        text += 1
    return text, _column(line, text) - _column(line, at)


def _after_columns(line: str, at: int, columns: int) -> int:
    end = _column(line, at) + columns
    while line[at : at + 1] in {" ", "\t"} and _column(line, at) < end:
        at += 1
    return at


def _after_one_space(line: str, at: int) -> int:
    return at + 1 if line[at : at + 1] in {" ", "\t"} else at


def _is_blank(line: str, at: int) -> bool:
    return line[at : at + 1] in {"", "\n"}
