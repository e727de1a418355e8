"""Who is asked, how often and for how long, and what becomes of an answer."""

import asyncio
import json
import time

import openai
import pytest

from llm import clients, completions, providers, retries
from llm.errors import (
    ContextTooLong,
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from tests.helpers.scripted_model import Reply, chunk, frames, refusal
from tests.helpers.services import GEMINI
from tests.llm.conftest import PROMPT


def test_an_answer_comes_with_its_facts(ask):
    completion = ask()

    assert completion.text == "A scripted answer."
    assert (completion.model, completion.finish_reason) == ("scripted", "stop")
    assert (completion.prompt_tokens, completion.completion_tokens) == (11, 7)


def test_a_request_is_what_the_sdks_own_method_sends(model, complete, settings, monkeypatch):
    """We take the address and the headers from it, and send by ourselves, which is far cheaper."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-books")
    settings.OPENAI_API_KEY = key = "sk-of-org-books"
    complete()

    async def create():
        async with openai.AsyncOpenAI(api_key=key, base_url=model.base_url) as client:
            await client.chat.completions.create(
                model="scripted", messages=PROMPT, max_tokens=settings.LLM_MAX_OUTPUT_TOKENS
            )

    asyncio.run(create())
    ours, theirs = model.requests
    assert ours == theirs
    ours, theirs = model.headers
    assert {name.lower() for name in theirs} - {name.lower() for name in ours} <= {
        "connection",
        "x-stainless-read-timeout",
        "x-stainless-retry-count",
    }
    for name in ("authorization", "content-length", "content-type", "openai-organization"):
        assert ours[name] == theirs[name]


def test_the_key_is_sent_as_bearer(model, complete):
    complete()

    assert model.headers[0]["authorization"] == "Bearer sk-tests-only-0123456789"


def test_nothing_is_asked_to_be_compressed(model, ask):
    ask()

    assert model.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("sent", "ours"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content-filter"),
        ("content_filter: RECITATION", "content-filter"),
        ("sensitive", "content-filter"),
        ("tool_calls", "other"),
        (["stop"], "other"),
        ({"reason": "stop"}, "other"),
        (7, "other"),
    ],
)
def test_finish_reasons_are_in_our_words(model, ask, sent, ours):
    model.says(Reply(finish_reason=sent))

    assert ask().finish_reason == ours


def test_an_answer_in_one_piece_may_lack_a_finish_reason(model, complete):
    model.says(Reply(finish_reason=None))

    assert complete().finish_reason == "other"


FAILURES = ["error", "network_error", "insufficient_system_resource", "abort"]


@pytest.mark.parametrize("word", FAILURES)
def test_a_finish_reason_may_say_that_half_an_answer_is_none(model, ask, word):
    model.says(Reply("Half of it", finish_reason=word))

    with pytest.raises(ModelUnavailable):
        ask()


def test_a_name_of_any_length_fits(model, complete):
    completion = Reply().completion("m" * 1000)
    model.says(Reply(body=json.dumps(completion).encode()))

    assert len(complete().model) == 255


# Retries --------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 529])
def test_what_may_pass_is_tried_again_three_times_in_all(model, ask, status):
    model.says(refusal(status))

    with pytest.raises(ModelUnavailable):
        ask()

    assert len(model.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 422, 451])
def test_what_will_not_change_is_asked_once(model, ask, status):
    model.says(refusal(status))

    with pytest.raises(ModelError):
        ask()

    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        refusal(400),
        refusal(401),
        refusal(402),
        refusal(422),
        refusal(429),
        refusal(429, "You are out of money.", "insufficient_quota"),
        refusal(500),
        refusal(400, "The prompt triggered the content management policy", "content_filter"),
        Reply("", finish_reason="content_filter"),
        Reply("", finish_reason="length"),
        Reply(None, finish_reason="stop"),
        Reply(body=b"no JSON"),
        frames({"error": {"message": "down"}}),
    ],
)
def test_the_second_service_answers_where_the_first_cannot(model, ask, fallback, settings, reply):
    model.says(reply)
    fallback.says("From the other one.")

    assert ask().text == "From the other one."
    assert fallback.requests[0]["model"] == settings.GEMINI_MODEL
    assert fallback.headers[0]["authorization"] == "Bearer gemini-key"


def test_a_content_filter_is_asked_once(model, ask):
    model.says(Reply("", finish_reason="content_filter"))

    with pytest.raises(ModelUnavailable):
        ask()

    assert len(model.requests) == 1


def test_what_a_content_filter_lets_through_is_an_answer(model, ask):
    model.says(Reply("So far", finish_reason="content_filter"))

    assert ask().text == "So far"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "", "reasoning_content": "Let me think about that for long"},
        {"content": None, "reasoning": "Let me think about that for long"},
        {"content": "<think>Let me think about that for long"},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]}]},
    ],
)
def test_an_answer_whose_limit_was_eaten_by_thinking_is_asked_once(model, ask, message):
    model.says(Reply(message=message, chunks=(message,), finish_reason="length"))

    with pytest.raises(ModelUnavailable):
        ask()

    assert len(model.requests) == 1


def test_an_empty_answer_is_tried_again(model, ask):
    model.says(Reply(" \n"), "There it is.")

    assert ask().text == "There it is."


def test_the_second_service_is_left_alone_while_the_first_answers(model, complete, fallback):
    complete()

    assert fallback.requests == []


def test_a_prompt_that_is_too_long_is_no_reason_to_ask_another(model, ask, fallback):
    model.says(refusal(400, "too long", "context_length_exceeded"))

    with pytest.raises(ContextTooLong):
        ask()

    assert fallback.requests == []


def test_what_a_reader_has_seen_is_not_retried(model, stream, asked, fallback):
    model.says(Reply("Half of an answer", cut=2))

    with pytest.raises(ModelUnavailable):
        stream()

    assert asked.text == "Half of "
    assert (len(model.requests), len(fallback.requests)) == (1, 0)


def test_without_a_model_nobody_is_asked(settings, complete):
    settings.OPENAI_BASE_URL = settings.OPENAI_API_KEY = ""

    with pytest.raises(ModelMisconfigured):
        complete()


# Delays ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "given", ["nan", "inf", "-inf", "-1", "0", "1e999", "Mon, 23 Nov 2026 12:00:00 GMT", "", "soon"]
)
def test_a_retry_after_of_any_kind_is_understood_or_left(model, complete, settings, given):
    settings.LLM_TIMEOUT_SECONDS = 0.5
    model.says(refusal(429, retry_after=given))

    with pytest.raises((ModelRateLimited, ModelTimeout)) as refused:
        complete()

    if isinstance(refused.value, ModelRateLimited):
        assert 1 <= refused.value.retry_after <= 3600


def rate_limited(body=None, message="Slow down.", status=429, **headers):
    error = {"message": message, "code": "rate_limit_exceeded"} | (body or {})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=json.dumps({"error": error}).encode(), headers=named)


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (rate_limited(retry_after="17"), 17),
        (rate_limited(retry_after="17.2"), 18),
        (rate_limited(retry_after_ms="16500"), 17),
        (rate_limited(retry_after="40", retry_after_ms="16500"), 17),
        (rate_limited(body={"details": [{"@type": "RetryInfo", "retryDelay": "39s"}]}), 39),
        (rate_limited(body={"details": [{"retryDelay": "38.6s"}]}), 39),
        (rate_limited(message="Please try again in 20s."), 20),
        (rate_limited(message="Please try again in 7.66s. Visit us."), 8),
        (rate_limited(message="Please retry in 1m2.5s."), 63),
        (rate_limited(message="Please retry in 39.114s"), 40),
        (rate_limited(message="Limit reached, try again in 6m0s"), 360),
        (rate_limited(message="Please retry after 20 seconds."), 20),
        (rate_limited(message="Please wait 25 seconds before you ask again"), 25),
        (rate_limited(message="Try again in 2 minutes"), 120),
        (rate_limited(message="Rate limit: try again in 1h2m3s"), 3600),
        (rate_limited(message="The limit resets in 90 sec"), 90),
        (rate_limited(body={"retry_after": 33}), 33),
        (rate_limited(), 10),
    ],
)
def test_a_delay_is_heeded_wherever_it_stands(model, ask, reply, seconds):
    model.says(reply)

    with pytest.raises(ModelRateLimited) as refused:
        ask()

    assert refused.value.retry_after == seconds
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [rate_limited(message="Please try again in 950ms."), rate_limited(retry_after_ms="400")],
)
def test_a_short_delay_is_waited_for(model, ask, reply):
    model.says(reply, "There you are.")
    begin = time.monotonic()

    assert ask().text == "There you are."
    assert time.monotonic() - begin >= 0.9


# Time -----------------------------------------------------------------------------------------
def test_the_second_service_is_asked_in_time_when_the_first_hangs(model, ask, fallback, settings):
    settings.LLM_TIMEOUT_SECONDS = 6  # half of it for each, also on a busy machine
    model.says(Reply(hold=True))
    begin = time.monotonic()

    completion = ask()

    assert completion.text == "A scripted answer."
    assert len(fallback.requests) == 1
    assert time.monotonic() - begin < 6


@pytest.mark.parametrize(
    "life",
    [
        chunk(reasoning_content="Hm."),
        chunk(reasoning="Hm."),
        chunk("<think>Hm."),
        chunk([{"type": "thinking", "thinking": "Hm."}]),
        chunk(""),
        {},
        ": OPENROUTER PROCESSING",
        'event: ping\ndata: {"type": "ping"}',
    ],
)
def test_a_service_that_thinks_aloud_is_not_hanging(model, stream, fallback, settings, life):
    settings.LLM_TIMEOUT_SECONDS = 2
    first = frames(life, done=False).body
    rest = frames(chunk("</think>" if "<think>" in str(life) else ""), chunk("Well.", "stop")).body
    model.says(Reply(pieces=[first, rest], gap=1.3))

    assert stream().text == "Well."
    assert fallback.requests == []


def test_blank_space_before_an_answer_in_one_piece_is_life_too(model, complete, fallback, settings):
    settings.LLM_TIMEOUT_SECONDS = 2
    answer = json.dumps(Reply("Well.").completion("scripted")).encode()
    model.says(Reply(pieces=[b"\n", b"\n" + answer], gap=1.3))

    assert complete().text == "Well."
    assert fallback.requests == []


def test_a_service_that_showed_life_once_is_not_waited_for_when_it_hangs_then(
    model, stream, fallback, settings
):
    settings.LLM_TIMEOUT_SECONDS = 4
    model.says(frames(chunk(""), {"error": {"message": "overloaded"}}), Reply(hold=True))
    begin = time.monotonic()

    assert stream().text == "A scripted answer."
    assert (len(model.requests), len(fallback.requests)) == (2, 1)
    assert time.monotonic() - begin < 4


def test_the_whole_call_is_bounded_retries_included(model, ask, settings, monkeypatch):
    settings.LLM_TIMEOUT_SECONDS = 0.7
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.5)
    model.says(refusal(500))
    begin = time.monotonic()

    with pytest.raises(ModelTimeout):
        ask()

    assert time.monotonic() - begin < 10


def test_a_service_that_thinks_for_ever_is_bounded(model, stream, settings):
    settings.LLM_TIMEOUT_SECONDS = 0.7
    thought = frames(chunk(reasoning_content="Hm."), done=False).body
    model.says(Reply(pieces=iter(lambda: thought, None), gap=0.05))
    begin = time.monotonic()

    with pytest.raises(ModelTimeout):
        stream()

    assert time.monotonic() - begin < 10


# Connections and services ---------------------------------------------------------------------
def test_a_clients_connections_serve_many_calls(model, runner, ask):
    async def ports():
        return {peer.get_extra_info("sockname") for peer in await _open_connections()}

    ask()
    first = runner.run(ports())
    ask()

    assert len(first) == 1
    assert runner.run(ports()) == first


async def _open_connections():
    found = clients._client(providers.providers()[0])
    connector = found.transport._session.connector
    return [proto.transport for conns in connector._conns.values() for proto, _ in conns]


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
def test_the_settings_decide_which_service_is_asked(settings, values, asked):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY"):
        setattr(settings, name, values.get(name, ""))

    found = [(p.name, p.model, p.base_url, p.output_limit) for p in providers.providers()]
    assert found == asked


@pytest.mark.parametrize(
    ("tail", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("?api-version=2025-04-01", "/v1/chat/completions?api-version=2025-04-01"),
        ("/?a=1&b=%20#top", "/v1/chat/completions?a=1&b=%20"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/chat/completions?api-version=1", "/v1/chat/completions?api-version=1"),
    ],
)
def test_a_base_urls_query_stays_behind_the_path(model, ask, settings, tail, path):
    settings.OPENAI_BASE_URL = f"{model.base_url}{tail}"

    ask()

    assert model.paths == [path]


def test_azures_key_goes_into_its_own_header_too(model, ask, settings):
    settings.OPENAI_BASE_URL = f"{model.base_url}?api-version=2025-04-01"

    ask()

    assert model.headers[0]["api-key"] == "sk-tests-only-0123456789"


def test_a_proxy_is_used_where_the_environment_names_one(second, model, settings, monkeypatch):
    monkeypatch.setenv("http_proxy", second.base_url.removeprefix("http://").removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    settings.OPENAI_BASE_URL = "http://model.example/v1"

    assert asked_once().text == "A scripted answer."
    assert second.paths == ["http://model.example/v1/chat/completions"]

    settings.OPENAI_BASE_URL = model.base_url
    asked_once()
    assert len(model.requests) == 1


def test_the_password_of_a_proxy_that_refuses_is_not_in_the_log(second, settings, monkeypatch):
    address = second.base_url.removeprefix("http://").removesuffix("/v1")
    monkeypatch.setenv("https_proxy", f"http://reader:pass-word@{address}")
    settings.OPENAI_BASE_URL = "https://model.example/v1"

    with pytest.raises(ModelUnavailable, match="501") as refused:  # it knows no CONNECT
        asked_once()

    assert "pass-word" not in str(refused.value)


def asked_once():
    """By a client of its own."""

    async def asked():
        try:
            return await completions.complete(PROMPT)
        finally:
            await completions.close_clients()

    return asyncio.run(asked())


@pytest.mark.parametrize("key", ["sk-\nX-Injected: 1", "schlüssel-日本", "key\0"])
def test_a_key_that_cannot_be_a_header_is_a_misconfiguration(model, ask, settings, key):
    settings.OPENAI_API_KEY = key

    with pytest.raises(ModelMisconfigured) as refused:
        ask()

    assert key not in str(refused.value)
    assert model.requests == []
