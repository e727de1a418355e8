"""Answers that rest on the book: excerpts in, citations out."""

import json
import re

import pytest

from chat.models import Message
from tests.helpers.marks import asked, mark_of, marks_of, silent_mark_of
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.streams import events_of, kinds, text_of

NAMES = "Each node carries a name that is unique in the graph"
SOURCE = {"number", "title", "chapter", "section", "url", "text", "score"}


@pytest.fixture
def ask(book_server, model):
    def asking(message="How must a node be named?", headers=None, **body):
        return book_server.client.post("/chat", json={"message": message} | body, headers=headers)

    return asking


def citing(text, heading="Names"):
    """A model that cites a section: `{}` in the text is its mark."""
    return lambda body: Reply(text.replace("{}", mark_of(body, heading)))


def test_a_cited_section_becomes_a_numbered_source_with_a_verbatim_quote(ask, model):
    model.decides(citing("Each node has a name that is unique in the graph [{}]."))

    answer = ask().json()

    assert answer["response"] == "Each node has a name that is unique in the graph [1]."
    assert answer["grounding"] == "book"
    (source,) = answer["sources"]
    assert source.keys() == SOURCE
    assert (source["number"], source["title"], source["section"]) == (1, "Nodes", "Names")
    assert source["text"].startswith(NAMES)
    assert source["score"] > 0.5
    page, _, fragment = source["url"].partition("#")
    assert page.startswith("https://book.example/docs/")
    assert fragment.startswith("names:~:text=")


def test_the_model_gets_excerpts_as_data_beside_the_question(ask, model):
    ask("How must a node be named?", page_url="https://book.example/docs/1-nodes#names")

    system, last = model.requests[-1]["messages"]
    assert system["role"] == "system"
    assert NAMES not in system["content"]
    assert NAMES in last["content"]
    assert last["content"].endswith("Question: How must a node be named?")
    assert 'The reader is on the page "Nodes".' in last["content"]
    headings = re.findall(r"^\[\w{5}\] (.+)$", last["content"], re.MULTILINE)
    assert any(each.startswith("Topics") and "(later" in each for each in headings)
    assert not any(each.startswith("Nodes") and "(later" in each for each in headings)


def test_marks_are_new_for_each_turn(ask, model):
    seen = []
    model.decides(lambda body: seen.append({*marks_of(body).values()}) or Reply("Yes."))

    ask()
    ask()

    assert seen[0]
    assert not seen[0] & seen[1]


def test_a_passage_is_answered_without_excerpts(ask, model):
    answer = ask("What is it?", selected_text="A node is a process.").json()

    assert (answer["grounding"], answer["sources"]) == ("passage", [])
    assert NAMES not in json.dumps(model.requests[-1])


def test_numbers_of_earlier_answers_do_not_come_back(ask, model):
    model.decides(citing("A name is unique [{}]."))
    session = ask().json()["session_id"]

    ask("And how fast is a topic then, compared to it?", session_id=session)

    earlier = model.requests[-1]["messages"][2]
    assert earlier == {"role": "assistant", "content": "A name is unique."}


def test_a_silent_book_says_so_and_names_what_comes_nearest(ask, model):
    model.decides(lambda body: Reply(f"[{silent_mark_of(body)}] The book has nothing on cheese."))

    answer = ask("Which cheese do robots like?").json()

    assert answer["response"] == "The book has nothing on cheese."
    assert (answer["grounding"], answer["sources"]) == ("silent", [])
    assert 1 <= len(answer["nearest"]) <= 3
    assert answer["nearest"][0].keys() == {"title", "section", "url"}


def test_a_model_that_writes_no_more_than_its_mark_gets_a_sentence_of_ours(ask, model):
    model.decides(lambda body: Reply(f"[{silent_mark_of(body)}]"))

    answer = ask("Welcher Käse?", headers={"Accept-Language": "de-CH,en;q=0.5"}).json()

    assert answer["response"] == "Das Buch behandelt das nicht."


def test_a_greeting_is_uncited(ask, model):
    model.decides(lambda body: Reply("Hello! What would you like to know?"))

    answer = ask("Hello").json()

    assert (answer["grounding"], answer["sources"]) == ("uncited", [])
    assert "nearest" not in answer


def test_a_stream_announces_a_source_before_the_text_that_cites_it(ask, model):
    def deciding(body):
        mark = mark_of(body, "Names")
        return Reply(chunks=("Each node has a unique name [", mark[:3], mark[3:], "]. And more."))

    model.decides(deciding)

    events = list(events_of(ask(stream=True)))

    events.pop()  # [DONE]
    place = kinds(events).index("source-url")
    text_before = "".join(e.get("delta", "") for e in events[:place])
    text_after = "".join(e.get("delta", "") for e in events[place:])
    assert "[" not in text_before
    assert text_before + text_after == "Each node has a unique name [1]. And more."
    assert events[place].keys() == {"type", "sourceId", "url", "title"}
    metadata = next(e for e in events if e["type"] == "finish")["messageMetadata"]
    assert metadata["grounding"] == "book"
    assert metadata["sources"][0]["text"].startswith(NAMES)


