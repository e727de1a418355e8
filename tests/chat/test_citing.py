"""What becomes of an answer on its way: without a server."""

import pytest

from book.search import Hit
from chat.citations import citing, evidence
from chat.citations.citing import Citing
from chat.citations.evidence import of_answer
from chat.citations.excerpts import Excerpts

NAMES = "Each node carries a name that is unique in the graph."
QUESTION = "What name does a node carry in the graph?"


def hit(text=NAMES, number=1):
    return Hit(
        number, "https://b/nodes", "names", ["Nodes", "Names"], 2, "en", text, 0.9, *[None] * 3, 0
    )


def excerpts(*hits):
    marks = ["k7m2x", "m2k4s", "p3r5t"][: len(hits)]
    return Excerpts(3, list(hits), marks, "z9z9z", None)


@pytest.fixture
def demonstration(monkeypatch):
    for module in (citing, evidence):
        monkeypatch.setattr(module, "is_demonstration", lambda: True)


def rests_on(written, given, language=""):
    """The reader's text, and its evidence."""
    answer = Citing(given, QUESTION)
    text = answer.feed(written) + answer.finish(language)
    return text, of_answer(text, answer.cited, QUESTION)


@pytest.mark.usefixtures("demonstration")
def test_the_demonstration_model_is_given_a_source_with_what_is_nearest_to_the_question():
    text, found = rests_on("Robots are great", excerpts(hit(), hit("Elsewhere.", 2)))

    assert text == "Robots are great [1]"
    assert found.grounding == "book"
    assert [source["text"] for source in found.sources] == [NAMES]


@pytest.mark.usefixtures("demonstration")
@pytest.mark.parametrize("given", [excerpts(), excerpts(hit("Bread is baked in an oven."))])
def test_the_demonstration_model_without_excerpts_that_fit_cites_nothing(given):
    assert rests_on("Robots are great", given)[1].grounding == "uncited"


def test_thoughts_that_are_taken_back_leave_no_source():
    answer = Citing(excerpts(hit(), hit("Elsewhere.", 2)), QUESTION)
    answer.feed("A name is unique [m2k4s]. ")

    answer.restart()
    text = answer.feed("A name is unique [k7m2x].") + answer.finish("")

    assert text == "A name is unique [1]."
    assert [source["section_id"] for source in answer.sources] == [1]


def test_a_section_that_does_not_support_what_cites_it_has_no_quote():
    _, found = rests_on("Cheese is made of milk [k7m2x].", excerpts(hit()))

    (source,) = found.sources
    assert (source["text"], source["score"]) == (None, 0)
    assert source["url"] == "https://b/nodes#names"
    assert found.support == 0


def test_support_is_the_share_of_sentences_and_true_quotations_are_no_misquotes():
    written = (
        'Each node carries a name [k7m2x]. "Cheese is made of the best milk." '
        'The book says "a name that is unique in the graph" [k7m2x].'
    )

    _, found = rests_on(written, excerpts(hit()))

    assert found.misquotes == 1
    assert found.support == pytest.approx(2 / 3, abs=0.01)
