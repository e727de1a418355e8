"""A text that arrives in pieces, and looking ahead in it.

Whatever is looked at is either known, or the look raises `NeedMore`: so that what is read does not
depend on how the text was cut.
"""

import re

from chat.citations import marks
from chat.citations.patterns import LOOK_AHEAD


class NeedMore(Exception):
    """What comes next in the stream decides."""


class Stream:
    """What is known of the text from a little before the place that is read."""

    def __init__(self) -> None:
        self._buffer, self._at, self._is_final = "", 0, False

    def _peek(self, at: int) -> str:
        """The character there; empty at the end of the text."""
        if at >= len(self._buffer) and not self._is_final:
            raise NeedMore
        return self._buffer[at : at + 1]

    def _taken(self, pattern: re.Pattern[str], at: int, most: int = LOOK_AHEAD) -> int:
        """Where a repetition ends that begins there."""
        match = pattern.match(self._buffer, at, at + most)
        end = match.end() if match else at
        if end < at + most:
            self._peek(end)
        return end

    def _matched(
        self, whole: re.Pattern[str], partial: re.Pattern[str], at: int
    ) -> re.Match[str] | None:
        """Waits as long as it is neither known to match nor not to."""
        undecided = partial.fullmatch(self._buffer, at) if not self._is_final else None
        if undecided and len(self._buffer) - at < marks.LONGEST:
            raise NeedMore
        return whole.match(self._buffer, at, at + marks.LONGEST)
