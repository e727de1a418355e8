"""One call of a provider: from the request to the answer, its line in the log and its tokens."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from loguru import logger

from llm import clients, dialects
from llm.answers import Reading
from llm.deltas import DeltaBuffer, without_unstorable
from llm.dialects import Prompt
from llm.errors import ModelError, ModelUnavailable
from llm.providers import Provider
from llm.spending import Spending, Usage, estimated_tokens

if TYPE_CHECKING:
    from loguru import Logger

PATH = "/chat/completions"
# After the finish reason there is only the usage to come; some services then end no stream.
LAST_FRAMES_SECONDS = 5
# After its end a response is read on for a moment, so that its connection can be used again.
DRAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer.

    The token counts are of all calls that were made for it; None where no service reports any.
    """

    text: str
    model: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: int


@dataclass(slots=True)
class Call:
    """What is asked of whom, for however many tries. `deadline` is of the loop's clock."""

    provider: Provider
    prompt: Prompt
    buffer: DeltaBuffer
    streaming: bool
    spending: Spending
    deadline: float
    limit: asyncio.Timeout | None = None  # until the service shows life

    def wait_for_life(self, limit: asyncio.Timeout, until: float) -> None:
        """A service that sends nothing at all is not waited for until the deadline."""
        limit.reschedule(until)
        self.limit = limit

    def show_life(self) -> None:
        """Whoever sends anything, be it a thought or a ping, may go on until the deadline."""
        if self.limit:
            self.limit.reschedule(self.deadline)
            self.limit = None

    @property
    def line(self) -> "Logger":
        """A line of the log, with who is asked."""
        return logger.bind(provider=self.provider.name, model=self.provider.model)


async def make_call(call: Call, body: dict[str, Any]) -> Completion:
    """Ask once. Raises ModelError; `call.spending` is added to in any case."""
    begin = time.monotonic()
    reading = Reading(call.provider)
    try:
        await _listen(call, body, reading)
        if not call.buffer.text:
            raise _empty(reading, call.buffer)
    except ModelError as error:
        usage = reading.usage or (error.refusal.usage if error.refusal else None)
        _count(call, reading, usage)
        line = call.line.bind(duration_ms=_milliseconds_since(begin), outcome=error.code)
        line.error("Model call failed: {}", error)
        raise
    except asyncio.CancelledError:  # its reader has stopped it, or its time is up
        reading.has_begun = True  # as far as is known
        _count(call, reading, reading.usage)
        line = call.line.bind(duration_ms=_milliseconds_since(begin), outcome="cut off")
        line.info("Model call")
        raise
    _count(call, reading, reading.usage)
    return _completion(call, reading, _milliseconds_since(begin))


def _completion(call: Call, reading: Reading, latency_ms: int) -> Completion:
    usage = reading.usage or Usage(None, None)
    call.line.bind(
        duration_ms=latency_ms,
        outcome=reading.finish_reason or "other",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    ).info("Model call")
    if reading.is_cut:
        call.line.warning("The answer was cut off: it is longer than any answer should be")
    return Completion(
        text=call.buffer.text,
        model=without_unstorable(reading.model or call.provider.model)[:255],
        finish_reason=reading.finish_reason or "other",
        prompt_tokens=call.spending.prompt_tokens,
        completion_tokens=call.spending.completion_tokens,
        latency_ms=latency_ms,
    )


def _count(call: Call, reading: Reading, usage: Usage | None) -> None:
    """Add the call's tokens: as reported, or else by estimate, if there was anything to pay for."""
    if usage:
        call.spending.add(usage)
    elif reading.has_begun:
        chars = sum(len(message["content"]) for message in call.prompt)
        chars += reading.chars + reading.thought_chars
        call.spending.estimated += estimated_tokens(chars)


def _empty(reading: Reading, buffer: DeltaBuffer) -> ModelError:
    """The error for an answer without text. It is transient, unless the next would be the same."""
    if reading.finish_reason == "content-filter":
        return ModelUnavailable("the answer was filtered", is_transient=False)
    if reading.finish_reason == "length":
        thoughts = reading.thought_chars or buffer.thoughts.chars
        what = "thinking took all of LLM_MAX_OUTPUT_TOKENS" if thoughts else "no text in it"
        return ModelUnavailable(f"the answer was cut off: {what}", is_transient=False)
    return reading.instead("the answer is empty")


def _milliseconds_since(begin: float) -> int:
    return round((time.monotonic() - begin) * 1000)


# Listening ----------------------------------------------------------------------------------
async def _listen(call: Call, body: dict[str, Any], reading: Reading) -> None:
    """Ask, and read the answer into the call's buffer."""
    is_unopened = dialects.thinks_unopened(call.provider)
    call.buffer.start(is_patient=is_unopened)
    response = await clients.post(call.provider, PATH, body)
    reading.has_begun = True
    try:
        await _read(call, response, reading)
        _pass_on(call, reading, reading.finish())
        call.buffer.finish(is_thought=is_unopened and reading.finish_reason == "length")
    finally:
        await response.aclose()
        _remember_thinking(call, reading)


async def _read(call: Call, response: httpx2.Response, reading: Reading) -> None:
    """Read to the end; what goes wrong after an answer's finish reason costs no answer."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as patience:
            async for data in response.aiter_raw():
                call.show_life()
                if not reading.is_done:
                    _pass_on(call, reading, reading.feed(data))
                if reading.is_cut:
                    return
                if reading.is_done:
                    patience.reschedule(loop.time() + DRAIN_SECONDS)
                elif reading.finish_reason:
                    patience.reschedule(loop.time() + LAST_FRAMES_SECONDS)
    except (TimeoutError, httpx2.HTTPError) as error:
        if not (reading.is_done or reading.finish_reason):
            raise ModelUnavailable(f"broken off: {error}") from error
    reading.is_cut = reading.is_cut or response.extensions["body"].is_cut


def _pass_on(call: Call, reading: Reading, text: str) -> None:
    thoughts = call.buffer.thoughts
    if reading.thought_chars > thoughts.separate_chars:
        thoughts.add_separate(reading.thought_chars)
    if text:
        call.buffer.add(text)


def _remember_thinking(call: Call, reading: Reading) -> None:
    """So that the next answer's thoughts are held back from the beginning."""
    if call.buffer.thoughts.was_unopened:
        dialects.remember_thinking(call.provider, is_unopened=True)
    elif reading.thought_chars:
        dialects.remember_thinking(call.provider, is_unopened=False)
