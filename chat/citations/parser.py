"""What a model streams, as readers get it: marks become numbers, invented links become text.

The result is the same however the stream is cut: whatever a step looks at is either known, or the
step waits (`NeedMore`) for more of the stream. It never waits for more than `LOOK_AHEAD`
characters; what is longer is plain text.
"""

import re
import sys
from collections.abc import Callable, Sequence

from chat.citations.blocks import CELL_EDGE, Ending, Kind
from chat.citations.linked_text import LinkedText
from chat.citations.links import AllowedLinks
from chat.citations.marks import MARK
from chat.citations.patterns import (
    BLANKS,
    CODE_STOP,
    CODE_STOP_IN_DOUBT,
    CODE_STOP_IN_ROW,
    CONTEXT,
    LONGEST_TAIL,
    MARKS_AS_CODE,
    MARKS_IN_CODE,
    MATH_END,
    MOST_AT_ONCE,
    NO_BLOCK,
    PARTIAL_MARKS_AS_CODE,
    PLAIN,
    SEEMS_FENCE,
    SPECIAL,
    TAIL,
    TAIL_OF_CODE,
)
from chat.citations.stream import NeedMore


class Parser(LinkedText):
    """Fed with what a model writes, it gives the text for the reader.

    `cited` are the marks that were cited, in order: the first one is number 1. `is_silent`: the
    silent mark was written.
    """

    def __init__(self, handed_out: Sequence[str], silent: str, links: AllowedLinks) -> None:
        super().__init__(handed_out, silent, links)
        self._step: Callable[[], None] = self._line
        self._span_closes = False  # whether that is certain
        self._span_begins = 0  # a position of the writer
        self._handlers: dict[str, Callable[[re.Match[str]], None]] = {
            "\n": self._newline, "\\": self._escape, "`": self._backticks, "$": self._dollar,
            "[": self._bracket, "]": self._closing_bracket, "!": self._image,
            "【": self._wide, "［": self._wide, "(": self._parenthesis, "（": self._parenthesis,
            "<": self._tag, "*": self._emphasis, "~": self._tildes, "/": self._broken_address,
            ".": self._broken_address, "|": self._bar,
        }  # fmt: skip

    def feed(self, delta: str) -> str:
        """The reader's text that is now certain."""
        if len(delta) > MOST_AT_ONCE:
            begins = range(0, len(delta), MOST_AT_ONCE)
            return "".join(self.feed(delta[begin : begin + MOST_AT_ONCE]) for begin in begins)
        if self._at == len(self._buffer) and PLAIN.fullmatch(delta) and self._step == self._prose:
            self._write(delta, self._at)
            self._buffer = (self._buffer + delta)[-CONTEXT:]
            self._at = len(self._buffer)
            return self._out.take()
        self._buffer += delta.replace("\r", "")  # some renderers end a line at each
        try:
            while self._at < len(self._buffer):
                self._step()
        except NeedMore:
            pass
        begin = max(self._at - CONTEXT, 0)
        self._buffer, self._at = self._buffer[begin:], self._at - begin
        return self._out.take()

    def finish(self) -> str:
        """The rest of it."""
        self._is_final = True
        text = self.feed("")
        if self._step == self._code_line:
            self._end_code()
        else:
            self._end_text()
        self._out.finish()
        return text + self._out.take()

    # Lines -------------------------------------------------------------------------------------
    def _line(self) -> None:
        line = self._read_line()
        if line.kind in {Kind.CODE, Kind.FENCE}:
            self._step = self._code_line
        else:
            self._step = self._row if self._may_be_header and self._span else self._text

    def _row(self) -> None:
        """Inline code that is open ends before a table."""
        if not self._span_closes and self._is_row():
            self._end_spans()
        self._step = self._text

    def _text(self) -> None:
        self._step = self._code_span if self._span else self._prose
        self._step()

    def _newline(self, _: re.Match[str]) -> None:
        self._end_text()
        self._write("\n", self._at + 1)
        self._end_line()
        self._step = self._line

    # Code --------------------------------------------------------------------------------------
    def _code_line(self) -> None:
        newline = self._buffer.find("\n", self._at)
        if newline < 0:
            self._code_until(len(self._buffer), is_end=self._is_final)
        else:
            self._code_until(newline)
            self._end_code()
            self._code_until(newline + 1)
            self._step = self._line

    def _end_code(self) -> None:
        """What is left of a line does not end the block."""
        if self._is_cut and SEEMS_FENCE.fullmatch(self._out.since(self._line_begins)):
            self._out.code(NO_BLOCK)

    def _code_span(self) -> None:
        stops = CODE_STOP if self._span_closes else self._stops_in_doubt
        newline = self._buffer.find("\n", self._at)
        stop = stops.search(self._buffer, self._at, newline if newline >= 0 else sys.maxsize)
        if not stop and newline >= 0:
            self._code_until(newline)
            if self._seems_block():
                self._out.code(NO_BLOCK)
            self._code_until(newline + 1)
            self._end_line()
            self._step = self._line
        elif not stop:
            self._code_until(len(self._buffer), is_end=self._is_final)
        else:
            self._code_until(stop.start())
            self._code_stop(stop)

    @property
    def _stops_in_doubt(self) -> re.Pattern[str]:
        is_row = self._may_be_header or self._ending is Ending.CELL
        return CODE_STOP_IN_ROW if is_row else CODE_STOP_IN_DOUBT

    def _code_stop(self, stop: re.Match[str]) -> None:
        if stop[0].startswith("\\\\"):
            self._code_until(stop.end())
            return
        self._peek(stop.end())
        if stop[0] == self._span:
            self._out.code(stop[0])
            self._at = stop.end()
            self._is_crossed |= self._span_begins < self._line_begins or bool(
                CELL_EDGE.search(self._out.since(self._span_begins))
            )
            self._end_span()
        elif self._span_closes or (stop[0] == "|" and not self._is_row()):
            self._out.code(stop[0])
            self._at = stop.end()
        elif self._closes(_run(self._span)):
            self._span_closes = True
        else:
            self._strays.add(len(self._span))
            self._end_span()

    def _end_span(self) -> None:
        self._span, self._step = "", self._prose
        if self._is_bare and self._out.since(self._line_begins).strip():
            self._is_bare = self._has_only_numbers = False

    def _code_until(self, end: int, *, is_end: bool = True) -> None:
        """Code, without the marks in it."""
        if not is_end:
            tail = TAIL_OF_CODE.search(self._buffer, self._at)
            end = tail.start() if tail else end
        for match in MARKS_IN_CODE.finditer(self._buffer, self._at, end):
            if all(map(self._is_mark, re.findall(MARK, match[0]))):
                self._out.code(self._buffer[self._at : match.start()])
                self._at = match.start()
                self._peek(match.end())
                self._at = match.end()
                self._leave_out_of_code(match[0])
        self._out.code(self._buffer[self._at : end])
        self._at = end
        if not is_end:
            raise NeedMore

    def _leave_out_of_code(self, written: str) -> None:
        self._is_cut = True
        self.is_silent |= self._silent in written.lower()
        if self._span and self._out.last == "`" and self._buffer[self._at : self._at + 1] == "`":
            self._out.code(" ")
        if self._span and not self._out.since(self._line_begins).strip():
            self._out.code(NO_BLOCK)  # inline code would end with the paragraph

    def _backticks(self, _: re.Match[str]) -> None:
        group = self._matched(MARKS_AS_CODE, PARTIAL_MARKS_AS_CODE, self._at)
        if group and not self._is_like_fence:
            self._cite(re.findall(MARK, group[0]), group.end())
            return
        end = self._taken(CODE_STOP, self._at)
        self._span, self._span_closes = self._buffer[self._at : end], False
        self._span_begins = self._out.position
        # What follows on the line, and must stay, tells it from a fence.
        self._is_like_fence |= self._is_bare and len(self._span) > 2
        if self._begins_anew and len(self._span) > 2:
            self._write(NO_BLOCK, self._at)
        self._write(self._span, end)
        self._step = self._code_span

    # Prose -------------------------------------------------------------------------------------
    def _prose(self) -> None:
        special = SPECIAL.search(self._buffer, self._at)
        if special:
            if special.start() > self._at:
                self._write(self._buffer[self._at : special.start()], special.start())
            handle = self._handlers.get(special[0][0])
            if handle:
                handle(special)
            elif special[0][-1] in "/.":
                self._address(special)
            else:
                self._word(special)
            return
        begin = max(self._at, len(self._buffer) - LONGEST_TAIL)
        tail = None if self._is_final else TAIL.search(self._buffer, begin)
        end = tail.start() if tail else len(self._buffer)
        self._write(self._buffer[self._at : end], end)
        if end < len(self._buffer):
            raise NeedMore

    def _escape(self, _: re.Match[str]) -> None:
        following = self._peek(self._at + 1)
        if following == "[" and self._bracketed(self._at + 2, "]"):
            return
        is_pair = following.isascii() and following.isprintable() and not following.isalnum()
        end = self._at + (2 if is_pair and following != " " else 1)
        self._write(self._buffer[self._at : end], end)

    def _tildes(self, tildes: re.Match[str]) -> None:
        self._write(NO_BLOCK * self._begins_anew + tildes[0], tildes.end())

    def _dollar(self, _: re.Match[str]) -> None:
        run = "$$" if self._peek(self._at + 1) == "$" else "$"
        following = self._peek(self._at + len(run))
        if self._math == run:
            is_closing = run == "$$" or bool(MATH_END["$"].match(self._buffer, self._at))
            self._math = "" if is_closing else self._math
        elif following and (run == "$$" or not (self._math or following.isspace())):
            self._math = run  # two of them end no formula within a line
        self._write(run, self._at + len(run))

    def _bar(self, _: re.Match[str]) -> None:
        """Cells beyond the table's columns, which would not be shown, become a row of their own."""
        bar = "|"
        if self._ending is Ending.CELL and not self._is_bare:
            self._bars_left -= 1
            following = self._peek(self._taken(BLANKS, self._at + 1)) if self._bars_left < 0 else ""
            if following not in {"\n", ""}:
                bar = f"|\n{self._prefix}|"
                self._bars_left = self._blocks.columns - 1
        self._write(bar, self._at + 1)


def _run(ticks: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!`){ticks}(?!`)")
