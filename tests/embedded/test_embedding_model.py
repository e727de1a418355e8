"""The embedded embedding model: converted once, on this machine alone, near what means the same."""

import asyncio
import json
import urllib.error
import urllib.request

import psutil
import pytest

from embedded import embedding_model
from llm import completions
from llm.embeddings import EmbeddingModel, embed
from llm.providers import EMBEDDED, Provider
from tests.embedded.test_embedded_service import gone

QUESTION = "How can I start the robot again?"
PARAPHRASE = "Restarting the machine"
UNRELATED = "The cat sleeps on the warm window sill."
# What the weights give before their conversion, computed in 32 bits from the package's tokenizer.
RARE_WORDS = "Ünïcödé naïve café — “quotes” … 3.14 C++ C#"
ORIGINAL = (-0.0716, 0.0051, 0.0194, 0.0202, -0.0311, 0.0066)  # and so on


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("embeddings") / ".embedded"


@pytest.fixture(scope="module")
def endpoint(folder):
    yield embedding_model.start(folder)
    embedding_model.stop(folder)


@pytest.fixture
def pid(endpoint, folder):
    return json.loads((folder / "embedding_model.json").read_text())["pid"]


@pytest.fixture
def vectors(endpoint):
    """The vectors of these texts, as the search of the book gets them."""
    provider = Provider(EMBEDDED, endpoint.model, endpoint.api_key, endpoint.base_url)

    async def asked(texts):
        try:
            return await embed(texts, EmbeddingModel(provider), deadline_seconds=60)
        finally:
            await completions.close_clients()

    return lambda *texts: asyncio.run(asked(texts))


def similarity(one, other):
    return sum(map(float.__mul__, one, other))


def test_a_paraphrase_is_closer_than_what_means_something_else(vectors):
    question, paraphrase, unrelated = vectors(QUESTION, PARAPHRASE, UNRELATED)

    assert len(question) == 384
    assert similarity(question, paraphrase) > 0.5 > 0.1 > similarity(question, unrelated)


def test_its_vectors_are_those_of_the_original_weights(vectors):
    (vector,) = vectors(RARE_WORDS)

    assert tuple(vector[: len(ORIGINAL)]) == pytest.approx(ORIGINAL, abs=0.005)


def test_of_a_text_beyond_its_512_tokens_the_beginning_counts(vectors):
    begin = "A quadruped walks by moving diagonal pairs of legs. "

    long, short, unrelated = vectors(begin * 100, begin, UNRELATED)

    assert similarity(long, short) > 0.5
    assert similarity(long, unrelated) < 0.2


def test_it_answers_for_its_key_alone_and_on_this_machine_alone(endpoint, pid):
    headers = {"Content-Type": "application/json", "Authorization": "Bearer guessed"}
    request = urllib.request.Request(f"{endpoint.base_url}/embeddings", b'{"input":"x"}', headers)

    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=30)
    refusal.value.close()
    assert refusal.value.code == 401
    listening = psutil.Process(pid).net_connections("tcp")
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}


def test_it_needs_less_than_200_mb(vectors, pid):
    vectors(*["A robot arm moves. " * 80] * 8)

    assert psutil.Process(pid).memory_info().rss < 200 * 2**20


def test_its_weights_are_converted_once_and_it_is_gone_when_unused(tmp_path):
    embedding_model.start(tmp_path)
    (weights,) = tmp_path.glob("*.gguf")
    made = weights.stat().st_mtime_ns
    first = json.loads((tmp_path / "embedding_model.json").read_text())["pid"]
    embedding_model.stop(tmp_path)
    assert gone(first, 0)

    embedding_model.start(tmp_path)
    embedding_model.stop(tmp_path)

    assert [each.stat().st_mtime_ns for each in tmp_path.glob("*.gguf")] == [made]
