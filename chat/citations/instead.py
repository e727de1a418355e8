"""What readers get where no model answers: excerpts of the book; and where a model says nothing."""

from collections.abc import Sequence
from itertools import accumulate

from book.models import BETWEEN_HEADINGS
from book.quotes.best import Quote, nearest_passage
from book.search import Hit
from chat.citations.evidence import Evidence, source
from chat.citations.excerpts import Excerpts
from chat.citations.sentences import without_numbers

EXCERPTS = 3
EXCERPT_CHARS = 700

# By language (ISO 639-1). The first one is for all others.
MATCHING = {
    "en": "No answer can be written at the moment. These excerpts of the book match the question:",
    "de": "Gerade kann keine Antwort geschrieben werden. Diese Auszüge des Buchs passen zur Frage:",
    "es": "Ahora no se puede escribir una respuesta. Estos extractos del libro corresponden a la "
    "pregunta:",
    "fr": "Aucune réponse ne peut être rédigée pour le moment. Ces extraits du livre correspondent "
    "à la question :",
    "ur": "اس وقت جواب نہیں لکھا جا سکتا\u06d4 کتاب کے یہ اقتباسات سوال سے ملتے ہیں:",
}
NOT_COVERED = {
    "en": "The book does not cover this.",
    "de": "Das Buch behandelt das nicht.",
    "es": "El libro no trata esto.",
    "fr": "Le livre ne traite pas de cela.",
    "ur": "کتاب میں اس کا ذکر نہیں ہے\u06d4",
}


def wording(sentences: dict[str, str], language: str) -> str:
    """The sentence in a language; in English where it is not known."""
    return sentences.get(language, sentences["en"])


def excerpts_as_answer(excerpts: Excerpts, question: str, language: str) -> tuple[str, Evidence]:
    """Markdown, and what it rests on: each excerpt is a source."""
    shown = [(hit, _excerpt(hit, question)) for hit in excerpts.sections[:EXCERPTS]]
    parts = [wording(MATCHING, language)]
    parts += [_written(number, *each) for number, each in enumerate(shown, start=1)]
    evidence = Evidence(
        edition=excerpts.edition,
        grounding="excerpts",
        sources=[
            source(number, hit, Quote(text, hit.score) if text else None)
            for number, (hit, text) in enumerate(shown, start=1)
        ],
        found=[hit.section_id for hit in excerpts.sections],
    )
    return "\n\n".join(parts), evidence


def _written(number: int, hit: Hit, text: str) -> str:
    heading = f"**{BETWEEN_HEADINGS.join(dict.fromkeys((hit.page_title, hit.path)))}** [{number}]"
    if not text:
        return heading
    return f"{heading}\n\n> " + without_numbers(text).replace("\n", "\n> ")


def _excerpt(hit: Hit, question: str) -> str:
    """Whole paragraphs, from the one on that is nearest to the question; verbatim."""
    at = max(hit.text.find(nearest_passage(question, hit.text)), 0)
    _, gap, rest = hit.text[:at].rpartition("\n\n")
    return _whole_paragraphs((rest if gap else hit.text[:at]) + hit.text[at:]).strip()


def _whole_paragraphs(text: str) -> str:
    paragraphs = text.split("\n\n")
    sizes = accumulate(len(each) + 2 for each in paragraphs)
    number = max(1, sum(size <= EXCERPT_CHARS for size in sizes))
    while number > 1 and _ends_in_code(paragraphs[:number]):
        number -= 1
    kept = "\n\n".join(paragraphs[:number])
    if len(kept) <= 2 * EXCERPT_CHARS:
        return kept
    return kept[: kept.rfind(" ", 0, EXCERPT_CHARS)]


def _ends_in_code(paragraphs: Sequence[str]) -> bool:
    return sum(each.count("```") for each in paragraphs) % 2 == 1
