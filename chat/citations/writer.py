"""The text for the reader as it grows, with the space that a removed mark leaves put right."""

import re

SPACE = " \t\n"
# What has no space before it.
PUNCTUATION = frozenset(".,;:!?)]}»。，、；：！？」』】）،؛؟۔")

# Beside these, space would make another meaning of them.
EMPHASIS = frozenset("*_~")
OPENING = re.compile(r"(?:^|[\s(])[*_~]{1,3}\Z")


class Writer:
    """Space is held back until it is known what comes after it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._taken = 0
        self._space = ""
        self._before: str | None = None  # the space before what was removed
        self._run: set[int] = set()  # the numbers that stand together at the end

    @property
    def so_far(self) -> str:
        return "".join(self._parts)

    @property
    def position(self) -> int:
        """Of what comes next, for `since`."""
        return len(self._parts)

    def since(self, position: int) -> str:
        return "".join(self._parts[position:])

    @property
    def last(self) -> str:
        """The last character; empty where something was removed after space, or at the start."""
        if self._space or self._before:
            return (self._before or "") + self._space
        return self._parts[-1][-1] if self._parts else ""

    @property
    def has_gap(self) -> bool:
        """Whether nothing but space follows what was removed."""
        return self._before is not None and "\n" not in self._space

    @property
    def ends_in_number(self) -> bool:
        return bool(self._run) and not (self._before or self._space)

    def take(self) -> str:
        """What has become certain since this was last called."""
        begin, self._taken = self._taken, len(self._parts)
        return "".join(self._parts[begin:])

    def text(self, text: str) -> None:
        if self._before is None:
            self._follow(text)
            return
        begun = text.lstrip(SPACE)
        self._space += text[: len(text) - len(begun)]
        if begun:
            self._space = self._settled(begun[0])
            self._follow(begun)

    def _follow(self, text: str) -> None:
        """Nothing was removed before it."""
        body = text.rstrip(SPACE)
        if not body:
            self._space += text
            return
        self._parts.append(self._space + body)
        self._space = text[len(body) :]
        self._run.clear()

    def marker(self, text: str) -> None:
        """Of a list or quote, with its space, which stays whatever is removed after it."""
        self.text(text)
        if self._space:
            self._add(self._settled(""), "")

    def code(self, text: str) -> None:
        """Stays as it is, byte for byte."""
        if text:
            self._add(self._settled(""), text)
            self._run.clear()

    def number(self, number: int) -> None:
        """Numbers that follow each other stand together, and each of them once."""
        if number in self._run and "\n" not in (self._before or "") + self._space:
            self.remove()
            return
        space = self._settled("")
        if "\n" in space:
            self._run.clear()
        self._add("" if self._run else space, f"[{number}]")
        self._run.add(number)

    def remove(self) -> None:
        """Something stood here that readers do not get."""
        self._before = self._space if self._before is None else _merged(self._before, self._space)
        self._space = ""

    def finish(self) -> None:
        if self._before is None and self._space:
            self._parts.append(self._space)
        self._space = ""

    def _add(self, space: str, text: str) -> None:
        self._parts.append(space + text)

    def _opens_emphasis(self) -> bool:
        """Whether what was removed was the first of something emphasised."""
        return bool(OPENING.search("".join(self._parts[-3:])))

    def _settled(self, following: str) -> str:
        """The space before what follows."""
        space, before = self._space, self._before
        self._space, self._before = "", None
        if before is None:
            return space
        if not self._parts:
            return ""
        merged = _merged(before, space)
        if self._parts[-1][-1] in SPACE and "\n" not in merged:  # it would indent a line
            return ""
        if (following in EMPHASIS and not space) or (not before and self._opens_emphasis()):
            merged = merged.strip(" \t")
        if following == "`" and not merged and self._parts[-1][-1] == "`":
            return " "
        return "" if following in PUNCTUATION and "\n" not in merged else merged


def _merged(before: str, after: str) -> str:
    """The space on both sides of what was removed, as one."""
    lines = max(before.count("\n"), after.count("\n"))
    if not lines:
        return before or after
    if lines == 1:
        return "\n" + (after if "\n" in after else before).rpartition("\n")[2]
    # A paragraph that went on after what was removed still begins where it began: what is indented
    # by more would be code, by less would be no part of its list.
    return "\n" * lines + (after if after.count("\n") > 1 else before).rpartition("\n")[2]
