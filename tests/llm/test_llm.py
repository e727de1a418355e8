"""The model's service: who is asked, how, and what becomes of a failure."""

import asyncio
import json
import time

import openai
import pytest

from llm import completions, providers
from llm.errors import (
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from tests.helpers.scripted_model import Reply, ScriptedModel, refusal
from tests.helpers.services import GEMINI, with_gemini_at

PROMPT = [
    {"role": "system", "content": "You are here to help."},
    {"role": "user", "content": "Hello, ünï🤖?"},
]


def complete():
    async def once():
        try:
            return await completions.complete(PROMPT)
        finally:
            await completions.close_clients()

    return asyncio.run(once())


@pytest.fixture
def second():
    """Another scripted model, to fall back on."""
    model = ScriptedModel()
    yield model
    model.close()


@pytest.fixture
def fallback(settings, model, second, ask_llm, monkeypatch):
    settings.GEMINI_API_KEY = "gemini-key"
    monkeypatch.setattr(providers, "SERVICES", with_gemini_at(second.base_url))
    monkeypatch.setattr(completions, "FIRST_PAUSE_SECONDS", 0.01)
    return second


@pytest.mark.usefixtures("ask_llm")
def test_an_answer_comes_with_its_facts(model):
    completion = complete()

    assert completion.text == "A scripted answer."
    assert (completion.model, completion.finish_reason) == ("scripted", "stop")
    assert (completion.prompt_tokens, completion.completion_tokens) == (11, 7)


@pytest.mark.usefixtures("ask_llm")
def test_the_wires_body_is_what_the_sdks_own_method_sends(model, settings):
    """We send with `client.post`, which is cheaper than `chat.completions.create`."""
    complete()

    async def create():
        async with openai.AsyncOpenAI(api_key="k", base_url=model.base_url) as client:
            await client.chat.completions.create(
                model="scripted", messages=PROMPT, max_tokens=settings.LLM_MAX_OUTPUT_TOKENS
            )

    asyncio.run(create())
    ours, theirs = model.requests
    assert ours == theirs


@pytest.mark.usefixtures("ask_llm")
def test_the_key_is_sent_as_bearer(model):
    complete()

    assert model.headers[0]["authorization"] == "Bearer sk-tests-only-0123456789"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "other"),
        (None, "other"),
    ],
)
@pytest.mark.usefixtures("ask_llm")
def test_finish_reasons_are_told_in_our_words(model, sent, told):
    model.says(Reply(finish_reason=sent))

    assert complete().finish_reason == told


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": -1}, {"prompt_tokens": "many"}])
@pytest.mark.usefixtures("ask_llm")
def test_usage_may_be_missing_or_nonsense(model, usage):
    model.says(Reply(usage=usage))

    assert complete().prompt_tokens is None


@pytest.mark.usefixtures("ask_llm")
def test_a_name_of_any_length_fits(model):
    completion = Reply().completion("m" * 1000)
    model.says(Reply(body=json.dumps(completion).encode()))

    assert len(complete().model) == 255


def test_failures_are_tried_again_three_times_in_all(model, ask_llm, monkeypatch):
    monkeypatch.setattr(completions, "FIRST_PAUSE_SECONDS", 0.01)
    model.says(refusal(500))

    with pytest.raises(ModelUnavailable):
        complete()

    assert len(model.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_change_is_not_tried_again(model, ask_llm, status, monkeypatch):
    monkeypatch.setattr(completions, "FIRST_PAUSE_SECONDS", 0.01)
    model.says(refusal(status, "maximum context length"))

    with pytest.raises(ModelError):
        complete()

    assert len(model.requests) == 1


@pytest.mark.parametrize("status", [401, 429, 500])
def test_the_second_service_answers_where_the_first_cannot(model, fallback, settings, status):
    model.says(refusal(status))
    fallback.says("From the other one.")

    assert complete().text == "From the other one."
    assert fallback.requests[0]["model"] == settings.GEMINI_MODEL
    assert fallback.headers[0]["authorization"] == "Bearer gemini-key"


def test_the_second_service_is_asked_in_time_when_the_first_hangs(model, fallback, settings):
    settings.LLM_TIMEOUT_SECONDS = 2
    model.says(Reply(delay=4))
    begin = time.monotonic()

    completion = complete()

    assert completion.text == "A scripted answer."
    assert len(fallback.requests) == 1
    assert time.monotonic() - begin < 2


def test_the_second_service_is_left_alone_while_the_first_answers(model, fallback):
    complete()

    assert fallback.requests == []


def test_a_prompt_that_is_too_long_is_no_reason_to_ask_another(model, fallback):
    model.says(refusal(400, "too long", "context_length_exceeded"))

    with pytest.raises(ModelError, match="longer"):
        complete()

    assert fallback.requests == []


def test_the_whole_call_is_bounded_retries_included(model, ask_llm, settings, monkeypatch):
    settings.LLM_TIMEOUT_SECONDS = 0.7
    monkeypatch.setattr(completions, "FIRST_PAUSE_SECONDS", 0.5)
    model.says(refusal(500))
    begin = time.monotonic()

    with pytest.raises(ModelTimeout):
        complete()

    assert time.monotonic() - begin < 1.5


def test_a_clients_connections_serve_many_calls(model, ask_llm):
    async def twice():
        await completions.complete(PROMPT)
        first = completions._client(providers.providers()[0])
        await completions.complete(PROMPT)
        assert completions._client(providers.providers()[0]) is first
        await completions.close_clients()

    asyncio.run(twice())


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({"OPENAI_API_KEY": "k"}, [("openai", "gpt-4.1-mini", None, "max_completion_tokens")]),
        (
            {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"},
            [("openai-compatible", "gpt-4.1-mini", "http://127.0.0.1:1/v1", "max_tokens")],
        ),
        (
            {"GEMINI_API_KEY": "g"},
            [("gemini", "gemini-2.5-flash-lite", GEMINI.base_url, "max_tokens")],
        ),
        (
            {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "g"},
            [
                ("openai", "gpt-4.1-mini", None, "max_completion_tokens"),
                ("gemini", "gemini-2.5-flash-lite", GEMINI.base_url, "max_tokens"),
            ],
        ),
        ({}, []),
    ],
)
def test_who_is_asked_follows_from_the_settings(settings, values, asked):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY"):
        setattr(settings, name, values.get(name, ""))

    found = [(p.name, p.model, p.base_url, p.output_limit) for p in providers.providers()]
    assert found == asked


def test_without_a_model_nobody_is_asked(settings):
    settings.OPENAI_API_KEY = ""

    with pytest.raises(ModelMisconfigured):
        complete()


@pytest.mark.parametrize("said", ["nan", "inf", "-1", "1e999", "Mon, 23 Nov 2026 12:00:00 GMT", ""])
def test_a_retry_after_of_any_kind_is_understood_or_left(model, ask_llm, said):
    model.says(refusal(429, retry_after=said))

    with pytest.raises(ModelRateLimited) as refused:
        complete()

    assert 1 <= refused.value.retry_after <= 3600


def test_an_answer_nested_beyond_all_measure_is_garbage(model, ask_llm, monkeypatch):
    monkeypatch.setattr(completions, "FIRST_PAUSE_SECONDS", 0.01)
    model.says(Reply(body=b"[" * 200_000))

    with pytest.raises(ModelUnavailable):
        complete()
