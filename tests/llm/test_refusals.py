"""What services say in place of an answer, as they word and wrap it, and what we make of it.

The sentences are from the services' documentation and source and from reports of their users.
"""

import json
import time

import pytest

from llm.errors import (
    ContextTooLong,
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelUnavailable,
)
from tests.helpers.scripted_model import Reply, frames, refusal

# (status, message, code or type) by service
TOO_LONG = {
    "OpenAI": (
        400,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in "
        "204308 tokens. Please reduce the length of the messages.",
        "context_length_exceeded",
    ),
    "OpenAI, newer": (400, "Your input exceeds the context window of this model.", None),
    "OpenAI, configured": (400, "Input tokens exceed the configured limit of 922000 tokens.", None),
    "OpenAI, one message": (
        400,
        "Invalid 'messages[1].content': string too long. Expected a string with maximum length "
        "1048576, but got a string with length 1500000 instead.",
        "string_above_max_length",
    ),
    "OpenAI, more than a minute takes": (
        429,
        "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 41000. The "
        "input or output tokens must be reduced in order to run successfully.",
        "rate_limit_exceeded",
    ),
    "Azure": (
        400,
        "This model's maximum context length is 8192 tokens, however you requested 8977 tokens "
        "(8977 in your prompt; 0 for the completion).",
        "context_length_exceeded",
    ),
    "Gemini": (
        400,
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "INVALID_ARGUMENT",
    ),
    "Gemini, in trouble": (500, "Your input context is too long.", "INTERNAL"),
    "Anthropic": (
        400,
        "prompt is too long: 213462 tokens > 200000 maximum",
        "invalid_request_error",
    ),
    "Anthropic, with the answer": (
        400,
        "input length and `max_tokens` exceed context limit: 198157 + 21333 > 200000",
        "invalid_request_error",
    ),
    "Anthropic, bytes": (413, "Request exceeds the maximum size", "request_too_large"),
    "xAI": (
        400,
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        None,
    ),
    "xAI, newer": (
        400,
        "[input_too_large] Current message (1149677 tokens) exceeds budget (975424 tokens)",
        None,
    ),
    "Bedrock": (400, "Input is too long for requested model.", "ValidationException"),
    "Mistral": (
        400,
        "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum "
        "context length",
        "invalid_request_error",
    ),
    "Groq": (
        400,
        "Please reduce the length of the messages or completion.",
        "context_length_exceeded",
    ),
    "Groq, more than a minute takes": (
        413,
        "Request too large for model `llama-3.3-70b-versatile` on tokens per minute (TPM): Limit "
        "12000, Requested 14137, please reduce your message size and try again.",
        "rate_limit_exceeded",
    ),
    "Cerebras": (
        400,
        "Please reduce the length of the messages or completion. Current length is 42328 while "
        "limit is 40000",
        "context_length_exceeded",
    ),
    "Together": (
        422,
        "The input (140000 tokens) is longer than the model's context length (131072 tokens).",
        "invalid_request_error",
    ),
    "Fireworks": (
        400,
        "The prompt is too long: 140000, model maximum context length: 131071",
        "invalid_request_error",
    ),
    "DeepSeek": (
        400,
        "This model's maximum context length is 131072 tokens. However, you requested 131134 "
        "tokens (122942 in the messages, 8192 in the completion).",
        "invalid_request_error",
    ),
    "GLM": (400, "Prompt exceeds max length", "1261"),
    "GLM, in Chinese": (400, "Prompt 超长", "1261"),
    "Moonshot": (
        400,
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)",
        "invalid_request_error",
    ),
    "Moonshot, older": (400, "Input token length too long", "invalid_request_error"),
    "DashScope": (
        400,
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
        "invalid_parameter_error",
    ),
    "MiniMax": (400, "invalid params, context window exceeds limit (2013)", "bad_request_error"),
    "Cohere": (
        400,
        "too many tokens: total number of tokens in the prompt cannot exceed 4081",
        None,
    ),
    "OpenRouter": (
        400,
        "This endpoint's maximum context length is 131072 tokens. However, you requested about "
        "138956 tokens (7884 of text input, 131072 in the output).",
        None,
    ),
    "OpenRouter, another route": (
        400,
        "Input length 300000 exceeds the maximum allowed input length of 262144 tokens.",
        None,
    ),
    "GitHub": (
        400,
        "prompt token count of 130000 exceeds the limit of 128000",
        "model_max_prompt_tokens_exceeded",
    ),
    "GitHub Models": (413, "Request body too large for gpt-4o model. Max size: 8000 tokens.", None),
    "LiteLLM": (
        400,
        "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - prompt too "
        "long",
        "400",
    ),
    "vLLM": (
        400,
        "This model's maximum context length is 4096 tokens. However, you requested 4200 tokens "
        "(3176 in the messages, 1024 in the completion).",
        "BadRequestError",
    ),
    "vLLM, newer": (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum context "
        "length is 4096 tokens and your request has 3500 input tokens (1024 > 4096 - 3500).",
        "BadRequestError",
    ),
    "vLLM, prompt alone": (
        400,
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "BadRequestError",
    ),
    "SGLang": (
        400,
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "BadRequestError",
    ),
    "SGLang, newer": (
        400,
        "Requested token count exceeds the model's maximum context length of 131072 tokens.",
        "BadRequestError",
    ),
    "TGI": (
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3500 "
        "`inputs` tokens and 1024 `max_new_tokens`",
        "validation",
    ),
    "TGI, prompt alone": (
        422,
        "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168",
        "validation",
    ),
    "llama.cpp": (
        400,
        "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "exceed_context_size_error",
    ),
    "llama.cpp, older": (500, "Context size has been exceeded.", "server_error"),
    "llama-cpp-python": (
        400,
        "Requested tokens (2285) exceed context window of 2048",
        "invalid_request_error",
    ),
    "LM Studio": (
        400,
        "Trying to keep the first 15857 tokens when context the overflows. However, the model is "
        "loaded with context length of only 4096 tokens, which is not enough.",
        None,
    ),
    "LM Studio, newer": (
        400,
        "The number of tokens to keep from the initial prompt is greater than the context length "
        "(n_keep: 9000 >= n_ctx: 4096).",
        None,
    ),
    "Ollama": (400, "prompt too long; exceeded max context length by 500 tokens", "api_error"),
    "Ollama, older": (500, "input length exceeds the context length", "api_error"),
    "Cloudflare": (
        400,
        "AiError: The estimated number of input and maximum output tokens (9000) exceeded this "
        "model context window limit (8000).",
        "5021",
    ),
    "watsonx": (
        400,
        "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
        "invalid_input_argument",
    ),
    "Databricks": (400, "Prompt length exceeds the max model len", "BAD_REQUEST"),
    "pydantic": (422, "String should have at most 20000 characters", "string_too_long"),
    "in Chinese": (400, "输入内容超出模型限制", None),
    "nginx": (413, "Request Entity Too Large", None),
}

