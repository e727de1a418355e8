"""An answer on its way from the model to its reader: marks become numbers, sections sources."""

from book.search import Hit
from chat.citations.evidence import Cited, Source, best_quote, near, source
from chat.citations.excerpts import Excerpts
from chat.citations.instead import NOT_COVERED, wording
from chat.citations.links import AllowedLinks
from chat.citations.parser import Parser
from chat.citations.sentences import last_sentence
from llm.providers import is_demonstration


class Citing:
    """Feeds an answer's text through the parser of marks, and notes what it cites.

    `sources` names sections as they appear, each with the quote that supports the sentence so far
    best, and is made for those who ask while the answer comes; the last word is
    `evidence.of_answer`.
    """

    def __init__(self, excerpts: Excerpts, question: str) -> None:
        self._excerpts, self._question = excerpts, question
        self._by_mark = dict(zip(excerpts.marks, excerpts.sections, strict=True))
        urls = [hit.page_url for hit in excerpts.sections]
        self._links = AllowedLinks(urls, [question, *(hit.text for hit in excerpts.sections)])
        self.restart()

    def restart(self) -> None:
        """What was fed so far is no part of the answer."""
        self._parser = Parser(self._excerpts.marks, self._excerpts.silent_mark, self._links)
        self._is_blank = True
        self._sections: list[Hit] = []
        self._sources: list[Source] = []

    @property
    def cited(self) -> Cited:
        return Cited(self._excerpts, self._sections, self._parser.is_silent)

    @property
    def sources(self) -> list[Source]:
        for cited in self._parser.cited[len(self._sources) :]:
            hit, sentence = self._by_mark[cited.mark], last_sentence(cited.text)
            quote = best_quote([sentence], hit)
            self._sources.append(source(len(self._sources) + 1, hit, quote))
        return self._sources

    def feed(self, delta: str) -> str:
        """The reader's text that is now certain."""
        return self._noted(self._parser.feed(delta))

    def finish(self, language: str) -> str:
        """The rest of it, with a sentence of ours where the model wrote no more than that the book
        does not cover the question.
        """
        text = self._noted(self._parser.finish())
        if self._is_blank and self._parser.is_silent:
            return wording(NOT_COVERED, language)
        if is_demonstration() and not self._sections and not self._is_blank:
            return text + self._credit()
        return text

    def _noted(self, text: str) -> str:
        self._is_blank = self._is_blank and not text.strip()
        for cited in self._parser.cited[len(self._sections) :]:
            self._sections.append(self._by_mark[cited.mark])
        return text

    def _credit(self) -> str:
        """The demonstration model writes no marks: what it was given first is its source, if that
        is near the question at all.
        """
        for best in self._excerpts.sections[:1]:
            if quote := near(self._question, best):
                self._sections.append(best)
                self._sources.append(source(1, best, quote))
                return " [1]"
        return ""
