"""The text of an answer on its way to its reader."""

from collections.abc import Callable

from llm.thoughts import MAX_BLANKS, ThoughtFilter


class DeltaBuffer:
    """Passes an answer's text on as it comes, in a form that can be sent and stored.

    Thoughts are left out. Blank space is held back until text follows, so that an answer of nothing
    else still counts as empty; so is half of a surrogate pair.
    """

    def __init__(
        self,
        on_delta: Callable[[str], None] | None = None,
        on_discard: Callable[[], None] | None = None,
    ) -> None:
        self.has_begun = False  # something was passed on
        self._deltas: list[str] = []
        self._on_delta = on_delta
        self._on_discard = on_discard
        self._held = ""
        self.thoughts = ThoughtFilter(self._discard)

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._deltas)

    def start(self, holds_back: bool) -> None:
        """Another try, after one of which nothing was passed on."""
        self._deltas.clear()
        self._held = ""
        self.thoughts = ThoughtFilter(self._discard, holds_back or self._on_delta is None)

    def add(self, text: str) -> None:
        self._add(self.thoughts.add(text))

    def finish(self, is_thought: bool = False) -> None:
        """The text is complete; `is_thought` as in `ThoughtFilter.finish`."""
        self._add(self.thoughts.finish(is_thought))

    def _add(self, delta: str) -> None:
        text = self._held + delta
        self._held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = without_unstorable(text.removesuffix(self._held))
        if not self._deltas and not text.strip():
            self._held = (text + self._held)[-MAX_BLANKS:]
        elif text:
            self._deltas.append(text)
            if self._on_delta:
                self.has_begun = True
                self._on_delta(text)

    def _discard(self) -> None:
        """What was passed on were thoughts: they are no part of the answer."""
        self._deltas.clear()
        self._held = ""
        if self._on_discard:
            self._on_discard()


def without_unstorable(text: str) -> str:
    """`text` without NUL and lone surrogates, which PostgreSQL refuses and models produce."""
    text = text.replace("\0", "")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