MISCONFIGURED = {
    # The key
    "OpenAI": (401, "Incorrect API key provided: sk-te****6789.", "invalid_api_key"),
    "Azure": (
        401,
        "Access denied due to invalid subscription key or wrong API endpoint.",
        "401",
    ),
    "Gemini": (400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
    "Gemini, expired": (400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT"),
    "xAI": (400, "Incorrect API key provided: xa***12.", "Client specified an invalid argument"),
    "Anthropic": (401, "invalid x-api-key", "authentication_error"),
    "DeepSeek": (401, "Authentication Fails, Your api key: ****De99 is invalid", None),
    "Moonshot": (401, "Invalid Authentication", "invalid_authentication_error"),
    "GLM": (401, "令牌已过期或验证不正确", "401"),
    "GLM, within a 400": (400, "Authorization Token非法", "1002"),
    "DashScope": (401, "Incorrect API key provided.", "invalid_api_key"),
    "Cloudflare": (403, "Forbidden", None),
    "OpenRouter": (401, "No auth credentials found", None),
    "Bedrock": (400, "The security token included in the request is expired", None),
    "LM Studio, model": (400, "No models loaded. Please load a model.", None),
    "LiteLLM": (400, "Authentication Error, Invalid proxy server token passed", "auth_error"),
    # The model's name
    "OpenAI, model": (404, "The model `gpt-9` does not exist", "model_not_found"),
    "Azure, model": (
        404,
        "The API deployment for this resource does not exist.",
        "DeploymentNotFound",
    ),
    "Gemini, model": (404, "models/gemini-9 is not found for API version v1main", "NOT_FOUND"),
    "DeepSeek, model": (400, "Model Not Exist", "invalid_request_error"),
    "Mistral, model": (400, "Invalid model: mistral-9", "invalid_model"),
    "Groq, model": (400, "The model `x` has been decommissioned.", "model_decommissioned"),
    "GLM, model": (400, "模型不存在", "1211"),
    "GLM, model in English": (400, "Model does not exist, please check the model code", "1211"),
    "OpenRouter, model": (400, "gpt-9 is not a valid model ID", None),
    "OpenRouter, route": (404, "No endpoints found for openai/gpt-9.", None),
    "Ollama, model": (404, 'model "llama9" not found, try pulling it first', "api_error"),
    "vLLM, model": (404, "The model `x` does not exist.", "NotFoundError"),
    "new-api, model": (503, "No available channel for model x under group", "model_not_found"),
    # The account
    "DeepSeek, credit": (402, "Insufficient Balance", "unknown_error"),
    "OpenRouter, credit": (402, "Insufficient credits. Add more using our page", None),
    "OpenRouter, limit": (
        402,
        "This request requires more credits, or fewer max_tokens. You requested up to 1024 tokens, "
        "but can only afford 0.",
        None,
    ),
    "OpenAI, credit": (
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
    ),
    "Anthropic, credit": (
        400,
        "Your credit balance is too low to access the Anthropic API.",
        "invalid_request_error",
    ),
    "xAI, credit": (403, "Your team has either used all available credits or reached its", None),
    "GLM, credit": (429, "余额不足或无可用资源包,请充值。", "1113"),
    "GLM, credit in English": (429, "Your account is in arrears, please recharge", "1113"),
    "Moonshot, credit": (429, "Your account is suspended", "exceeded_current_quota_error"),
    "DashScope, credit": (400, "Access denied, account is not in good standing.", "Arrearage"),
    "LiteLLM, budget": (400, "Budget has been exceeded! Current cost: 10", "budget_exceeded"),
    "Together, credit": (402, "Payment required: spending limit reached", None),
}

RATE_LIMITED = {
    "OpenAI": (429, "Rate limit reached for gpt-4o on requests per min (RPM)", "rate_limit"),
    "Gemini": (
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "RESOURCE_EXHAUSTED",
    ),
    "Anthropic": (
        429,
        "This request would exceed your organization's rate limit of 40,000 input tokens per "
        "minute",
        "rate_limit_error",
    ),
    "Bedrock": (429, "Too many tokens, please wait before trying again.", "ThrottlingException"),
    "Mistral": (429, "Service tier capacity exceeded for this model.", "3505"),
    "GLM": (429, "您当前使用该API的并发数过高", "1302"),
    "Moonshot": (429, "The engine is currently overloaded", "engine_overloaded_error"),
    "Google, forbidden": (403, "Rate Limit Exceeded", "rateLimitExceeded"),
    "within a 503": (503, "Too many requests, please slow down", None),
    "no message": (429, "", None),
}

FILTERED = {
    "Azure": (
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management "
        "policy.",
        "content_filter",
    ),
    "OpenAI": (400, "Your request was rejected as a result of our safety system.", None),
    "OpenRouter": (403, "Your chosen model requires moderation and your input was flagged", None),
    "GLM": (400, "系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"),
    "DashScope": (400, "Input data may contain inappropriate content.", "data_inspection_failed"),
}


def cases(table):
    return pytest.mark.parametrize(("status", "message", "code"), table.values(), ids=table)


def asked_in_vain(ask, kind):
    with pytest.raises(ModelError) as refused:
        ask()
    assert type(refused.value) is kind, refused.value
    return refused.value


@cases(TOO_LONG)
def test_a_prompt_that_is_too_long_is_so_in_all_words(model, complete, status, message, code):
    model.says(refusal(status, message, code))

    asked_in_vain(complete, ContextTooLong)

    assert len(model.requests) == 1


@cases(MISCONFIGURED)
def test_what_somebody_has_to_set_right_is_so_in_all_words(model, complete, status, message, code):
    model.says(refusal(status, message, code))

    asked_in_vain(complete, ModelMisconfigured)

    assert len(model.requests) == 1


@cases(RATE_LIMITED)
def test_too_often_is_so_in_all_words(model, complete, status, message, code):
    model.says(refusal(status, message, code, retry_after="60"))

    asked_in_vain(complete, ModelRateLimited)

    assert len(model.requests) == 1


@cases(FILTERED)
def test_what_a_filter_refuses_is_asked_once(model, complete, status, message, code):
    model.says(refusal(status, message, code))

    asked_in_vain(complete, ModelUnavailable)

    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "The server had an error while processing your request",
        "The model is currently not available, try again later",
        "Internal error: invalid token in the sampler",
        "upstream connect error or disconnect/reset before headers",
        "",
    ],
)
def test_a_server_in_trouble_is_tried_again_whatever_it_says(model, ask, message):
    model.says(refusal(503, message))

    asked_in_vain(ask, ModelUnavailable)

    assert len(model.requests) == 3


