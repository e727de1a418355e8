"""A service that refuses a parameter is asked without it, from then on."""

import json

import pytest

from llm import dialects
from llm.errors import ContextTooLong, ModelError, ModelMisconfigured, ModelUnavailable
from llm.providers import Provider
from tests.helpers.scripted_model import Reply, frames, refusal
from tests.llm.conftest import PROMPT


def error(message, status=400, **fields):
    return Reply(status=status, body=json.dumps({"error": {"message": message} | fields}).encode())


def refusing(*parameters, wording=None):
    """A service that refuses these."""

    def decide(body):
        for name in parameters:
            if name in body:
                return wording or error(f"Unsupported parameter: '{name}'", param=name)
        return Reply()

    return decide


MAX_TOKENS = {
    "OpenAI": error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        param="max_tokens",
        code="unsupported_parameter",
    ),
    "GitHub": error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        code="invalid_request_body",
    ),
    "older Azure": error("Unrecognized request argument supplied: max_tokens"),
    "Mistral": Reply(
        status=422,
        body=json.dumps(
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "max_tokens"],
                            "msg": "Extra inputs are not permitted",
                            "input": 1024,
                        }
                    ]
                },
            }
        ).encode(),
    ),
    "vLLM": error(
        "[{'type': 'extra_forbidden', 'loc': ('body', 'max_tokens'), 'msg': 'Extra inputs are not "
        "permitted', 'input': 1024}]",
        type="BadRequestError",
    ),
    "Azure's serverless models": Reply(
        status=422, body=b'{"detail":"Extra parameters [\'max_tokens\'] are not allowed"}'
    ),
    "a name as a key": Reply(status=400, body=b'{"errors": {"max_tokens": ["Unknown field."]}}'),
    "a server's crash": error(
        "create() got an unexpected keyword argument 'max_tokens'", status=500
    ),
    "the other way round": error("Use 'max_completion_tokens' instead of 'max_tokens'."),
    "within a 200": Reply(body=b'{"error": {"message": "max_tokens is not supported"}}'),
}


@pytest.mark.parametrize("wording", MAX_TOKENS.values(), ids=MAX_TOKENS)
def test_the_limit_is_sent_by_its_other_name(model, ask, settings, wording):
    model.decides(refusing("max_tokens", wording=wording))

    assert ask().text == "A scripted answer."
    assert model.requests[-1]["max_completion_tokens"] == settings.LLM_MAX_OUTPUT_TOKENS
    assert "max_tokens" not in model.requests[-1]
    assert len(model.requests) == 2


def test_it_is_remembered(model, ask):
    model.decides(refusing("max_tokens"))

    ask()
    ask()

    assert [name for body in model.requests for name in body if name.startswith("max_")] == [
        "max_tokens",
        "max_completion_tokens",
        "max_completion_tokens",
    ]


def test_it_is_remembered_of_that_provider_alone(model, ask, fallback):
    model.decides(lambda body: refusal(503) if "max_tokens" not in body else MAX_TOKENS["OpenAI"])

    ask()

    assert "max_tokens" in fallback.requests[0]


def test_what_was_tried_in_vain_is_not_remembered(model, ask):
    model.decides(lambda body: error("max_tokens, max_completion_tokens: no"))

    with pytest.raises(ModelUnavailable):
        ask()
    model.forget()
    ask()

    assert "max_tokens" in model.requests[0]


def test_the_old_name_is_tried_where_the_new_one_is_refused(model, ask, monkeypatch):
    monkeypatch.setattr("llm.providers.Provider.output_limit", "max_completion_tokens")
    model.decides(refusing("max_completion_tokens"))

    ask()

    assert "max_tokens" in model.requests[-1]


def test_a_service_that_takes_neither_is_asked_without(model, ask):
    model.decides(refusing("max_tokens", "max_completion_tokens"))

    assert ask().text == "A scripted answer."
    assert len(model.requests) == 3


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("max_tokens is too large: 1024. This model supports at most 500 completion tokens", 500),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 512]", 512),
        ("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 600]", 600),
        (
            "`max_tokens` must be less than or equal to `700`, the maximum value for `max_tokens` "
            "is less than the `context_window` for this model",
            700,
        ),
        ("max_tokens: 1024 > 800, which is the maximum allowed number of output tokens", None),
    ],
)
def test_a_limit_that_is_too_large_is_lowered(model, ask, message, most):
    def decide(body):
        limit = body.get("max_tokens", 0)
        return error(message) if limit > (most or 800) else Reply()

    model.decides(decide)

    assert ask().text == "A scripted answer."
    assert model.requests[-1].get("max_tokens") == most


