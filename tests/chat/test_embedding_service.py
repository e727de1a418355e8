"""Questions about the book while the service that embeds them fails or lies."""

# ruff: noqa: F401, F811 - fixtures

import json
import threading
import time
from uuid import uuid4

import pytest

from tests.chat.test_grounding import ask, citing
from tests.helpers.scripted_model import Reply, word_vector
from tests.helpers.streams import events_of
from tests.helpers.waiting import eventually


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
def test_the_words_alone_are_searched_and_the_answer_is_no_later(ask, model, failure):
    model.embeds(FAILURES[failure])
    model.decides(citing("A name is unique [{}]."))
    begin = time.monotonic()

    events = list(events_of(ask(f"Which name is unique in the graph ({failure})?", stream=True)))

    assert time.monotonic() - begin < 10
    assert events[-2]["messageMetadata"]["grounding"] == "book"
    model.release()


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_a_turn_ended_while_its_sections_are_searched_asks_no_model(ask, model, book_server, end):
    client, answers = book_server.client, []
    model.embeds(Reply(delay=0.8))

    def end_one() -> str:
        session = str(uuid4())
        asking = threading.Thread(
            target=lambda: answers.append(ask(f"To {end}, {session}?", session_id=session))
        )
        asking.start()
        eventually(lambda: client.get(f"/chat/{session}").status_code == 200)
        if end == "stop":
            client.post(f"/chat/{session}/stop")
        else:
            client.delete(f"/chat/{session}")
        asking.join()
        return session

    # The other worker knows of it at its next heartbeat, which may be too late on a busy machine.
    for _ in range(10):
        model.requests.clear()
        session = end_one()
        if "code" in answers[-1].json():
            break

    assert answers[-1].json()["code"] == "answer_stopped"
    assert not model.requests
    assert client.get(f"/chat/{session}").status_code == (200 if end == "stop" else 404)


def test_a_service_that_is_itself_again_embeds_the_same_question(ask, model, book_server):
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
