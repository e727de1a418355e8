"""Lines of a text that arrives in pieces, and where paragraphs and tables end what is open."""

import re

from chat.citations import blocks
from chat.citations.blocks import CELL_EDGE, Blocks, Ending, Kind, Line
from chat.citations.patterns import (
    ENDS,
    FIRST_COLON,
    LIKE_A_BLOCK,
    LINE,
    LINE_LIKE_DELIMITER_ROW,
    LOOK_AHEAD,
    NO_BLOCK,
    OF_DELIMITER_ROW,
    ROW,
    SEEMS_BLOCK,
    TAG_OR_RULE,
)
from chat.citations.stream import NeedMore, Stream
from chat.citations.writer import SPACE, Writer


class Lines(Stream):
    """The line that is read, in its paragraph or table, and the reader's text so far."""

    def __init__(self) -> None:
        super().__init__()
        self._out = Writer()
        self._blocks = Blocks()
        self._ending = Ending.PARAGRAPH  # of inline code and formulas on this line
        self._span = ""  # the backticks of the inline code we are in
        self._strays: set[int] = set()  # lengths of backticks in this paragraph that are no code
        self._math = ""
        self._is_bare = True  # nothing but containers on this line so far
        self._has_only_numbers = True  # or nothing
        self._begins_anew = False  # after something that was removed from its beginning
        self._prefix = ""  # of this line: marks of lists and quotes, indentation
        self._has_marker = False  # of a list or a quote
        self._begins_paragraph = True  # this line does
        self._is_like_fence = False  # this line begins as a fence does
        self._open_brackets = 0  # on this line
        self._has_label = False  # this line begins with a bracket
        self._label_ends = -1  # a position of the writer: behind what began with it
        self._line_begins = 0  # a position of the writer
        self._is_cut = False  # or must not be the delimiter row that it is
        self._last_line = ""  # where it may be the header of a table
        self._may_be_header = False  # of a table: this line begins as one does
        self._bars_left = 0  # between cells, in this row
        self._is_crossed = False  # its beginning, or a bar in it, by inline code that ends in it

    def _read_line(self) -> Line:
        """The beginning of a line, up to its text or code."""
        header = self._header()
        known = self._known_of_line(blocks.MOST_UNDECIDED if not header else LOOK_AHEAD)
        self._is_cut = self._is_no_row(header, known)
        line = self._blocks.read(known, "" if self._is_cut else header)
        self._ending, self._begins_paragraph = line.ending, line.is_new
        if line.kind is not Kind.TEXT:
            self._strays.clear()
        if line.is_new:
            self._end_spans()
        self._is_bare, self._has_only_numbers, self._is_crossed = True, True, False
        self._begins_anew = self._begins_anew and not line.is_new
        self._is_like_fence, self._open_brackets, self._has_label = False, 0, False
        if line.kind in {Kind.CODE, Kind.FENCE}:
            self._is_cut, self._line_begins = False, self._out.position
        else:
            self._begin_text(known, line.prefix)
        return line

    def _known_of_line(self, most: int) -> str:
        """So much of it that it is known what it is."""
        newline = self._buffer.find("\n", self._at, self._at + most)
        known = self._buffer[self._at : newline + 1 if newline >= 0 else self._at + most]
        is_open = newline < 0 and len(known) < most and not self._is_final
        is_like_row = most > blocks.MOST_UNDECIDED and blocks.LIKE_A_DELIMITER_ROW.fullmatch(known)
        if is_open and (is_like_row or blocks.UNDECIDED.fullmatch(known)):
            raise NeedMore
        return known

    def _begin_text(self, known: str, prefix: int) -> None:
        self._prefix = known[:prefix]
        self._has_marker = bool(self._prefix.strip())
        write = self._out.marker if self._has_marker else self._out.text
        write(self._prefix)
        self._at += prefix
        self._line_begins = self._out.position
        self._bars_left = self._blocks.columns - 1
        self._may_be_header = self._blocks.may_begin_table and known[prefix : prefix + 1] == "|"

    def _end_line(self) -> None:
        may_be_header = self._blocks.may_begin_table
        self._last_line = self._out.since(self._line_begins) if may_be_header else ""

    def _header(self) -> str:
        """The line before this one, where this may be the delimiter row of a table under it."""
        is_like_row = blocks.LIKE_A_DELIMITER_ROW.match(self._buffer, self._at)
        return self._last_line if is_like_row and "|" in self._last_line else ""

    def _is_no_row(self, header: str, line: str) -> bool:
        """Whether a delimiter row must not be one, as the line before it was read otherwise.

        Some renderers see a table where list items and quotes with bars come before such a row.
        """
        if self._blocks.is_table(header, line):
            return self._is_crossed
        return self._has_marker and blocks.are_rows(header, line.lstrip(" \t>"))

    def _seems_block(self) -> bool:
        """Whether what is left of this line has a meaning that the line had not."""
        if not self._is_cut or self._ending is Ending.CELL:
            return False
        left = self._out.since(self._line_begins).strip()
        is_row = "|" in self._last_line and blocks.DELIMITER_ROW.fullmatch(left)
        return bool(is_row or TAG_OR_RULE.fullmatch(left))

    def _is_row(self) -> bool:
        """Whether this line is a table's row; one that begins as its header waits for the next."""
        if self._may_be_header:
            end = self._taken(LINE, self._at)
            self._taken(OF_DELIMITER_ROW, end + 1)
            following = LINE_LIKE_DELIMITER_ROW.match(self._buffer, end)
            header = self._out.since(self._line_begins) + self._buffer[self._at : end]
            if following and self._blocks.is_table(header, following[1]):
                self._ending, self._bars_left = Ending.CELL, len(header)
            self._may_be_header = False
        return self._ending is Ending.CELL

    def _end_spans(self) -> None:
        self._strays |= {len(self._span)}
        self._span, self._math = "", ""

    def _closes(self, run: re.Pattern[str]) -> bool:
        """Whether, in this paragraph, something comes that closes what is open."""
        limit = self._at + LOOK_AHEAD
        closing = run.search(self._buffer, self._at, limit)
        if closing and CELL_EDGE.search(self._buffer, self._at, closing.start()):
            self._is_row()
        end = ENDS[self._ending].search(self._buffer, self._at, limit)
        until = self._end_of_known(closing.start()) if closing else limit
        if (closing and end and end.start() < closing.start()) or self._has_table(until):
            return False
        if closing:
            if closing.end() < limit:
                self._peek(closing.end())
            return True
        if not end and len(self._buffer) < limit and not self._is_final:
            raise NeedMore
        return False

    def _end_of_known(self, at: int) -> int:
        """Up to where the text decides about tables before `at`."""
        begin = self._buffer.rfind("\n", self._at, at) + 1
        if not begin or not ROW.match(self._buffer, begin):
            return at
        return self._taken(OF_DELIMITER_ROW, self._taken(LINE, begin) + 1) + 1

    def _has_table(self, until: int) -> bool:
        """Whether one begins with this line, or with one that comes before `until`."""
        for row in LINE_LIKE_DELIMITER_ROW.finditer(self._buffer, self._at, until):
            is_open = row.end(1) == len(self._buffer) and not self._is_final
            if is_open or row.end(1) == until:
                break
            begin = self._buffer.rfind("\n", self._at, row.start()) + 1
            header = self._buffer[begin or self._at : row.start()]
            if begin and self._blocks.will_be_table(header, row[1]):
                return True
            so_far = self._out.since(self._line_begins)
            if not begin and self._blocks.is_table(so_far + header, row[1]):
                return True
        return False

    def _write(self, text: str, end: int) -> None:
        if ":" in text:
            text = self._without_colons(text)
        if self._begins_anew:
            text = SEEMS_BLOCK.sub(rf"\1{NO_BLOCK}", text)
        if text:
            self._out.text(text)
        if text and (self._is_bare or self._has_only_numbers):
            is_blank = not text.strip(SPACE)
            self._has_only_numbers = self._has_only_numbers and is_blank
            self._is_bare = self._is_bare and is_blank
            self._begins_anew = self._begins_anew and self._is_bare
        self._at = end

    def _without_colons(self, text: str) -> str:
        """Without those that would make a definition of a number, or follow on one removed."""
        if self._out.has_gap and (self._begins_anew or self._has_only_numbers):
            after = text.lstrip(" \t:")  # before a colon, the space in a gap is left out
            return text[: len(text) - len(after)].replace(":", "") + after
        if self._out.has_gap and self._out.position == self._label_ends:
            return FIRST_COLON.sub(r"\\:", text)
        return text.lstrip(":") if self._has_only_numbers and self._out.last == "]" else text

    def _leave_out(self, end: int) -> None:
        self._at = end
        self._begins_anew, self._is_cut = self._is_bare, True
        self._out.remove()

    def _put_back(self, text: str, end: int) -> None:
        """Read this in place of what stands there until `end`."""
        text = text.strip()
        if self._is_bare and LIKE_A_BLOCK.match(text):
            text = "\\" + text
        # After the character that opened it, so that its first word is one.
        self._at += 1
        self._buffer = self._buffer[: self._at] + text + self._buffer[end:]

    def _end_text(self) -> None:
        """What is left of a line must not begin or end a block that the whole line did not."""
        if (self._begins_anew and self._has_marker) or self._seems_block():
            self._write(NO_BLOCK, self._at)
