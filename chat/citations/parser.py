"""What a model streams, as readers get it: marks become numbers, invented links become text.

The result is the same however the stream is cut: whatever a step looks at is either known, or the
step waits (`NeedMore`) for more of the stream. It never waits for more than `LOOK_AHEAD`
characters; what is longer is plain text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from chat.citations import blocks, marks
from chat.citations.blocks import CELL_EDGE, Blocks, Ending, Kind
from chat.citations.links import AllowedLinks, trimmed
from chat.citations.marks import MARK
from chat.citations.patterns import (
    ADDRESS,
    ATTRIBUTE,
    AUTOLINK,
    BLANKS,
    BLOCK_TAGS,
    BRACKET,
    BRACKET_IN_ROW,
    CODE_STOP,
    CODE_STOP_IN_DOUBT,
    CODE_STOP_IN_ROW,
    CONTEXT,
    DEEPEST,
    DESTINATION,
    ENDS,
    INLINE_TAGS,
    LIKE_A_BLOCK,
    LINE,
    LINE_LIKE_DELIMITER_ROW,
    LONGEST_TEXT,
    LONGEST_TITLE,
    LOOK_AHEAD,
    MARKS_AS_CODE,
    MARKS_IN_CODE,
    MATH_END,
    MOST_AT_ONCE,
    NO_ANGLE,
    NO_BLOCK,
    NO_QUOTE,
    NO_SPACE,
    OF_DELIMITER_ROW,
    PARENTHESES,
    PARTIAL_MARKS_AS_CODE,
    PARTIAL_PARENTHESES,
    PLAIN,
    ROW,
    SPECIAL,
    TAG,
    TAIL,
    TAIL_OF_CODE,
    TOO_DEEP,
    WITHIN,
)
from chat.citations.sentences import last_sentence
from chat.citations.stream import NeedMore, Stream
from chat.citations.writer import Writer


class Cited(NamedTuple):
    """A first citation. `sentence` is the reader's text, as far as it came, that cites."""

    mark: str
    sentence: str


