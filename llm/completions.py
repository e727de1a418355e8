"""Chat completions: the only importer of the openai SDK.

`complete` asks the first configured provider and, if that fails before the first token, the next.
The whole call is bounded by `LLM_TIMEOUT_SECONDS`. With `on_delta` the answer is streamed; without
it the answer comes in one piece, at a fraction of the cost.
"""

import asyncio
import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import httpx2
import openai
from django.conf import settings
from loguru import logger

from llm.errors import (
    ContextTooLong,
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from llm.providers import Provider, providers

PATH = "/chat/completions"
TRIES = 3
FIRST_PAUSE_SECONDS = 0.3
# Longer than this no reader should wait for a second try; they are told when to come back.
LONGEST_PAUSE_SECONDS = 3
RETRY_AFTER_SECONDS = 10
CHARS_OF_A_TOKEN = 4  # in English prose, roughly
CONTEXT_TOO_LONG = re.compile(
    r"context.?(length|size|window)|maximum context|too many tokens|"
    r"maximum number of tokens|prompt is too long",
    re.IGNORECASE,
)
API_KEY = re.compile(r"api.?key", re.IGNORECASE)
FINISH_REASONS = {"stop": "stop", "length": "length", "content_filter": "content-filter"}


type Prompt = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer. Token counts are None where the service does not tell them."""

    text: str
    model: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: int

    @property
    def tokens(self) -> int:
        """All tokens used; 0 where the service does not tell them."""
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


def estimated_tokens(prompt: Prompt, text: str) -> int:
    """A rough count for a call whose usage the service did not report."""
    chars = sum(len(message["content"]) for message in prompt) + len(text)
    return chars // CHARS_OF_A_TOKEN + 1


# Clients ------------------------------------------------------------------------------------
# A client's connections belong to its event loop, and making one costs 36 ms: one for each loop.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Provider, openai.AsyncOpenAI]] = (
    WeakKeyDictionary()
)


def _client(provider: Provider) -> openai.AsyncOpenAI:
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if provider not in clients:
        clients[provider] = openai.AsyncOpenAI(
            api_key=provider.api_key,
            base_url=provider.base_url,
            http_client=openai.DefaultAioHttpClient(),  # half the cost of the SDK's usual one
            timeout=None,  # `_ask_with_retries` ends what takes too long
            max_retries=0,  # `_ask_with_retries` tries again, within the time that is left
        )
    return clients[provider]


async def close_clients() -> None:
    """Close this loop's connections to the models."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


# Asking -------------------------------------------------------------------------------------
class DeltaBuffer:
    """Passes deltas on as they come, in a form that can be sent and stored.

    Blank space is held back until text follows, so that an answer of nothing else still counts as
    empty; so is half of a surrogate pair.
    """

    def __init__(self, on_delta: Callable[[str], None]) -> None:
        self.has_text = False
        self.deltas: list[str] = []
        self._on_delta = on_delta
        self._held = ""
        self._limit: asyncio.Timeout | None = None
        self._deadline = 0.0

    def extend_after_first_token(self, limit: asyncio.Timeout, deadline: float) -> None:
        """From the first token on, the call's limit is `deadline` (of the loop's clock)."""
        self._limit, self._deadline = limit, deadline

    def add(self, delta: str) -> None:
        text = self._held + delta
        self._held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = without_unstorable(text.removesuffix(self._held))
        if not self.has_text and not text.strip():
            self._held = text + self._held
        elif text:
            self._pass_on(text)

    def _pass_on(self, text: str) -> None:
        if not self.has_text and self._limit:
            self._limit.reschedule(self._deadline)
        self.has_text = True
        self.deltas.append(text)
        self._on_delta(text)


async def complete(
    prompt: Prompt,
    on_delta: Callable[[str], None] | None = None,
    asked: tuple[Provider, ...] | None = None,
) -> Completion:
    """The model's answer to `prompt`; `on_delta` is called with each piece of it as it comes.

    The configured providers are asked unless others are given.
    Raises ModelUnavailable, ModelMisconfigured, ModelRateLimited, ModelTimeout or ContextTooLong.
    After the first token nothing is retried: what a reader has seen cannot be taken back.
    """
    deadline = asyncio.get_running_loop().time() + settings.LLM_TIMEOUT_SECONDS
    buffer = DeltaBuffer(on_delta) if on_delta else None
    asked = providers() if asked is None else asked
    error: ModelError = ModelMisconfigured("no model is configured")
    for place, provider in enumerate(asked, start=1):
        try:
            return await _ask_with_retries(
                provider, prompt, buffer, deadline, is_last=place == len(asked)
            )
        except ContextTooLong:
            raise
        except ModelError as failure:
            error = failure
            if buffer and buffer.has_text:
                break
    raise error


async def _ask_with_retries(
    provider: Provider, prompt: Prompt, buffer: DeltaBuffer | None, deadline: float, is_last: bool
) -> Completion:
    """Ask one provider, again after a passing failure.

    With someone else left to ask, a hanging service gets half of the time until its first token.
    """
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(deadline if is_last else (now + deadline) / 2) as limit:
            if buffer:
                buffer.extend_after_first_token(limit, deadline)
            for attempt in range(1, TRIES + 1):
                try:
                    return await _logged(provider, prompt, buffer)
                except (ModelUnavailable, ModelRateLimited) as failure:
                    # Spread, so that those who failed together do not come back together.
                    spread = random.uniform(0.8, 1.2)  # noqa: S311
                    pause = FIRST_PAUSE_SECONDS * 3 ** (attempt - 1) * spread
                    pause = max(pause, failure.retry_after or 0)
                    is_final = attempt == TRIES or pause > LONGEST_PAUSE_SECONDS
                    if is_final or (buffer and buffer.has_text):
                        raise
                await asyncio.sleep(pause)
    except TimeoutError as error:
        line = logger.bind(provider=provider.name, model=provider.model)
        line.error("Model call failed: its time is up")
        raise ModelTimeout(f"{provider.name} did not answer in time") from error
    raise AssertionError("unreachable")  # pragma: no cover


async def _logged(provider: Provider, prompt: Prompt, buffer: DeltaBuffer | None) -> Completion:
    """One call, and its line in the log."""
    begin = time.monotonic()
    line = logger.bind(provider=provider.name, model=provider.model)
    try:
        completion = await _ask(provider, prompt, buffer)
    except ModelError as error:
        duration_ms = round((time.monotonic() - begin) * 1000)
        line.bind(duration_ms=duration_ms, outcome=error.code).error("Model call failed: {}", error)
        raise
    except asyncio.CancelledError:  # its reader has stopped it, or its time is up
        duration_ms = round((time.monotonic() - begin) * 1000)
        line.bind(duration_ms=duration_ms, outcome="cut off").info("Model call")
        raise
    line.bind(
        duration_ms=completion.latency_ms,
        outcome=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    ).info("Model call")
    return completion


async def _ask(provider: Provider, prompt: Prompt, buffer: DeltaBuffer | None) -> Completion:
    begin = time.monotonic()
    body = {
        "model": provider.model,
        "messages": prompt,
        provider.output_limit: settings.LLM_MAX_OUTPUT_TOKENS,
    }
    try:
        if buffer:
            answer = await _stream(provider, body, buffer)
        else:
            # `client.post` and not `chat.completions.create`, which walks over every message of
            # the prompt and costs four times as much; a test holds the body to the same.
            answer = await _client(provider).post(PATH, body=body, cast_to=object)
    except openai.OpenAIError as error:
        raise translated(error) from error
    except httpx2.HTTPError as error:  # which the SDK does not translate within a stream
        raise ModelUnavailable(f"broken off: {type(error).__name__}") from error
    except (ValueError, RecursionError) as error:  # a body that claims to be JSON and is not
        raise ModelUnavailable("the answer is not JSON") from error
    return _read(answer, provider, round((time.monotonic() - begin) * 1000))


async def _stream(provider: Provider, body: dict[str, Any], buffer: DeltaBuffer) -> Any:
    """Listen to a streamed answer; returns it whole, as it would have come in one piece."""
    whole: dict[str, Any] = {}
    finish_reason = None
    stream = await _client(provider).post(
        PATH,
        body=body | {"stream": True, "stream_options": {"include_usage": True}},
        cast_to=object,
        stream=True,
        stream_cls=openai.AsyncStream[object],
    )
    async with stream:
        chunk: Any
        async for chunk in stream:
            delta, ended = _delta(chunk)
            buffer.add(delta)
            finish_reason = ended or finish_reason
            whole |= {name: chunk[name] for name in ("model", "usage") if chunk.get(name)}
    if finish_reason is None:
        raise ModelUnavailable("the answer was broken off")
    message = {"content": "".join(buffer.deltas)}
    return whole | {"choices": [{"message": message, "finish_reason": finish_reason}]}


def _delta(chunk: Any) -> tuple[str, str | None]:
    """A chunk's text, and its finish reason; the one with the usage has no choices at all."""
    try:
        if not chunk["choices"]:
            return "", None
        choice = chunk["choices"][0]
        delta = choice.get("delta") or {}
        text = delta.get("content") or delta.get("refusal") or ""
        return text + "", choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelUnavailable("the answer is not a chat completion chunk") from error


def _read(answer: Any, provider: Provider, latency_ms: int) -> Completion:
    """The parts of a chat completion that matter; anything else under that name is garbage."""
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        text = without_unstorable(message.get("content") or message.get("refusal") or "")
        usage = answer.get("usage") or {}
        return Completion(
            text=text if text.strip() else _refuse("the answer is empty"),
            model=without_unstorable(str(answer.get("model") or provider.model))[:255],
            finish_reason=FINISH_REASONS.get(choice.get("finish_reason"), "other"),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            latency_ms=latency_ms,
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelUnavailable("the answer is not a chat completion") from error


def _refuse(reason: str) -> str:
    raise ModelUnavailable(reason)


def _count(value: object) -> int | None:
    """A token count that the database can hold; None for anything else."""
    return value if isinstance(value, int) and 0 <= value < 2**31 else None


def without_unstorable(text: str) -> str:
    """`text` without NUL and lone surrogates, which PostgreSQL refuses and models produce."""
    text = text.replace("\0", "")
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# Errors -------------------------------------------------------------------------------------
def translated(error: openai.OpenAIError) -> ModelError:
    """The SDK's error as one of ours."""
    match error:
        case openai.APITimeoutError():  # aiohttp's name for a lost connection; see `_client`
            return ModelUnavailable("the connection was lost")
        case openai.RateLimitError():
            return ModelRateLimited("429", retry_after=_retry_after(error))
        case openai.BadRequestError() if _is_about(error, CONTEXT_TOO_LONG):
            return ContextTooLong("the prompt is longer than the model's context")
        case openai.BadRequestError() if _is_about(error, API_KEY):  # Gemini's way to say 401
            return ModelMisconfigured("400 about the key")
        case openai.AuthenticationError() | openai.PermissionDeniedError() | openai.NotFoundError():
            return ModelMisconfigured(str(error.status_code))
        case openai.APIStatusError():
            return ModelUnavailable(str(error.status_code))
        case _:
            return ModelUnavailable(type(error).__name__)


def _is_about(error: openai.APIStatusError, topic: re.Pattern[str]) -> bool:
    return bool(topic.search(f"{error.code} {error.type} {error.message}"))


def _retry_after(error: openai.APIStatusError) -> int:
    """The seconds that the service asks to wait, within reason; a usual pause where it does not."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return RETRY_AFTER_SECONDS
    if math.isnan(seconds):
        return RETRY_AFTER_SECONDS
    return int(min(max(seconds + 0.999, 1), 3600))