# The same error, however it is wrapped ----------------------------------------------------------
def wrappings(message, code):
    error = {"message": message, "code": code, "type": "invalid_request_error"}
    inner = json.dumps({"error": error})
    return {
        "object": {"error": error},
        "list": [{"error": error}],
        "string": {"error": message},
        "bare": {"message": message, "code": code},
        "vLLM": {"object": "error", "message": message, "type": "BadRequestError", "code": 400},
        "detail": {"detail": message},
        "details": {"detail": [{"loc": ["body"], "msg": message, "type": code}]},
        "error within detail": {"detail": {"error": error}},
        "Mistral": {"object": "error", "message": {"detail": [{"msg": message}]}},
        "errors": {"errors": [{"message": message, "code": code}]},
        "JSON within the message": {"error": {"message": inner, "code": 400}},
        "OpenRouter": {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": inner, "provider_name": "Google"},
            }
        },
        "Anthropic": {"type": "error", "error": {"type": code, "message": message}},
        "MiniMax": {"base_resp": {"status_code": 2013, "status_msg": message}},
        "Baidu": {"error_code": 336007, "error_msg": message},
        "LiteLLM": {"error": {"message": f"OpenAIException - {error!r}", "code": "400"}},
        "plain text": message,
        "HTML": f"<html><head><title>400</title></head><body>{message}</body></html>",
    }


