"""Embeddings: texts as vectors, in batches, from one service.

There is no fallback: vectors of different models cannot be compared.
"""

import asyncio
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from llm import clients, refusals, telemetry, wordings
from llm.errors import (
    ContextTooLong,
    ModelError,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from llm.providers import (
    EMBEDDED,
    Provider,
    are_embeddings_embedded,
    configured_embeddings,
    embedded_embedding_model,
    embedding_provider,
)
from llm.retries import TRIES, pause_before_retry
from llm.spending import Spending, estimated_tokens, read_usage
from llm.transport import Response

if TYPE_CHECKING:
    from loguru import Logger

PATH = "/embeddings"
# Services take different numbers of texts at once; a smaller one than this is learned.
MAX_BATCH_TEXTS = 64
MAX_BATCH_CHARS = 50_000
MAX_TEXT_CHARS = 32_000  # about as much as the services' models read
MIN_TEXT_CHARS = 20  # a service that finds this too long will find anything too long
KEPT_OF_TOO_LONG = 0.75
CALLS_AT_ONCE = 4
# The embedded model computes one text after the other, and a reader's question waits for a request.
EMBEDDED_BATCH_TEXTS = 1
EMBEDDED_LANGUAGES = ("en",)
# Whoever embeds a book may wait until the next minute's requests are allowed, and the one after.
RATE_LIMITED_TRIES = 8

type Vector = list[float]

# How many texts a provider takes at once, where it has refused more. Each process learns it anew.
_batch_limits: dict[Provider, int] = {}


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Whom to ask for embeddings."""

    provider: Provider

    @property
    def name(self) -> str:
        """`service/model`: vectors under one name can be compared, those under two cannot."""
        return f"{self.provider.name}/{self.provider.model}"

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that it knows, as tags; empty where it is taken to know any."""
        return EMBEDDED_LANGUAGES if self.provider.name == EMBEDDED else ()


def embedding_model() -> EmbeddingModel | None:
    """The model that the settings name; None where there is none.

    Where it is the embedded one, it is started unless it runs. Raises embedded.service.NotStarted.
    """
    provider = embedding_provider()
    return EmbeddingModel(provider) if provider else None


def embedding_model_name() -> str:
    """The name of the model that the settings name, or ""; nothing is started to find out."""
    if are_embeddings_embedded():
        return f"{EMBEDDED}/{embedded_embedding_model()}"
    provider = configured_embeddings()
    return EmbeddingModel(provider).name if provider else ""


async def embed(
    texts: Sequence[str],
    model: EmbeddingModel,
    *,
    deadline_seconds: float,
    spending: Spending | None = None,
) -> list[Vector]:
    """A vector of length 1 for each text, in their order, all with the same number of dimensions.

    Of a text that is too long for the model, the beginning counts. `spending` is added to, also
    when this fails or is cancelled. Raises ModelUnavailable, ModelMisconfigured, ModelRateLimited
    or ModelTimeout; then nothing is returned, whatever had been embedded.
    """
    clients.load_sdk()  # as in `completions`
    deadline = asyncio.get_running_loop().time() + deadline_seconds
    spending = Spending() if spending is None else spending
    run = _Run(model.provider, deadline, spending, asyncio.Semaphore(_calls_at_once(model)))
    try:
        async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
            tasks = [group.create_task(_embed(run, each)) for each in _batches(texts, model)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    except TimeoutError as error:
        run.line.error("Embedding failed: its time is up")
        raise ModelTimeout(f"{model.provider.name} did not embed in time") from error
    return _same_length([vector for task in tasks for vector in task.result()])


@dataclass(frozen=True, slots=True)
class _Run:
    """What all requests for one list of texts share. `deadline` is of the loop's clock."""

    provider: Provider
    deadline: float
    spending: Spending
    turns: asyncio.Semaphore

    @property
    def line(self) -> "Logger":
        return logger.bind(provider=self.provider.name, model=self.provider.model)


def _same_length(vectors: list[Vector]) -> list[Vector]:
    if len({len(each) for each in vectors}) > 1:
        raise ModelUnavailable("the vectors have different numbers of dimensions")
    return vectors


# Batches --------------------------------------------------------------------------------
def _calls_at_once(model: EmbeddingModel) -> int:
    return 1 if model.provider.name == EMBEDDED else CALLS_AT_ONCE


def _batches(texts: Sequence[str], model: EmbeddingModel) -> Iterator[list[str]]:
    """The texts, cut to what may be sent, in requests of bounded number and size."""
    most = EMBEDDED_BATCH_TEXTS if model.provider.name == EMBEDDED else MAX_BATCH_TEXTS
    batch: list[str] = []
    size = 0
    for text in texts:
        cut = text[:MAX_TEXT_CHARS]
        if batch and (len(batch) == most or size + len(cut) > MAX_BATCH_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(cut)
        size += len(cut)
    if batch:
        yield batch


async def _embed(run: _Run, texts: list[str]) -> list[Vector]:
    """The vectors of a batch, in several requests where the service finds it too much for one."""
    if len(texts) <= _batch_limits.get(run.provider, MAX_BATCH_TEXTS):
        try:
            async with run.turns:
                return await _ask_with_retries(run, texts)
        except ModelError as error:
            if not _is_too_much(error) or (len(texts) == 1 and len(texts[0]) <= MIN_TEXT_CHARS):
                raise
            _learn(run.provider, texts, error)
    if len(texts) == 1:
        kept = int(len(texts[0]) * KEPT_OF_TOO_LONG)
        run.line.debug("A text is too long to be embedded as a whole: {} characters stay", kept)
        return await _embed(run, [texts[0][:kept]])
    middle = len(texts) // 2
    return [*await _embed(run, texts[:middle]), *await _embed(run, texts[middle:])]


def _is_too_much(error: ModelError) -> bool:
    return isinstance(error, ContextTooLong) or _is_of_batch(error)


def _is_of_batch(error: ModelError) -> bool:
    refusal = error.refusal
    if refusal is None or refusal.status in (401, 402, 403, 404, 429):
        return False
    return wordings.BATCH_TOO_LARGE.search(refusal.text) is not None


def _learn(provider: Provider, texts: list[str], error: ModelError) -> None:
    if len(texts) > 1 and _is_of_batch(error):
        known = _batch_limits.get(provider, MAX_BATCH_TEXTS)
        _batch_limits[provider] = min(known, len(texts) // 2)


# Asking ---------------------------------------------------------------------------------
async def _ask_with_retries(run: _Run, texts: list[str]) -> list[Vector]:
    """Ask, again after a transient failure, as long as the wait ends before the deadline."""
    loop = asyncio.get_running_loop()
    for attempt in range(1, RATE_LIMITED_TRIES + 1):
        try:
            return await _ask(run, texts)
        except ModelError as failure:
            tries = RATE_LIMITED_TRIES if isinstance(failure, ModelRateLimited) else TRIES
            pause = pause_before_retry(failure, attempt, run.deadline - loop.time(), tries)
            if pause is None:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("unreachable")  # pragma: no cover


async def _ask(run: _Run, texts: list[str]) -> list[Vector]:
    """One request. Raises ModelError; `run.spending` is added to in any case."""
    begin = time.monotonic()
    line = run.line.bind(texts=len(texts))
    try:
        with telemetry.model_call("embeddings", run.provider.name, run.provider.model) as span:
            answer = await _answer(run, texts)
            usage = read_usage(answer.get("usage"))
            span.set({"gen_ai.usage.input_tokens": usage.prompt_tokens if usage else None})
        vectors = _vectors(answer, len(texts))
    except ModelError as error:
        duration = round((time.monotonic() - begin) * 1000)
        level = "DEBUG" if _is_too_much(error) else "ERROR"
        line.bind(duration_ms=duration, outcome=error.code).log(
            level, "Embedding failed: {}", error
        )
        raise
    line.bind(duration_ms=round((time.monotonic() - begin) * 1000)).debug("Embedding")
    return vectors


async def _answer(run: _Run, texts: list[str]) -> dict[str, Any]:
    body = {"model": run.provider.model, "input": texts}
    estimate = estimated_tokens(sum(map(len, texts)))
    try:
        response = await clients.post(run.provider, PATH, body)
    except asyncio.CancelledError:
        run.spending.estimated += estimate  # for all we know
        raise
    try:
        answer = _loaded(await _read(response), run.provider)
        usage = read_usage(answer.get("usage"))
    except BaseException:
        run.spending.estimated += estimate
        raise
    if usage:
        run.spending.add(usage)
    else:
        run.spending.estimated += estimate
    if not isinstance(answer.get("data"), list):
        raise refusals.in_answer(answer, run.provider)
    return answer


async def _read(response: Response) -> bytes:
    data = await response.read()
    if response.is_cut:
        raise ModelUnavailable("the answer is too large", is_transient=False)
    return data


# Reading --------------------------------------------------------------------------------
def _loaded(data: bytes, provider: Provider) -> dict[str, Any]:
    text = str(data, "utf-8", "replace")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        words = refusals.first_words(text[:1000], provider)
        raise ModelUnavailable(f"the answer is not JSON: {words}") from error
    if not isinstance(answer, dict):
        raise refusals.in_answer(answer, provider)
    return answer


def _vectors(answer: dict[str, Any], count: int) -> list[Vector]:
    """The vectors of an answer, in the order of the texts, made as long as 1."""
    entries = answer["data"]
    if len(entries) != count or not all(isinstance(each, dict) for each in entries):
        raise ModelUnavailable(f"{len(entries)} vectors for {count} texts")
    places = [each.get("index") for each in entries]
    if sorted(filter(_is_whole, places)) == list(range(count)):
        entries = sorted(entries, key=lambda each: each["index"])
    return [_normalized(each.get("embedding")) for each in entries]


def _is_whole(value: object) -> bool:
    return isinstance(value, int)


def _normalized(values: Any) -> Vector:
    try:
        length = math.hypot(*values)
    except (TypeError, OverflowError) as error:
        raise ModelUnavailable("a vector is not made of numbers") from error
    if not 0 < length < math.inf:
        raise ModelUnavailable("a vector has no direction")
    return [value / length for value in values]
