"""Links, addresses and HTML in prose: kept, or shown as text."""

import re
from collections.abc import Sequence

from chat.citations import marks
from chat.citations.blocks import Ending
from chat.citations.links import AllowedLinks, trimmed
from chat.citations.marks import MARK
from chat.citations.numbers import Numbers
from chat.citations.patterns import (
    ADDRESS,
    ATTRIBUTE,
    AUTOLINK,
    BLANKS,
    BLOCK_TAGS,
    BRACKET,
    BRACKET_IN_ROW,
    CODE_STOP,
    DEEPEST,
    DESTINATION,
    INLINE_TAGS,
    LINK_AS_IT_IS,
    LONGEST_TEXT,
    LONGEST_TITLE,
    LOOK_AHEAD,
    MARKS_OF_LINK,
    NO_ANGLE,
    NO_QUOTE,
    NO_SPACE,
    TAG,
    TOO_DEEP,
)
from chat.citations.stream import NeedMore


class LinkedText(Numbers):
    """Keeps the links that are allowed, and of all others only their text."""

    def __init__(self, handed_out: Sequence[str], silent: str, links: AllowedLinks) -> None:
        super().__init__(handed_out, silent)
        self._links = links
        self._anchors = 0

    def _image(self, _: re.Match[str]) -> None:
        close = self._close_of(self._at + 1)
        destination = self._destination(close + 1) if close > 0 else None
        if not destination or marks.group_in(self._buffer[self._at + 2 : close]):
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
        has_code = "`" in content and (group and (group.is_labelled or "†" in content))
        if group and not has_code and not (group.is_labelled and link):
            end = link[1] if link else close + 1
            of_link = self._marks_in(self._buffer[close:end]) if link else []
            self._cite(group.marks + of_link, end)
        elif marks.are_numbers(content) and not self._is_math():
            self._number_of_its_own(link, close + 1)
        elif link and (self._links.allows(link[0]) or not self._is_math()):
            self._link(content, *link)
        elif self._is_bare and self._peek(close + 1) == ":" and not content.startswith("^"):
            self._definition(content, close + 2)
        else:
            self._open_bracket(begin)

    def _unclosed(self, begin: int) -> None:
        word = re.compile(MARK).match(self._buffer, begin)
        if word and self._is_mark(word[0]):
            self._open_brackets += 1
            self._at = begin
        else:
            self._open_bracket(begin)

    def _open_bracket(self, begin: int) -> None:
        """With a number right before it, it would make a link of that."""
        self._open_brackets += 1
        self._has_label |= self._is_bare
        self._write(" [" if self._out.ends_in_number else "[", begin)

    def _closing_bracket(self, _: re.Match[str]) -> None:
        """One that belongs to a bracket before this line does not end a link's definition."""
        is_stray = self._open_brackets == 0 and self._peek(self._at + 1) == ":"
        self._open_brackets = max(self._open_brackets - 1, 0)
        self._write("]\\" if is_stray else "]", self._at + 1)
        if self._has_label and not self._open_brackets:
            self._label_ends, self._has_label = self._out.position, False

    def _number_of_its_own(self, link: tuple[str, int] | None, end: int) -> None:
        if link and self._is_kept(*link):
            self._keep(link[1])
        else:
            end = link[1] if link else end
            self._cite(self._marks_in(self._buffer[self._at : end]), end)

    def _link(self, content: str, address: str, end: int) -> None:
        tail = self._buffer[self._at + len(content) + 2 : end]
        text = MARKS_OF_LINK.sub(self._unmarked, content).strip()
        is_plain = LINK_AS_IT_IS.fullmatch(text) and ("`" not in text or text == content)
        cited = self._marks_in(tail)
        if not is_plain or cited or not self._links.allows(address):
            self._put_back(f"{content} {_together(cited)}" if cited else content, end)
        elif text != content.strip():
            written = self._marks_in(content)
            link = f"[{text}]{tail}{_together(written)}"
            self._buffer = self._buffer[: self._at] + link + self._buffer[end:]
        else:
            self._keep(end)

    def _unmarked(self, group: re.Match[str]) -> str:
        return "" if all(map(self._is_mark, re.findall(MARK, group[0]))) else group[0]

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
                ticks = CODE_STOP.findall(self._buffer, at, edge.start())
                return edge.start() if ticks[::2] == ticks[1::2] else -1
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

    def _broken_address(self, special: re.Match[str]) -> None:
        self._write(f"{special[0][:-1]}\\{special[0][-1]}", special.end())

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
        if self._is_bare and self._peek(self._taken(BLANKS, end)) in {"\n", "", "<"}:
            self._leave_out(end)
        else:
            self._write(tag, end)


def _together(written: list[str]) -> str:
    """Marks as no address can follow them."""
    return f"【{' '.join(written)}】" if written else ""


def _attribute(tag: str, name: str) -> str:
    match = re.search(ATTRIBUTE.format(name), tag)
    return next(filter(None, match.groups()), "") if match else ""
