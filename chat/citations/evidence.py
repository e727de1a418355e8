"""What an answer rests on, found out by the server: its sources with quotes, and its support.

What a model claims to cite is not believed: each quote is picked from the section that it cites,
and scored by how well it supports the sentences that do.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from book.quotes import best as quotes
from book.quotes.best import Quote
from book.search import Hit
from book.text_fragments import with_fragment
from chat.citations.excerpts import Excerpts
from chat.citations.sentences import cited_sentences
from llm.providers import is_demonstration

NEAREST = 3
# Of a longer answer no more is checked than these, which takes a quarter of a second at most.
MOST_SENTENCES, MOST_QUOTATIONS = 200, 50
MOST_CITING = 20  # sentences that cite one section

type Source = dict[str, Any]  # as it is stored and sent: see `source`
type Section = tuple[str, tuple[str, ...]]  # its text and its headings


@dataclass(frozen=True, slots=True)
class Evidence:
    """The columns of a reply that say what it rests on (`chat.models.Message`).

    `grounding` is empty where there was no book. `support` is None where there is nothing to
    support: no sentence, or nothing that it could rest on.
    """

    edition: int | None = None
    grounding: str = ""
    sources: Sequence[Source] = ()
    nearest: Sequence[dict[str, Any]] = ()
    found: Sequence[int] = ()
    support: float | None = None
    misquotes: int = 0


NOTHING = Evidence()


class Cited(NamedTuple):
    """What an answer cites of its excerpts: the section behind each number, from 1."""

    excerpts: Excerpts
    sections: Sequence[Hit]
    is_silent: bool  # the model says that the book does not cover the question


def source(number: int, hit: Hit, quote: Quote | None) -> Source:
    """`text` is a verbatim quote of the section; None where none supports the answer enough. `url`
    is the page's, with the section's anchor and a text fragment of the quote.
    """
    text = quote.text if quote else None
    return {
        "number": number,
        "title": hit.page_title,
        "chapter": hit.page_title,
        "section": hit.path,
        "url": with_fragment(hit.url, text, hit.text) if text else hit.url,
        "text": text,
        "score": round(quote.score, 2) if quote else 0.0,
        "section_id": hit.section_id,
    }


def of_answer(text: str, cited: Cited, question: str) -> Evidence:
    """Of an answer, as its reader gets it, that was asked for with excerpts."""
    excerpts, sections, is_silent = cited
    sentences = cited_sentences(text)
    texts = [hit.text for hit in sections]
    grounding = "book" if sections else "silent" if is_silent else "uncited"
    return Evidence(
        edition=excerpts.edition,
        grounding=grounding,
        sources=list(_sources(sections, sentences, question)),
        nearest=nearest(excerpts) if grounding == "silent" else [],
        found=[hit.section_id for hit in excerpts.sections],
        support=_support(sentences, [*map(_section, sections)]),
        misquotes=_misquotes(text, texts, question),
    )


def _sources(
    sections: Sequence[Hit], sentences: Sequence[tuple[str, Sequence[int]]], question: str
) -> Iterator[Source]:
    for number, hit in enumerate(sections, start=1):
        citing = (sentence for sentence, numbers in sentences if number in numbers)
        quote = best_quote(islice(citing, MOST_CITING), hit)
        if quote is None and is_demonstration():
            quote = near(question, hit)
        yield source(number, hit, quote)


def near(question: str, hit: Hit) -> Quote | None:
    """What is nearest to the question, for an answer that does not cite by itself."""
    text = quotes.nearest_passage(question, hit.text)
    return Quote(text, 0) if text else None


def best_quote(sentences: Iterable[str], hit: Hit) -> Quote | None:
    """What supports one of these sentences best."""
    found = (quotes.best_quote(sentence, *_section(hit)) for sentence in sentences)
    return max(filter(None, found), key=lambda quote: quote.score, default=None)


def _section(hit: Hit) -> Section:
    return hit.text, tuple(hit.heading_path)


def nearest(excerpts: Excerpts) -> list[dict[str, Any]]:
    """Of a question that the book does not cover, the sections that come nearest."""
    return [
        {
            "title": hit.page_title,
            "section": hit.path,
            "url": hit.url,
            "section_id": hit.section_id,
        }
        for hit in excerpts.sections[:NEAREST]
    ]


def of_passage(text: str, passage: str, question: str) -> Evidence:
    """Of an answer from a selected passage alone."""
    sentences = cited_sentences(text)
    return Evidence(
        grounding="passage",
        support=_support(sentences, [(passage, ())]),
        misquotes=_misquotes(text, [passage], question),
    )


def _support(
    sentences: Sequence[tuple[str, Sequence[int]]], sections: Sequence[Section]
) -> float | None:
    if not sentences or not sections:
        return None
    checked = sentences[:MOST_SENTENCES]
    supported = sum(quotes.is_supported(sentence, sections) for sentence, _ in checked)
    return round(supported / len(checked), 3)


def _misquotes(text: str, texts: Sequence[str], question: str) -> int:
    """Quotations that stand in none of the texts; the reader's own words may be quoted, too."""
    if not texts:
        return 0
    return sum(
        not any(quotes.contains(quotation, each) for each in (*texts, question))
        for quotation in quotes.quotations(text)[:MOST_QUOTATIONS]
    )
