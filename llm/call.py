"""One call of a provider: from the request to the answer, its line in the log and its tokens."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from llm import clients, dialects, telemetry
from llm.answers import AnswerParser
from llm.deltas import DeltaBuffer, without_unstorable
from llm.dialects import Prompt
from llm.errors import ModelError, ModelUnavailable
from llm.providers import Provider
from llm.spending import Spending, Usage, estimated_tokens
from llm.transport import Response

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
    limit: asyncio.Timeout | None = None  # of the call, while nothing has come yet

    def expect_first_byte(self, limit: asyncio.Timeout, until: float) -> None:
        """Give a service that sends nothing at all less time than until the deadline."""
        limit.reschedule(until)
        self.limit = limit

    def note_activity(self) -> None:
        """A service that sends anything, even a thought or a ping, may take until the deadline."""
        if self.limit:
            self.limit.reschedule(self.deadline)
            self.limit = None

    @property
    def line(self) -> "Logger":
        """A line of the log, with who is asked."""
        return logger.bind(provider=self.provider.name, model=self.provider.model)


async def make_call(call: Call, body: dict[str, Any]) -> Completion:
    """Ask once. Raises ModelError; `call.spending` is added to in any case."""
    parser = AnswerParser(call.provider)
    with telemetry.model_call("chat", call.provider.name, call.provider.model) as span:
        try:
            return await _make_call(call, body, parser)
        finally:
            span.set(_attributes(call, parser))


def _attributes(call: Call, parser: AnswerParser) -> telemetry.Attributes:
    usage = parser.usage or Usage(None, None)
    reason = parser.finish_reason
    return {
        "gen_ai.output.type": "text",
        "gen_ai.request.stream": call.streaming,
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "gen_ai.response.model": parser.model[:255] or None,
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }


async def _make_call(call: Call, body: dict[str, Any], parser: AnswerParser) -> Completion:
    begin = time.monotonic()
    try:
        await _ask(call, body, parser)
        if not call.buffer.text:
            raise _no_text(parser, call.buffer)
    except ModelError as error:
        usage = parser.usage or (error.refusal.usage if error.refusal else None)
        _count(call, parser, usage)
        line = call.line.bind(duration_ms=_milliseconds_since(begin), outcome=error.code)
        line.error("Model call failed: {}", error)
        raise
    except asyncio.CancelledError:  # stopped by its reader, or out of time
        parser.has_begun = True  # for all we know
        _count(call, parser, parser.usage)
        line = call.line.bind(duration_ms=_milliseconds_since(begin), outcome="cut off")
        line.info("Model call")
        raise
    _count(call, parser, parser.usage)
    return _completion(call, parser, _milliseconds_since(begin))


def _completion(call: Call, parser: AnswerParser, latency_ms: int) -> Completion:
    usage = parser.usage or Usage(None, None)
    call.line.bind(
        duration_ms=latency_ms,
        outcome=parser.finish_reason or "other",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    ).info("Model call")
    if parser.is_cut:
        call.line.warning("The answer was cut off: it is longer than any answer should be")
    return Completion(
        text=call.buffer.text,
        model=without_unstorable(parser.model or call.provider.model)[:255],
        finish_reason=parser.finish_reason or "other",
        prompt_tokens=call.spending.prompt_tokens,
        completion_tokens=call.spending.completion_tokens,
        latency_ms=latency_ms,
    )


def _count(call: Call, parser: AnswerParser, usage: Usage | None) -> None:
    """Add the call's tokens: as reported, or else by estimate, if there was anything to pay for."""
    if usage:
        call.spending.add(usage)
    elif parser.has_begun:
        chars = sum(len(message["content"]) for message in call.prompt)
        chars += parser.chars + parser.thought_chars
        call.spending.estimated += estimated_tokens(chars)


def _no_text(parser: AnswerParser, buffer: DeltaBuffer) -> ModelError:
    """The error for an answer without text; transient, unless the next one would be the same."""
    if parser.finish_reason == "content-filter":
        return ModelUnavailable("the answer was filtered", is_transient=False)
    if parser.finish_reason == "length":
        thoughts = parser.thought_chars or buffer.thoughts.chars
        what = "thinking took all of LLM_MAX_OUTPUT_TOKENS" if thoughts else "no text in it"
        return ModelUnavailable(f"the answer was cut off: {what}", is_transient=False)
    return parser.error_in_its_place("the answer is empty")


def _milliseconds_since(begin: float) -> int:
    return round((time.monotonic() - begin) * 1000)


# Asking ---------------------------------------------------------------------------------
async def _ask(call: Call, body: dict[str, Any], parser: AnswerParser) -> None:
    """Send the request, and read the answer into the call's buffer."""
    omits_opening_tag = dialects.omits_opening_tag(call.provider)
    call.buffer.start(holds_back=omits_opening_tag)
    response = await clients.post(call.provider, PATH, body)
    parser.has_begun = True
    try:
        await _read(call, response, parser)
        _pass_on(call, parser, parser.finish())
        call.buffer.finish(is_thought=omits_opening_tag and parser.finish_reason == "length")
    finally:
        response.close()
        _remember_opening_tag(call, parser)


async def _read(call: Call, response: Response, parser: AnswerParser) -> None:
    """Read to the end; what goes wrong after an answer's finish reason costs no answer."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as rest:
            async for data in response:
                call.note_activity()
                if not parser.is_done:
                    _pass_on(call, parser, parser.feed(data))
                if parser.is_cut:
                    return
                if parser.is_done:
                    rest.reschedule(loop.time() + DRAIN_SECONDS)
                elif parser.finish_reason:
                    rest.reschedule(loop.time() + LAST_FRAMES_SECONDS)
    except (TimeoutError, ModelUnavailable):
        if not (parser.is_done or parser.finish_reason):
            raise
    parser.is_cut = parser.is_cut or response.is_cut


def _pass_on(call: Call, parser: AnswerParser, text: str) -> None:
    thoughts = call.buffer.thoughts
    if parser.thought_chars > thoughts.separate_chars:
        thoughts.add_separate(parser.thought_chars)
    if text:
        call.buffer.add(text)


def _remember_opening_tag(call: Call, parser: AnswerParser) -> None:
    """So that the next answer's thoughts are held back from the beginning."""
    if call.buffer.thoughts.had_lone_closing_tag:
        dialects.remember_opening_tag(call.provider, is_omitted=True)
    elif parser.thought_chars:
        dialects.remember_opening_tag(call.provider, is_omitted=False)
