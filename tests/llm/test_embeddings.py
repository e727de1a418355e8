"""Texts as vectors: who is asked, in which batches, how often and for how long."""

import asyncio
import json
import math
import time

import pytest

from llm import embeddings, providers
from llm.embeddings import (
    MAX_BATCH_CHARS,
    MAX_BATCH_TEXTS,
    EmbeddingModel,
    embedding_model,
    embedding_model_name,
)
from llm.errors import ModelMisconfigured, ModelRateLimited, ModelTimeout, ModelUnavailable
from llm.providers import OPENAI_URL, Provider
from llm.spending import Spending
from tests.helpers.scripted_model import Reply, refusal, word_vector
from tests.helpers.services import GEMINI

LOCAL = "http://127.0.0.1:1/v1"


@pytest.fixture
def spending():
    return Spending()


@pytest.fixture
def embed(runner, model, spending, monkeypatch):
    monkeypatch.setattr(embeddings, "_batch_limits", {})
    asked = EmbeddingModel(Provider("scripted", "vectors", "key", model.base_url))

    def embedding(texts, deadline_seconds=20):
        call = embeddings.embed(texts, asked, deadline_seconds=deadline_seconds, spending=spending)
        return runner.run(call)

    return embedding


def sizes(model):
    return [len(request["input"]) for request in model.embedding_requests]


def vectors_of(*texts):
    return [pytest.approx(word_vector(text)) for text in texts]


def cosine(one, other):
    return sum(map(float.__mul__, one, other)) / math.hypot(*one) / math.hypot(*other)


def test_each_text_gets_its_vector_in_batches_of_bounded_number(model, embed, spending):
    texts = [f"This is sentence {number}" for number in range(150)]

    vectors = embed(texts)

    assert vectors == vectors_of(*texts)
    assert all(math.isclose(math.hypot(*vector), 1) for vector in vectors)
    assert sorted(sizes(model)) == [150 - 2 * MAX_BATCH_TEXTS, MAX_BATCH_TEXTS, MAX_BATCH_TEXTS]
    assert {request["model"] for request in model.embedding_requests} == {"vectors"}
    assert (spending.prompt_tokens, spending.completion_tokens, spending.estimated) == (600, 0, 0)


def test_batches_are_of_bounded_size_and_no_text_is_endless(model, embed):
    embed(["word " * 4000] * 7 + ["word " * 400_000])

    for request in model.embedding_requests:
        assert sum(map(len, request["input"])) <= MAX_BATCH_CHARS


def test_nothing_is_asked_for_no_text(model, embed):
    assert embed([]) == []
    assert model.embedding_requests == []


def test_vectors_of_any_length_and_order_become_unit_vectors_in_order_of_texts(model, embed):
    def longer_and_reversed(body):
        answer = Reply().embeddings(body)
        for entry in answer["data"]:
            entry["embedding"] = [300 * value for value in entry["embedding"]]
        return Reply(body=json.dumps(answer | {"data": answer["data"][::-1]}).encode())

    model.embeds(longer_and_reversed)

    assert embed(["one", "two"]) == vectors_of("one", "two")


def test_a_service_that_takes_fewer_texts_is_sent_fewer_from_then_on(model, embed):
    def at_most_ten(body):
        if len(body["input"]) <= 10:
            return Reply()
        return refusal(400, "batch size is invalid, it should not be larger than 10.")

    model.embeds(at_most_ten)
    texts = [f"sentence {number}" for number in range(64)]

    assert embed(texts) == vectors_of(*texts)
    model.embedding_requests.clear()
    assert embed(texts) == vectors_of(*texts)
    assert sizes(model) == [8] * 8


def test_of_a_text_that_is_too_long_the_beginning_counts(model, embed):
    def at_most_500_characters(body):
        if max(map(len, body["input"])) <= 500:
            return Reply()
        return refusal(500, "input (602 tokens) is too large to process. increase the physical "
                            "batch size (current batch size: 512)")  # fmt: skip

    model.embeds(at_most_500_characters)
    begin, rest = "A robot has joints. ", "The sun is shining. "

    short, long, last = embed(["short", begin * 20 + rest * 100, "last"])

    assert [short, last] == vectors_of("short", "last")
    assert cosine(long, word_vector(begin)) > 0.8 > cosine(long, word_vector(rest))
    model.embedding_requests.clear()
    embed(["one", "two", "three"])
    assert sizes(model) == [3]  # it was not the number that was refused


def test_a_passing_failure_is_retried(model, embed):
    model.embeds(refusal(500), Reply(drop=True), Reply())

    assert embed(["text"]) == vectors_of("text")
    assert len(model.embedding_requests) == 3


@pytest.mark.parametrize(
    ("reply", "error", "tries"),
    [
        (refusal(503), ModelUnavailable, 3),
        (refusal(401), ModelMisconfigured, 1),
        (refusal(404, "The model `vectors` does not exist"), ModelMisconfigured, 1),
        (refusal(429, "slow down", Retry_After="60"), ModelRateLimited, 1),
    ],
)
def test_failures_are_sorted_as_those_of_answers_are(model, embed, reply, error, tries):
    model.embeds(reply)

    with pytest.raises(error):
        embed(["text"])
    assert len(model.embedding_requests) == tries


