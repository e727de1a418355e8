"""The embedding of a reader's question.

A call costs this process about as much for ten questions as for one. So questions that are asked
while others are being embedded wait for one another for a moment, and go together.
"""

import asyncio
from dataclasses import replace
from weakref import WeakKeyDictionary

from loguru import logger

from book.remembered import Remembered
from book.search import Query, Vector, text_to_embed, written_vector
from llm.embeddings import EmbeddingModel, embed, embedding_model
from llm.errors import ModelError, ModelRateLimited, ModelTimeout
from llm.providers import EMBEDDED, are_embeddings_embedded

QUESTION_SECONDS = 1.0  # a reader waits
GATHERING_SECONDS = 0.01
MOST_TOGETHER = 16

# Readers ask the same again, such as what a page suggests.
_remembered = Remembered[tuple[str, str], Vector](500)


async def with_vector(query: Query, seconds: float | None = None) -> Query:
    """The query with its vector; without one where no embedding model is configured, or where it
    does not answer within so many `seconds`, by default `QUESTION_SECONDS`: then the words alone
    are searched.
    """
    try:
        model = await _model()
        if model is None:
            return query
        return replace(
            query, vector=await _vector(text_to_embed(query), model, seconds or QUESTION_SECONDS)
        )
    except (ModelError, RuntimeError) as error:  # which is an embedded model that does not start
        logger.warning("The question is searched by its words alone: {}", error)
        return query


async def _model() -> EmbeddingModel | None:
    if are_embeddings_embedded():
        return await asyncio.to_thread(embedding_model)  # which may have to start it
    return embedding_model()


async def _vector(text: str, model: EmbeddingModel, seconds: float) -> Vector:
    if known := _remembered.get((model.name, text)):
        return known
    asked = _asked.setdefault(asyncio.get_running_loop(), {})
    questions = asked.setdefault((model, seconds), _Questions(model, seconds))
    return await asyncio.shield(questions.vector(text))


class _Questions:
    """Those that are asked on one event loop. The same question is embedded once, for all who ask
    it meanwhile.
    """

    def __init__(self, model: EmbeddingModel, seconds: float) -> None:
        self._model, self._seconds = model, seconds
        # The embedded model computes one text after the other: the first would wait for the last.
        self._most = 1 if model.provider.name == EMBEDDED else MOST_TOGETHER
        self._vectors: dict[str, asyncio.Future[Vector]] = {}  # that are not there yet
        self._gathered: list[str] = []
        self._calls: set[asyncio.Task[None]] = set()

    def vector(self, text: str) -> "asyncio.Future[Vector]":
        if text not in self._vectors:
            loop = asyncio.get_running_loop()
            self._vectors[text] = loop.create_future()
            self._gathered.append(text)
            if len(self._gathered) == self._most:
                self._call()
            elif len(self._gathered) == 1:
                loop.call_later(GATHERING_SECONDS if self._calls else 0, self._call)
        return self._vectors[text]

    def _call(self) -> None:
        texts, self._gathered = self._gathered, []
        if texts:
            deadline = asyncio.get_running_loop().time() + self._seconds
            call = asyncio.create_task(self._embed(texts, deadline))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _embed(self, texts: list[str], deadline: float) -> None:
        seconds = deadline - asyncio.get_running_loop().time()
        try:
            vectors = await embed(texts, self._model, deadline_seconds=seconds)
        except Exception as error:  # noqa: BLE001 - raised for those who asked
            if len(texts) == 1 or isinstance(error, ModelTimeout | ModelRateLimited):
                self._fail(texts, error)
            else:  # perhaps for one of them alone
                await asyncio.gather(*(self._embed([text], deadline) for text in texts))
        else:
            for text, values in zip(texts, vectors, strict=True):
                self._answer(text, values)

    def _answer(self, text: str, values: list[float]) -> None:
        model = self._model
        vector = Vector(written_vector(values), len(values), model.name, model.languages)
        _remembered.put((model.name, text), vector)
        self._vectors.pop(text).set_result(vector)

    def _fail(self, texts: list[str], error: Exception) -> None:
        for text in texts:
            vector = self._vectors.pop(text)
            vector.set_exception(error)
            vector.exception()  # retrieved also where nobody waits any more


# What is asked of a model, with how much time, on each event loop.
_asked: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[EmbeddingModel, float], _Questions]
] = WeakKeyDictionary()


def forget(vector: Vector) -> None:
    """It is of no use, nor are others of its dimension: the next time they are asked for again."""
    _remembered.forget(lambda each: each.dimension == vector.dimension)
