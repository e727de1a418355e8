"""Chat completions: who is asked, how often and for how long.

`complete` asks the first configured provider and, if that fails before the first token, the next.
The whole call is bounded by `LLM_TIMEOUT_SECONDS`. With `on_delta` the answer is streamed; without
it the answer comes in one piece, at a fraction of the cost.
"""

import asyncio
from collections.abc import Callable

from django.conf import settings

from llm import dialects
from llm.call import Call, Completion, make_call
from llm.clients import close_clients, load_sdk
from llm.deltas import DeltaBuffer
from llm.errors import (
    ContextTooLong,
    ModelError,
    ModelMisconfigured,
    ModelTimeout,
    ModelUnavailable,
)
from llm.providers import Provider, providers
from llm.retries import TRIES, pause_before_retry
from llm.spending import Spending

MAX_ADAPTATIONS = 6  # more than `dialects` knows
# No reader should wait longer than this for a second try; they get a Retry-After instead.
LONGEST_PAUSE_SECONDS = 3

type Prompt = dialects.Prompt

__all__ = ["Completion", "Prompt", "close_clients", "complete"]


async def complete(
    prompt: Prompt,
    on_delta: Callable[[str], None] | None = None,
    asked: tuple[Provider, ...] | None = None,
    spending: Spending | None = None,
    on_discard: Callable[[], None] | None = None,
) -> Completion:
    """The model's answer to `prompt`; `on_delta` is called with each piece of it as it comes.

    The configured providers are asked unless others are given. `spending` is added to, also when
    this fails or is cancelled. `on_discard` is called if the pieces so far turn out to be thoughts.
    Raises ModelUnavailable, ModelMisconfigured, ModelRateLimited, ModelTimeout or ContextTooLong.
    After the first token nothing is retried: what a reader has seen cannot be taken back.
    """
    load_sdk()  # a command's first call: not at the cost of its time
    deadline = asyncio.get_running_loop().time() + settings.LLM_TIMEOUT_SECONDS
    buffer = DeltaBuffer(on_delta, on_discard)
    spending = Spending() if spending is None else spending
    asked = providers() if asked is None else asked
    error: ModelError = ModelMisconfigured("no model is configured")
    for place, provider in enumerate(asked, start=1):
        call = Call(provider, prompt, buffer, on_delta is not None, spending, deadline)
        try:
            return await _ask_with_retries(call, is_last=place == len(asked))
        except ContextTooLong:
            raise
        except ModelError as failure:
            error = failure
            if buffer.has_begun:
                break
    raise error


async def _ask_with_retries(call: Call, is_last: bool) -> Completion:
    """Ask one provider, again after a transient failure.

    Unless it is the last provider, it has half of the time to send its first byte.
    """
    now = asyncio.get_running_loop().time()
    half = (now + call.deadline) / 2
    try:
        async with asyncio.timeout_at(call.deadline) as limit:
            for attempt in range(1, TRIES + 1):
                if not is_last:
                    call.expect_first_byte(limit, half)
                try:
                    return await _ask(call)
                except ModelError as failure:
                    pause = pause_before_retry(failure, attempt, LONGEST_PAUSE_SECONDS)
                    if pause is None or call.buffer.has_begun:
                        raise
                await asyncio.sleep(pause)
    except TimeoutError as error:
        call.line.error("Model call failed: its time is up")
        raise ModelTimeout(f"{call.provider.name} did not answer in time") from error
    raise AssertionError("unreachable")  # pragma: no cover


async def _ask(call: Call) -> Completion:
    """One try, in the way in which the service wants to be asked, as far as it says so."""
    provider, dialect = call.provider, dialects.known(call.provider)
    for _ in range(MAX_ADAPTATIONS):
        body = dialect.body(provider, call.prompt, call.streaming)
        try:
            completion = await make_call(call, body)
        except ModelError as error:
            other = dialects.adapted(dialect, error.refusal, body) if error.refusal else None
            if other is None or call.buffer.has_begun:
                raise
            dialect = other
        else:
            dialects.remember(provider, dialect)
            return completion
    raise ModelUnavailable("it refuses whatever it is asked", is_transient=False)
