"""The sections of the book that an answer is to rest on, each with the mark to cite it by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from book.search import Found, Hit, ReaderPage
from book.words import WORD, words_of
from chat.citations import marks
from llm.spending import CHARS_PER_TOKEN, estimated_tokens

MOST_WORDS = 40  # of a question, that are looked for in a long section


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


def choose(found: Found, most: int, tokens: int, question: str = "") -> Excerpts:
    """The best `most` sections, as far as there is room for about so many tokens."""
    sections = list(_fitting(found.hits[:most], tokens, question))
    silent_mark, *handed_out = marks.hand_out(len(sections) + 1)
    return Excerpts(found.edition, sections, handed_out, silent_mark, found.reader_page)


def _fitting(hits: Sequence[Hit], tokens: int, question: str) -> Iterator[Hit]:
    """Whole sections that fit; of the best one, where it does not, what is nearest to the question,
    in half of the room if there are others.
    """
    for place, hit in enumerate(hits):
        size = estimated_tokens(len(hit.text) + len(hit.path))
        if size <= tokens:
            tokens -= size
            yield hit
        elif place == 0:
            room = tokens // 2 if len(hits) > 1 else tokens
            tokens -= room
            yield hit._replace(text=_part(hit.text, room * CHARS_PER_TOKEN, question))


def _part(text: str, chars: int, question: str) -> str:
    """As many paragraphs in succession as fit, or else so many characters: where most of the
    question's words stand, the rare ones above all.
    """
    starts = range(0, max(len(text) - chars // 2, 1), max(chars // 2, 1))
    windows = [text[start : start + chars].casefold() for start in starts]
    scores = [0.0] * len(windows)
    as_written = WORD.findall(question.casefold())  # with its accents
    for word in [*dict.fromkeys([*as_written, *words_of(question)])][:MOST_WORDS]:
        having = [at for at, window in enumerate(windows) if word in window]
        for at in having:
            scores[at] += 1 / len(having)
    start = starts[scores.index(max(scores))]
    paragraph = text.find("\n\n", start, start + chars // 4) if start else -1
    begin = paragraph + 2 if paragraph >= 0 else start
    end = text.rfind("\n\n", begin, begin + chars) if begin + chars < len(text) else len(text)
    return text[begin : end if end > begin else begin + chars]