@pytest.mark.parametrize(
    "wording",
    [
        error("Unknown parameter: 'stream_options'. (request id: 2024)"),
        error("stream_options is not supported"),
        error(
            "Failed to deserialize the JSON body: unknown field `stream_options`, expected one of "
            "`model`, `messages`, `max_tokens`, `stream`"
        ),
        Reply(
            status=422,
            body=b'{"message": {"detail": [{"type": "extra_forbidden", "loc": ["body", '
            b'"stream_options", "include_usage"], "msg": "Extra inputs are not permitted"}]}}',
        ),
    ],
)
def test_a_stream_is_asked_for_without_its_options(model, stream, wording):
    model.decides(refusing("stream_options", wording=wording))

    assert stream().text == "A scripted answer."
    assert model.requests[-1]["stream"] is True
    assert "max_tokens" in model.requests[-1]
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    "wording",
    [
        error(
            "Your organization must be verified to stream this model.",
            param="stream",
            code="unsupported_value",
        ),
        error("Unsupported value: 'stream' does not support true with this model."),
        error("Streaming is not supported for this model"),
    ],
)
def test_a_service_that_does_not_stream_is_asked_for_one_piece(model, stream, asked, wording):
    model.decides(refusing("stream", wording=wording))

    assert stream().text == asked.text == "A scripted answer."
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    "wording",
    [
        error("System role not supported"),
        error("Developer instruction is not enabled for models/gemma-3-27b-it"),
        error("Unsupported value: 'messages[0].role' does not support 'system' with this model."),
        error("Conversation roles must alternate user/assistant/user/assistant/..."),
    ],
)
def test_what_the_system_says_is_put_before_the_question(model, ask, wording):
    model.decides(lambda body: wording if body["messages"][0]["role"] == "system" else Reply())

    assert ask().text == "A scripted answer."
    system, question = PROMPT
    assert model.prompt == [
        {"role": "user", "content": f"{system['content']}\n\n{question['content']}"}
    ]


def test_several_things_may_be_refused(model, stream):
    model.decides(refusing("max_tokens", "stream_options"))

    assert stream().text == "A scripted answer."
    assert len(model.requests) == 3


def test_a_service_that_refuses_for_ever_is_given_up(model, ask):
    model.says(error("max_tokens, max_completion_tokens, stream_options, stream: no"))

    with pytest.raises(ModelUnavailable):
        ask()

    assert len(model.requests) <= 7


@pytest.mark.parametrize(
    ("message", "status", "kind"),
    [
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum "
            "context length is 4096 tokens and your request has 3500 input tokens",
            400,
            ContextTooLong,
        ),
        (
            "input length and `max_tokens` exceed context limit: 198157 + 21333 > 200000",
            400,
            ContextTooLong,
        ),
        ("This request requires more credits, or fewer max_tokens.", 402, ModelMisconfigured),
    ],
)
def test_a_parameter_may_be_named_without_being_refused(model, ask, message, status, kind):
    model.says(error(message, status))

    with pytest.raises(ModelError) as refused:
        ask()

    assert type(refused.value) is kind
    assert len(model.requests) == 1


def test_an_event_of_a_stream_may_refuse_a_parameter(model, stream):
    no = frames({"error": {"message": "Unsupported parameter: stream_options", "code": 400}})
    model.decides(refusing("stream_options", wording=no))

    assert stream().text == "A scripted answer."


def test_what_changed_is_said_in_the_log(model, ask, logged):
    model.decides(refusing("max_tokens"))

    ask()

    assert "max_tokens" in "\n".join(logged)


def test_the_usual_dialect_is_no_news(model, ask, logged):
    ask()

    assert dialects._known == {}
    assert "another way" not in "\n".join(logged)


@pytest.mark.parametrize(("name", "limit"), [("embedded", 256), ("openai-compatible", 1000)])
def test_the_embedded_model_is_asked_for_a_short_answer(settings, name, limit):
    settings.LLM_MAX_OUTPUT_TOKENS = 1000
    provider = Provider(name, "m", "k", "http://127.0.0.1:1/v1")

    assert dialects.known(provider).body(provider, [], streaming=False)["max_tokens"] == limit
