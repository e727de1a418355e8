"""What a model thinks aloud before it answers, taken out of its text.

Services with a parser of their own send thoughts in a field beside the text. Where there is none,
they stand in the text, between tags; and where the model's template ends the prompt with the
opening tag, only the closing one is in the text.
"""

import re
from collections.abc import Callable

TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<thoughts>": "</thoughts>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|channel|>analysis<|message|>": "<|channel|>final<|message|>",
}
MAX_BLANKS = 1000  # that are kept at the beginning
LONGEST = max(map(len, [*TAGS, *TAGS.values()]))
BEGINNINGS = {tag[0] for tag in TAGS}
ENDINGS = re.compile("[>\\]▷]")
CLOSING = re.compile("|".join(map(re.escape, TAGS.values())), re.IGNORECASE)
QUOTES = ("`", "'", '"', "“", "«")  # before a tag that the text is about


class ThoughtFilter:
    """`add` takes text as it comes and returns what of it belongs to the answer.

    Text that does not begin like a tag is returned at once. So what comes before a lone closing tag
    has been returned when the tag comes: `on_thought` is called then, to take it back as far as
    that is possible. With `holds_back` nothing is returned before that is ruled out.
    """

    def __init__(self, on_thought: Callable[[], None], holds_back: bool = False) -> None:
        self.chars = 0  # of thoughts
        self.separate_chars = 0  # of those beside the text
        self.had_lone_closing_tag = False  # there was a lone closing tag
        self._on_thought = on_thought
        self._holds_back = holds_back
        self._take = self._begin
        self._held = ""
        self._closing = ""
        self._seen: list[str] = []

    def add(self, text: str) -> str:
        return self._take(text)

    def add_separate(self, chars: int) -> None:
        """So many characters of thoughts came beside the text: a tag in the text is part of it."""
        self.chars += chars - self.separate_chars
        self.separate_chars = chars
        if self._take == self._watch and not self._holds_back:
            self._take = self._pass

    def finish(self, is_thought: bool = False) -> str:
        """The end of the text; returns what is still held back.

        `is_thought` says that a text without any tag is a thought that did not come to its end.
        """
        if self._take == self._think or (is_thought and self._take == self._watch):
            self.chars += len(self._held) + sum(map(len, self._seen))
            return ""
        if self._take == self._watch and self._holds_back:
            return "".join(self._seen)
        return self._held

    # Where in the text it is: each of these takes more of it -----------------------------------
    def _begin(self, text: str) -> str:
        text = self._held + text
        rest = text.lstrip()
        start = rest[:LONGEST].lower()
        if not start or start[0] in BEGINNINGS:
            for opening, closing in TAGS.items():
                if start.startswith(opening):
                    self._held, self._closing, self._take = "", closing, self._think
                    return self._think(rest[len(opening) :])
                if opening.startswith(start):  # so far
                    self._held = text[-MAX_BLANKS:]
                    return ""
        self._held = ""
        self._take = self._pass if self.chars else self._watch
        return self._take(rest if self.chars else text)

    def _think(self, text: str) -> str:
        text = self._held + text
        place = text.lower().find(self._closing)
        if place < 0:
            self._held = text[1 - len(self._closing) :]
            self.chars += len(text) - len(self._held)
            return ""
        self.chars += place + 1  # an empty thought is one, too
        self._held, self._take = "", self._begin
        return self._begin(text[place + len(self._closing) :])

    def _watch(self, text: str) -> str:
        """An answer, as far as is known: a lone closing tag shows that it was a thought."""
        self._seen.append(text)
        if ENDINGS.search(text) and CLOSING.search("".join(self._seen[-LONGEST:])):
            seen = "".join(self._seen)
            for tag in CLOSING.finditer(seen, max(len(seen) - len(text) - LONGEST, 0)):
                if not _is_quoted(seen[: tag.start()]):
                    return self._drop_thought(seen, tag.end())
        return "" if self._holds_back else text

    def _drop_thought(self, seen: str, end: int) -> str:
        self.had_lone_closing_tag = True
        self.chars += end
        self._seen, self._take = [], self._begin
        if not self._holds_back:
            self._on_thought()
        return self._begin(seen[end:])

    def _pass(self, text: str) -> str:
        return text


def _is_quoted(before: str) -> bool:
    """Whether a tag after this text is what the text is about."""
    return before.endswith(QUOTES) or before.count("```") % 2 == 1