KINDS = {
    ContextTooLong: ("The prompt is too long: 9000 tokens > 8000 maximum", "too_long"),
    ModelMisconfigured: ("API key not valid. Please pass a valid API key.", "API_KEY_INVALID"),
}
WRAPPED = [
    pytest.param(kind, body, id=f"{kind.code}, {name}")
    for kind, (message, code) in KINDS.items()
    for name, body in wrappings(message, code).items()
]


def encoded(body):
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@pytest.mark.parametrize(("kind", "body"), WRAPPED)
@pytest.mark.parametrize("status", [400, 422])
def test_an_error_is_understood_however_it_is_wrapped(model, ask, status, kind, body):
    model.says(Reply(status=status, body=encoded(body)))

    asked_in_vain(ask, kind)

    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("kind", "body"), [case for case in WRAPPED if not isinstance(case.values[1], str)]
)
def test_an_error_within_a_200_is_an_error(model, ask, kind, body):
    model.says(Reply(body=encoded(body)))

    asked_in_vain(ask, kind)

    assert len(model.requests) == 1


@pytest.mark.parametrize(("kind", "words"), KINDS.items())
@pytest.mark.parametrize(
    "event",
    [
        lambda error: f"data: {json.dumps({'error': error})}",
        lambda error: f"data: {json.dumps([{'error': error}])}",
        lambda error: f"data: {json.dumps({'error': error['message']})}",
        lambda error: f"event: error\ndata: {json.dumps({'type': 'error', 'error': error})}",
        lambda error: f"event: error\ndata: {json.dumps(error)}",
        lambda error: f"event: error\ndata: {error['message']}",
        lambda error: f"error: {json.dumps(error)}",
        lambda error: json.dumps({"error": error}),
        lambda error: f"data: {json.dumps({'object': 'error'} | error)}",
        lambda error: f"data: {json.dumps({'choices': [{'error': error, 'delta': {}}]})}",
        lambda error: f"data: {json.dumps({'detail': error['message']})}",
    ],
)
def test_an_error_may_be_an_event_of_a_stream(model, stream, kind, words, event):
    message, code = words
    model.says(frames(": hello", event({"message": message, "code": code})))

    asked_in_vain(stream, kind)

    assert len(model.requests) == 1


def test_an_error_within_a_200_may_name_its_status(model, ask):
    model.says(Reply(body=b'{"error": {"code": 429, "message": "Provider returned error"}}'))

    refused = asked_in_vain(ask, ModelRateLimited)

    assert refused.retry_after == 10


def test_the_text_before_an_error_is_kept(model, stream, asked):
    model.says(
        frames({"choices": [{"delta": {"content": "Half "}}]}, {"error": {"message": "overloaded"}})
    )

    asked_in_vain(stream, ModelUnavailable)

    assert asked.text == "Half "


@pytest.mark.parametrize("empty", [None, {}, "", [], False])
def test_an_empty_error_beside_an_answer_is_none(model, complete, empty):
    answer = Reply().completion("scripted") | {"error": empty}
    model.says(Reply(body=json.dumps(answer).encode()))

    assert complete().text == "A scripted answer."


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'"no"', b"<html>", b"[" * 200_000])
def test_garbage_is_no_answer(model, ask, body):
    model.says(Reply(body=body))

    asked_in_vain(ask, ModelUnavailable)

    assert len(model.requests) == 3


