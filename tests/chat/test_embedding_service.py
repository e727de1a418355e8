"""Questions about the book while the service that embeds them fails or lies."""

import json
import time

import pytest

from tests.book.conftest import published  # noqa: F401 - a fixture
from tests.chat.test_grounding import ask, book_server, citing  # noqa: F401 - fixtures
from tests.helpers.scripted_model import Reply, word_vector
from tests.helpers.streams import events_of


def vectors(*values):
    data = [{"index": at, "embedding": value} for at, value in enumerate(values)]
    return Reply(body=json.dumps({"object": "list", "data": data}).encode())


FAILURES = {
    "hangs": Reply(hold=True),
    "trickles": Reply(pieces=(b" " for _ in range(10_000)), gap=0.05),
    "refuses": Reply(status=401),
    "another-dimension": vectors(word_vector("x", 100)),
    "no-numbers": vectors([float("nan")] * 256),
    "two-for-one": vectors([1.0] * 256, [1.0] * 256),
    "too-large": Reply(pieces=(b" " * 2**16 for _ in range(10_000))),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_the_words_alone_are_searched_and_the_answer_is_no_later(ask, model, failure):  # noqa: F811
    model.embeds(FAILURES[failure])
    model.decides(citing("A name is unique [{}]."))
    begin = time.monotonic()

    events = list(events_of(ask(f"Which name is unique in the graph ({failure})?", stream=True)))

    assert time.monotonic() - begin < 2
    assert events[-2]["messageMetadata"]["grounding"] == "book"
    model.release()


def test_a_service_that_is_itself_again_embeds_the_same_question(
    ask, model, book_server
):  # noqa: F811
    question = "Which name is unique, in the graph of nodes?"
    model.decides(citing("A name is unique [{}]."))
    model.embeds(FAILURES["another-dimension"])
    ask(question)

    found = book_server.client.get("/book/search", params={"q": question})
    model.embeds(Reply())
    answer = ask(question).json()

    assert found.status_code == 200
    assert answer["grounding"] == "book"
    assert len(model.embedding_requests) == 3