class Parser(Stream):
    """Fed with what a model writes, it gives the text for the reader.

    `cited` are the marks that were cited, in order: the first one is number 1. `is_silent`: the
    silent mark was written.
    """

    def __init__(self, handed_out: Sequence[str], silent: str, links: AllowedLinks) -> None:
        super().__init__()
        self.cited: list[Cited] = []
        self.is_silent = False
        self._handed_out, self._silent, self._links = frozenset(handed_out), silent, links
        self._numbers: dict[str, int] = {}
        self._out = Writer()
        self._blocks = Blocks()
        self._ending = Ending.PARAGRAPH  # of inline code and formulas on this line
        self._step: Callable[[], None] = self._line
        self._span = ""  # the backticks of the inline code we are in
        self._span_closes = False  # whether that is certain
        self._strays: set[int] = set()  # lengths of backticks in this paragraph that are no code
        self._span_begins = 0
        self._line_begins = 0  # in what was written, as the former
        self._may_be_header = False  # of a table: this line begins as one does
        self._bars_left = 0  # between cells, in this row
        self._is_crossed = False  # its beginning, or a bar in it, by inline code that ends in it
        self._math = ""
        self._is_bare = True  # nothing but containers on this line so far
        self._has_only_numbers = True  # or nothing
        self._begins_anew = False  # after something that was removed from its beginning
        self._has_marker = False  # of a list or a quote
        self._begins_paragraph = True  # this line does
        self._is_like_fence = False  # this line begins as a fence does
        self._open_brackets = 0  # on this line
        self._anchors = 0
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
        self._fill_item()
        self._out.finish()
        return text + self._out.take()

    # Lines ----------------------------------------------------------------------------------
    def _line(self) -> None:
        header = self._header()
        most = LOOK_AHEAD if header else blocks.MOST_UNDECIDED
        newline = self._buffer.find("\n", self._at, self._at + most)
        known = self._buffer[self._at : newline + 1 if newline >= 0 else self._at + most]
        is_open = newline < 0 and len(known) < most and not self._is_final
        if is_open and (
            blocks.UNDECIDED.fullmatch(known)
            or (header and blocks.LIKE_A_DELIMITER_ROW.fullmatch(known))
        ):
            raise NeedMore
        is_broken = self._is_crossed and self._blocks.is_table(header, known)
        line = self._blocks.read(known, "" if is_broken else header)
        self._ending, self._begins_paragraph = line.ending, line.is_new
        if line.kind is not Kind.TEXT:
            self._strays.clear()
        if line.is_new:
            self._end_spans()
        self._is_bare, self._has_only_numbers, self._is_crossed = True, True, False
        self._begins_anew, self._is_like_fence, self._open_brackets = False, False, 0
        if line.kind in {Kind.CODE, Kind.FENCE}:
            self._step = self._code_line
            return
        prefix = known[: line.prefix]
        self._has_marker = bool(prefix.strip())
        if self._has_marker:
            self._out.marker(prefix)
        else:
            self._out.text(prefix)
        self._at += line.prefix
        self._line_begins = self._out.position
        self._bars_left = self._blocks.columns - 1
        self._may_be_header = self._blocks.may_begin_table and known[line.prefix :][:1] == "|"
        self._step = self._row if self._may_be_header and self._span else self._text
        if is_broken:
            self._write("\\", self._at)

    def _row(self) -> None:
        """Inline code that is open ends before a table."""
        if not self._span_closes and self._is_row():
            self._end_spans()
        self._step = self._text

    def _text(self) -> None:
        self._step = self._code_span if self._span else self._prose
        self._step()

    def _end_spans(self) -> None:
        self._strays |= {len(self._span)}
        self._span, self._math = "", ""

    def _header(self) -> str:
        """The line before this one, where this may be the delimiter row of a table under it."""
        if not self._blocks.may_begin_table:
            return ""
        if not blocks.LIKE_A_DELIMITER_ROW.match(self._buffer, self._at):
            return ""
        line = self._out.since(self._line_begins)
        return line if "|" in line else ""

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
            if not begin:
                header = self._out.since(self._line_begins) + header
            if self._blocks.is_table(header, row[1]):
                return True
        return False

    def _newline(self, _: re.Match[str]) -> None:
        self._fill_item()
        self._write("\n", self._at + 1)
        self._step = self._line

    def _fill_item(self) -> None:
        """What was a paragraph does not become an empty item, which ends the one before it."""
        if self._begins_anew and self._has_marker:
            self._write(NO_BLOCK, self._at)

    # Code -----------------------------------------------------------------------------------
    def _code_line(self) -> None:
        newline = self._buffer.find("\n", self._at)
        if newline < 0:
            self._code_until(len(self._buffer), is_end=self._is_final)
        else:
            self._code_until(newline + 1)
            self._step = self._line

    def _code_span(self) -> None:
        stops = CODE_STOP if self._span_closes else self._stops_in_doubt
        stop = stops.search(self._buffer, self._at)
        newline = self._buffer.find("\n", self._at, stop.start() if stop else len(self._buffer))
        if newline >= 0:
            self._code_until(newline + 1)
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
        self._peek(stop.end())
        if stop[0] == self._span:
            self._out.code(stop[0])
            self._at = stop.end()
            self._is_crossed |= self._span_begins < self._line_begins or bool(
                CELL_EDGE.search(self._out.since(self._span_begins))
            )
            self._span, self._step = "", self._prose
        elif self._span_closes or (stop[0] == "|" and not self._is_row()):
            self._out.code(stop[0])
            self._at = stop.end()
        elif self._closes(_run(self._span)):
            self._span_closes = True
        else:
            self._strays.add(len(self._span))
            self._span, self._step = "", self._prose

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
                if (
                    self._span
                    and self._out.last == "`"
                    and self._buffer[self._at : self._at + 1] == "`"
                ):
                    self._out.code(" ")
                self.is_silent |= self._silent in match[0].lower()
        self._out.code(self._buffer[self._at : end])
        self._at = end
        if not is_end:
            raise NeedMore

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

    # Prose ----------------------------------------------------------------------------------
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
        tail = None if self._is_final else TAIL.search(self._buffer, self._at)
        end = tail.start() if tail else len(self._buffer)
        self._write(self._buffer[self._at : end], end)
        if end < len(self._buffer):
            raise NeedMore

    def _write(self, text: str, end: int) -> None:
        if text[:1] == ":" and self._is_after_label():
            text = text.lstrip(":")
        if text:
            self._out.text(text)
        if text and (self._is_bare or self._has_only_numbers):
            self._has_only_numbers = self._has_only_numbers and text.isspace()
            self._is_bare = self._is_bare and text.isspace()
            self._begins_anew = self._begins_anew and self._is_bare
        self._at = end

    def _is_after_label(self) -> bool:
        """Whether a colon would make a definition of a number, or follows on one removed."""
        if self._out.ends_in_gap:
            return self._begins_anew or self._has_only_numbers
        return self._has_only_numbers and self._out.last == "]"

    def _put_back(self, text: str, end: int) -> None:
        """Read this in place of what stands there until `end`."""
        text = text.strip()
        if self._is_bare and LIKE_A_BLOCK.match(text):
            text = "\\" + text
        # After the character that opened it, so that its first word is one.
        self._at += 1
        self._buffer = self._buffer[: self._at] + text + self._buffer[end:]

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
        elif not self._math and following and (run == "$$" or not following.isspace()):
            self._math = run
        self._write(run, self._at + len(run))

    def _bar(self, _: re.Match[str]) -> None:
        """What is in more cells than the table has columns would not be shown."""
        bar = "|"
        if self._ending is Ending.CELL and not self._is_bare:
            is_last = self._peek(self._taken(BLANKS, self._at + 1)) in {"\n", ""}
            bar = "|" if self._bars_left > 0 or is_last else "\\|"
            self._bars_left -= 1
        self._write(bar, self._at + 1)

    def _word(self, word: re.Match[str]) -> None:
        self._peek(word.end())
        if self._is_mark(word[0]):
            self._cite([word[0]], word.end())
        else:
            self._write(word[0], word.end())

    def _broken_address(self, special: re.Match[str]) -> None:
        self._write(f"{special[0][:-1]}\\{special[0][-1]}", special.end())

    # Marks ----------------------------------------------------------------------------------
    def _is_mark(self, word: str) -> bool:
        """One that was handed out, or might have been."""
        return bool(
            word.lower() in self._handed_out
            or word.lower() == self._silent
            or marks.STRICT.fullmatch(word)
        )

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
            self.cited.append(Cited(mark, last_sentence(self._out.so_far)))
        return self._numbers[mark]

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
        self._write(stars[0], stars.end())

    def _are_cited(self, written: Iterable[str]) -> bool:
        return any(mark.lower() in self._handed_out for mark in written)

    def _is_math(self) -> bool:
        if self._math and not self._closes(MATH_END[self._math]):
            self._math = ""
        return bool(self._math)

    # Brackets and links -----------------------------------------------------------------------
    def _image(self, _: re.Match[str]) -> None:
        close = self._close_of(self._at + 1)
        destination = self._destination(close + 1) if close > 0 else None
        if not destination:
            self._write("!", self._at + 1)
            return
        address, end = destination
        if self._is_kept(address, end):
            self._keep(end)
        else:
            self._put_back(self._buffer[self._at + 2 : close], end)

    def _bracket(self, _: re.Match[str]) -> None:
        begin = self._at + 1
        close = self._close_of(self._at)
        if close < 0:
            self._unclosed(begin)
            return
        content = self._buffer[begin:close]
        link = self._destination(close + 1)
        group = marks.group_in(content)
        if group and not (link and group.is_labelled):
            self._cite(group.marks, link[1] if link else close + 1)
        elif marks.are_numbers(content) and not self._is_math():
            self._number_of_its_own(link, close + 1)
        elif link:
            self._link(content, *link)
        elif self._is_bare and self._peek(close + 1) == ":" and not content.startswith("^"):
            self._definition(content, close + 2)
        else:
            self._open_brackets += 1
            self._write("[", begin)

    def _unclosed(self, begin: int) -> None:
        word = re.compile(MARK).match(self._buffer, begin)
        self._open_brackets += 1
        if word and self._is_mark(word[0]):
            self._at = begin
        else:
            self._write("[", begin)

    def _closing_bracket(self, _: re.Match[str]) -> None:
        """One that belongs to a bracket before this line does not end a link's definition."""
        is_stray = self._open_brackets == 0 and self._peek(self._at + 1) == ":"
        self._open_brackets = max(self._open_brackets - 1, 0)
        self._write("]\\" if is_stray else "]", self._at + 1)

    def _number_of_its_own(self, link: tuple[str, int] | None, end: int) -> None:
        if link and self._is_kept(*link):
            self._keep(link[1])
        else:
            self._cite((), link[1] if link else end)

    def _link(self, content: str, address: str, end: int) -> None:
        is_plain = not re.search(r"[\[\]<`]|://|www\.", content)
        tail = self._buffer[self._at + len(content) + 2 : end]
        if not is_plain or re.search(MARK, tail, re.IGNORECASE) or not self._links.allows(address):
            self._put_back(content, end)
            return
        written = [word for word in re.findall(MARK, content) if self._is_mark(word)]
        if written:
            text = re.sub(rf"\s*{MARK}", lambda word: self._unmarked(word[0]), content).strip()
            link = f"[{text}]{tail}[{' '.join(written)}]"
            self._buffer = self._buffer[: self._at] + link + self._buffer[end:]
        else:
            self._keep(end)

    def _unmarked(self, word: str) -> str:
        return "" if self._is_mark(word.strip()) else word

    def _is_kept(self, address: str, end: int) -> bool:
        """Whether the link from here to `end` stays as it is."""
        has_mark = re.search(MARK, self._buffer[self._at : end], re.IGNORECASE)
        return not has_mark and self._links.allows(address)

    def _keep(self, end: int) -> None:
        self._write(self._buffer[self._at : end], end)

    def _definition(self, label: str, at: int) -> None:
        """Of a link, for the whole text."""
        begin = self._taken(BLANKS, at)
        end = self._taken(NO_SPACE, begin)
        is_all = self._peek(self._taken(BLANKS, end)) in {"\n", ""}
        if is_all and self._is_kept(self._buffer[begin:end], end):
            self._keep(end)
            if self._begins_paragraph:
                self._blocks.end_paragraph()
        else:
            self._put_back(f"{label}:", at)

    def _close_of(self, at: int) -> int:
        """Where the bracket that opens there is closed, on the same line; -1 where it is not."""
        if self._buffer.startswith(TOO_DEEP, at):
            return -1
        depth = 0
        limit = at + LONGEST_TEXT
        brackets = BRACKET_IN_ROW if self._ending is Ending.CELL else BRACKET
        for edge in brackets.finditer(self._buffer, at, limit):
            depth += {"[": 1, "]": -1}.get(edge[0], 0)
            if depth == 0:
                is_half_code = self._buffer.count("`", at, edge.start()) % 2
                return -1 if is_half_code else edge.start()
            if edge[0] in "\n|" or depth > DEEPEST:
                return -1
        if len(self._buffer) < limit and not self._is_final:
            raise NeedMore
        return -1

    def _destination(self, at: int) -> tuple[str, int] | None:
        """The address in the parentheses that open there, and where they end."""
        if self._peek(at) != "(":
            return None
        begin = self._taken(BLANKS, at + 1)
        if self._peek(begin) == "<":
            end = self._taken(NO_ANGLE, begin + 1)
            address = self._buffer[begin + 1 : end]
            end += self._peek(end) == ">"
        else:
            end = self._end_of_destination(begin)
            address = self._buffer[begin:end]
        closing = self._after_title(self._taken(BLANKS, end))
        return (address, closing + 1) if self._peek(closing) == ")" else None

    def _end_of_destination(self, begin: int) -> int:
        depth = 0
        limit = begin + LOOK_AHEAD
        for edge in DESTINATION.finditer(self._buffer, begin, limit):
            depth += {"(": 1, ")": -1}.get(edge[0], 0)
            if not 0 <= depth <= DEEPEST or edge[0].isspace() or edge[0] == "<":
                return edge.start()
        if len(self._buffer) < limit and not self._is_final:
            raise NeedMore
        return min(len(self._buffer), limit)

    def _after_title(self, at: int) -> int:
        quote = self._peek(at)
        if quote not in {'"', "'"}:
            return at
        end = self._taken(NO_QUOTE[quote], at + 1, LONGEST_TITLE)
        return self._taken(BLANKS, end + 1) if self._peek(end) == quote else at

    # Addresses and HTML ---------------------------------------------------------------------
    def _address(self, special: re.Match[str]) -> None:
        end = self._taken(ADDRESS, special.start())
        mark = re.compile(MARK).search(self._buffer, self._at, end)
        end = mark.start() if mark else end
        address = trimmed(self._buffer[self._at : end].rstrip("(^"))
        end = self._at + len(address)
        if len(address) <= len(special[0]):
            self._broken_address(special)
        elif not self._links.allows(address):
            self._as_code(address, end)
        elif self._peek(end) in tuple('[]"`\\|*'):
            self._write(f"<{address}>", end)
        else:
            self._keep(end)

    def _as_code(self, address: str, end: int) -> None:
        ticks = "`"
        while len(ticks) in self._strays:
            ticks += "`"
        before = " " if self._out.last in {"\\", "`"} else ""
        after = " " if self._peek(end) == "`" else ""
        self._write(f"{before}{ticks}{address}{ticks}{after}", end)

    def _tag(self, _: re.Match[str]) -> None:
        begin = self._at + 1
        following = self._peek(begin)
        if not (following.isascii() and following.isalpha()) and following not in tuple("/!?"):
            self._write("<", begin)
            return
        close = self._taken(NO_ANGLE, begin, LONGEST_TEXT)
        tag = self._buffer[begin:close]
        read = TAG.fullmatch(tag)
        if self._peek(close) != ">":
            self._write("&lt;", begin)
        elif AUTOLINK.fullmatch(tag) and not re.search(r"\s", tag):
            self._autolink(tag, close + 1)
        elif read and read[1].lower() in {"a", "img"}:
            self._html_link(read[1].lower(), tag, close + 1)
        elif read and read[1].lower() in INLINE_TAGS and read[2].strip() in {"", "/"}:
            self._html(f"<{tag}>", close + 1)
        elif read and read[1].lower() in BLOCK_TAGS:
            self._leave_out(close + 1)
        else:
            self._write("&lt;", begin)

    def _autolink(self, address: str, end: int) -> None:
        if self._is_kept(address, end):
            self._keep(end)
        else:
            self._put_back(f" {address} ", end)

    def _html_link(self, name: str, tag: str, end: int) -> None:
        address = _attribute(tag, "href" if name == "a" else "src")
        is_allowed = self._links.allows(address)
        if tag.startswith("/"):
            if self._anchors:
                self._html("</a>", end)
            else:
                self._leave_out(end)
            self._anchors = max(self._anchors - 1, 0)
        elif name == "img":
            alt = _attribute(tag, "alt")
            if is_allowed:
                self._html(f'<img src="{address}" alt="{alt}">', end)
            else:
                self._put_back(alt, end)
        elif is_allowed:
            self._html(f'<a href="{address}">', end)
            self._anchors += 1
        else:
            self._leave_out(end)

    def _html(self, tag: str, end: int) -> None:
        """A tag alone on its line would begin a block in which nothing is Markdown."""
        following = self._peek(self._taken(BLANKS, end)) if self._is_bare else "a"
        if following in {"\n", "", "<"}:
            self._leave_out(end)
        else:
            self._write(tag if following.isalpha() else NO_BLOCK + tag, end)

    def _leave_out(self, end: int) -> None:
        self._at = end
        self._begins_anew = self._is_bare
        self._out.remove()


def _run(ticks: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!`){ticks}(?!`)")


def _attribute(tag: str, name: str) -> str:
    match = re.search(ATTRIBUTE.format(name), tag)
    return next(filter(None, match.groups()), "") if match else ""
