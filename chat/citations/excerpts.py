"""The sections of the book that an answer is to rest on, each with the mark to cite it by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from book.search import Found, Hit, ReaderPage
from chat.citations import marks
from llm.spending import CHARS_PER_TOKEN, estimated_tokens


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Sections, best first, each with its mark; the model writes `silent_mark` where they do not
    answer the question. Marks are new for each turn.
    """

    edition: int
    sections: Sequence[Hit]
    marks: Sequence[str]
    silent_mark: str
    reader_page: ReaderPage | None = None

    def first(self, number: int) -> "Excerpts":
        """The best of them."""
        return replace(self, sections=self.sections[:number], marks=self.marks[:number])


def choose(found: Found, most: int, tokens: int) -> Excerpts:
    """The best `most` sections, as far as there is room for about so many tokens."""
    sections = list(_fitting(found.hits[:most], tokens))
    silent_mark, *handed_out = marks.hand_out(len(sections) + 1)
    return Excerpts(found.edition, sections, handed_out, silent_mark, found.reader_page)


def _fitting(hits: Sequence[Hit], tokens: int) -> Iterator[Hit]:
    """Whole sections that fit; where the best one does not, its beginning."""
    for place, hit in enumerate(hits):
        size = estimated_tokens(len(hit.text) + len(hit.path))
        if size <= tokens:
            tokens -= size
            yield hit
        elif place == 0:
            yield replace(hit, text=_beginning(hit.text, tokens))
            return


def _beginning(text: str, tokens: int) -> str:
    """As many of its paragraphs as fit, or else of its characters."""
    chars = tokens * CHARS_PER_TOKEN
    end = text.rfind("\n\n", 0, chars)
    return text[: end if end > 0 else chars]