def test_what_a_service_echoes_is_not_what_it_says(model, complete):
    echoed = {"type": "missing", "loc": ["body", "x"], "msg": "Field required", "input": "too long"}
    echoed["input"] = {"messages": [{"content": "prompt is too long, rate limit, invalid API key"}]}
    model.says(Reply(status=422, body=json.dumps({"detail": [echoed]}).encode()))

    asked_in_vain(complete, ModelUnavailable)


@pytest.mark.parametrize("charset", ["gbk", "utf-16", "no-such", "rot13"])
def test_a_refusal_is_read_in_its_charset(model, complete, charset):
    known = charset if charset in ("gbk", "utf-16") else "utf-8"
    kind = {"Content-Type": f"application/json; charset={charset}"}
    body = json.dumps({"error": {"message": "余额不足"}}, ensure_ascii=False).encode(known)
    model.says(Reply(status=400, body=body, headers=kind))

    asked_in_vain(complete, ModelMisconfigured)  # an account without credit


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(model, ask, second, status):
    model.says(Reply(status=status, body=b"", headers={"Location": f"{second.base_url}/x"}))

    refused = asked_in_vain(ask, ModelMisconfigured)

    assert second.requests == []
    assert len(model.requests) == 1
    assert "127.0.0.1" in str(refused)


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/elsewhere",
        "//",
        "http://[bad",
        "ftp://x/y",
        "javascript:alert(1)",
        "http://",
        "//\xffx",
    ],
)
def test_a_redirect_to_nowhere_is_not_followed_either(model, ask, location):
    model.says(Reply(status=307, headers={"Location": location}))

    asked_in_vain(ask, ModelMisconfigured)

    assert len(model.requests) == 1


# What operators get to know ---------------------------------------------------------------------
def test_the_services_code_and_first_sentence_are_for_the_log(model, complete):
    model.says(refusal(400, "This is\nwrong. And this is\x1b[31m more of it.", "some_code"))

    refused = asked_in_vain(complete, ModelUnavailable)

    assert str(refused) == "400 some_code This is wrong."


def test_a_message_within_another_is_for_the_log_too(model, complete):
    inner = json.dumps({"error": {"message": "The real reason.", "status": "INVALID"}})
    error = {"message": "Provider returned error", "code": 400, "metadata": {"raw": inner}}
    model.says(Reply(status=400, body=json.dumps({"error": error}).encode()))

    refused = asked_in_vain(complete, ModelUnavailable)

    assert "Provider returned error" in str(refused)
    assert "The real reason." in str(refused)


def test_a_long_sentence_is_cut(model, complete):
    model.says(refusal(400, "word " * 10_000))

    assert len(str(asked_in_vain(complete, ModelUnavailable))) < 260


@pytest.mark.parametrize(
    "message",
    [
        "The key sk-tests-only-0123456789 is wrong",
        "Incorrect API key provided: sk-tests***********6789.",
        "Bearer sk-tests-only-0123456789 was not accepted",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv is not valid",
        "gsk_0123456789abcdefghijklmnop",
        "see https://api.example/v1?key=0123456789abcdef&x=1",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_no_key_gets_into_the_log(model, complete, logged, message):
    model.says(refusal(400, message, message))

    refused = asked_in_vain_of_any_kind(complete)

    text = "\n".join(logged) + str(refused)
    for part in ("0123456789", "tests-only", "6789", "1234567890abc"):
        assert part not in text


def asked_in_vain_of_any_kind(ask):
    with pytest.raises(ModelError) as refused:
        ask()
    return refused.value


def test_an_error_of_any_size_is_read_in_no_time(model, complete):
    leaves = {str(number): "sk-" + "x" * 60 for number in range(60_000)}
    for error in (leaves, "x" * 4_000_000, "<" * 4_000_000, "*" * 4_000_000, [[]] * 1_000_000):
        model.says(Reply(body=json.dumps({"error": error}).encode()))
        begin = time.process_time()

        asked_in_vain_of_any_kind(complete)

        assert (
            time.process_time() - begin < 5
        )  # where the work grows with the square, it is minutes


@pytest.mark.parametrize(
    "body", ["<html><title>Welcome</title>Log in, please.", "Welcome. Log in."]
)
def test_the_beginning_of_what_is_no_answer_is_in_the_log(model, ask, body, logged):
    model.says(Reply(body=body.encode()))

    asked_in_vain(ask, ModelUnavailable)

    assert "Welcome" in "\n".join(logged)


def test_the_reason_is_in_the_log(model, complete, logged):
    model.says(refusal(401, "Your account is closed. Bye.", "account_closed"))

    asked_in_vain(complete, ModelMisconfigured)

    assert "401 account_closed Your account is closed." in "\n".join(logged)