def test_a_rate_limit_is_waited_for_as_long_as_the_deadline_allows(model, embed, monkeypatch):
    waits, sleep = [], asyncio.sleep

    async def noted(seconds):
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(embeddings.asyncio, "sleep", noted)
    model.embeds(*[refusal(429, "slow down", Retry_After="10")] * 5, Reply())

    assert embed(["text"], deadline_seconds=60) == vectors_of("text")
    assert [round(seconds) for seconds in waits] == [10] * 5


def test_all_of_it_is_bounded_by_the_deadline(model, embed, spending):
    model.embeds(Reply(), Reply(hold=True))
    begin = time.monotonic()

    with pytest.raises(ModelTimeout):
        embed(["text"] * 150, deadline_seconds=0.3)
    assert time.monotonic() - begin < 5
    assert spending.estimated > 0  # what was sent may have to be paid


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome</html>",
        b"[]",
        b"{}",
        b'{"error": {"message": "overloaded"}}',
        b'{"data": []}',
        b'{"data": [null, null]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}]}',
        b'{"data": [{"embedding": [1, 2]}, {"embedding": [1]}]}',
        b'{"data": [{"embedding": [1, 2]}, {"embedding": ["a", "b"]}]}',
        b'{"data": [{"embedding": [1, 2]}, {"embedding": "AAAA"}]}',
        b'{"data": [{"embedding": [1, 2]}, {"embedding": null}]}',
        b'{"data": [{"embedding": [1, 2]}, {"embedding": [0, 0]}]}',
        b'{"data": [{"embedding": [1, 2]}, {"embedding": [NaN, 1]}]}',
    ],
)
def test_what_is_not_a_vector_for_each_text_is_a_failure(model, embed, body, spending):
    model.embeds(Reply(body=body))

    with pytest.raises(ModelUnavailable):
        embed(["one", "two"])
    assert spending.tokens > 0


def test_tokens_that_are_not_reported_are_estimated(model, embed, spending):
    model.embeds(Reply(usage=None))

    embed(["a" * 400])

    assert (spending.prompt_tokens, spending.estimated) == (None, 101)


SMALL, GEMINIS = "text-embedding-3-small", "gemini-embedding-001"


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({"OPENAI_API_KEY": "k"}, ("openai/" + SMALL, "k", None)),
        ({"OPENAI_API_KEY": "k", "EMBEDDING_MODEL": "m"}, ("openai/m", "k", None)),
        ({"GEMINI_API_KEY": "g"}, ("gemini/" + GEMINIS, "g", GEMINI.base_url)),
        ({"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "g"}, ("openai/" + SMALL, "k", None)),
        (
            {"OPENAI_BASE_URL": LOCAL, "EMBEDDING_MODEL": "m"},
            ("openai-compatible/m", "none", LOCAL),
        ),
        (
            {"OPENAI_BASE_URL": GEMINI.base_url, "OPENAI_API_KEY": "g"},
            ("openai-compatible/" + GEMINIS, "g", GEMINI.base_url),
        ),
        (
            {"OPENAI_BASE_URL": LOCAL, "EMBEDDING_API_KEY": "k"},  # not a key for that server
            ("openai/" + SMALL, "k", OPENAI_URL),
        ),
        (
            {"OPENAI_API_KEY": "k", "EMBEDDING_BASE_URL": LOCAL, "EMBEDDING_MODEL": "m"},
            ("openai-compatible/m", "none", LOCAL),
        ),
        ({"OPENAI_BASE_URL": LOCAL, "GEMINI_API_KEY": "a fallback"}, None),
        ({"OPENAI_API_KEY": "k", "EMBEDDING_MODEL": "none"}, None),
        ({"EMBEDDING_BASE_URL": LOCAL}, None),
        ({"EMBEDDING_MODEL": "m"}, None),
        ({}, None),
    ],
)
def test_who_embeds_follows_from_the_settings(settings, values, asked):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY"):
        setattr(settings, name, "")
    for name, value in values.items():
        setattr(settings, name, value)

    found = embedding_model()

    facts = (found.name, found.provider.api_key, found.provider.base_url) if found else None
    assert facts == asked
    assert embedding_model_name() == (asked[0] if asked else "")
    assert providers.has_embeddings() == (asked is not None)


@pytest.mark.parametrize(
    ("values", "embedded"),
    [
        ({}, True),
        ({"OPENAI_BASE_URL": LOCAL}, True),  # it may have no embedding model
        ({"OPENAI_API_KEY": "k"}, False),
        ({"EMBEDDING_MODEL": "none"}, False),
        ({"EMBEDDING_BASE_URL": LOCAL}, False),  # an error, not a reason to ask somebody else
    ],
)
def test_the_embedded_model_stands_in_where_nobody_else_is_known(settings, values, embedded):
    settings.EMBEDDED, settings.OPENAI_API_KEY = True, ""
    for name, value in values.items():
        setattr(settings, name, value)

    assert providers.are_embeddings_embedded() == embedded