def test_history_and_a_repeated_key_have_the_same_sources(ask, model, book_server):
    model.decides(citing("Each node has a unique name [{}]."))
    key = {"Idempotency-Key": "a-key"}
    answer = ask(headers=key).json()

    again = ask(headers=key).json()
    streamed = list(events_of(ask(headers=key, stream=True)))
    _, reply = book_server.client.get(f"/chat/{answer['session_id']}").json()["messages"]

    assert again == answer
    assert (reply["sources"], reply["grounding"]) == (answer["sources"], "book")
    assert reply["replaced"] is False
    assert kinds(streamed).count("source-url") == 1
    assert streamed[-2]["messageMetadata"]["sources"] == answer["sources"]
    assert len(model.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_without_a_model_excerpts_are_the_answer(ask, model, stored, stream):
    model.says(refusal(401))

    answer = ask(headers={"Accept-Language": "es"}, stream=stream)

    assert answer.status_code == 200
    if stream:
        events = list(events_of(answer))
        text = text_of(events)
        found = events[-2]["messageMetadata"]
        assert events[-2]["finishReason"] == "other"
        assert found["usage"] is None
    else:
        found, text = answer.json(), answer.json()["response"]
    assert text.startswith("Ahora no se puede escribir una respuesta.")
    assert found["grounding"] == "excerpts"
    assert [each["number"] for each in found["sources"]] == [1, 2, 3]
    assert NAMES in text
    reply = Message.objects.replies().get(session_id=found["session_id"])
    assert (reply.status, reply.error_code) == ("complete", "")


def test_what_an_answer_rests_on_is_stored(ask, model, stored):
    text = 'Each node has a unique name [{}]. The book says "a node never needs any name at all".'
    model.decides(citing(text))

    reply = Message.objects.get(id=ask().json()["message_id"])

    assert (reply.edition, reply.grounding, reply.misquotes) == (1, "book", 1)
    assert reply.support == 0.5
    assert reply.sources[0]["section_id"] in reply.found


def test_a_failing_embedding_service_leaves_the_words(ask, model):
    model.embeds(Reply(status=500))
    model.decides(citing("A name is unique [{}]."))

    assert ask("unique name in the graph?").json()["grounding"] == "book"


def test_a_model_with_little_context_gets_fewer_excerpts(ask, model):
    def deciding(body):
        if len(marks_of(body)) > 3:
            return refusal(400, "too long", "context_length_exceeded")
        return Reply("Yes.")

    model.decides(deciding)

    assert ask().json()["response"] == "Yes."
    assert len(marks_of(model.requests[-1])) == 3
    assert asked(model.requests[-1])


# Other doors --------------------------------------------------------------------------------
def test_another_front_end_gets_sources_as_citations(book_server, model):
    model.decides(citing("Each node has a name that is unique in the graph [{}]."))

    answer = book_server.client.post("/ask", json={"query": "How must it be named?"}).json()

    assert answer["answer"].endswith("graph [1].")
    assert answer["citations"] == answer["sources"]
    assert answer["citations"][0].keys() == SOURCE


def test_a_client_of_openai_gets_them_as_links_and_as_a_field(book_server, model):
    model.decides(citing("Each node has a name that is unique in the graph [{}]."))
    body = {"messages": [{"role": "user", "content": "How must a node be named?"}]}
    path = "/v1/chat/completions"

    (choice,) = book_server.client.post(path, json=body).json()["choices"]
    with book_server.client.stream("POST", path, json=body | {"stream": True}) as response:
        *events, last, _ = events_of(response)

    text = choice["message"]["content"]
    (source,) = choice["message"]["sources"]
    assert choice["message"]["grounding"] == "book"
    assert text.startswith("Each node has a name that is unique in the graph [1].\n\n1. [Nodes")
    assert text.endswith(f"]({source['url']})")
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta["content"] for delta in deltas) == text
    assert last["choices"][0]["delta"]["sources"] == [source]


def test_a_resumed_answer_has_its_sources_too(book_server, model):
    model.decides(citing("Each node has a name that is unique in the graph [{}]."))
    client, session = book_server.client, "session_of_a_resumed_answer"
    client.post("/chat", json={"message": "How is a node named?", "session_id": session})

    with client.stream("GET", f"/chat/{session}/stream") as response:
        events = [*events_of(response)]

    assert kinds(events)[:4] == ["start", "source-url", "text-start", "text-delta"]
    assert len(events[-2]["messageMetadata"]["sources"]) == 1
    client.delete(f"/chat/{session}")
