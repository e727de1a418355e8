"""The embedding of a reader's question."""

import asyncio
from dataclasses import replace

from loguru import logger

from book.remembered import Remembered
from book.search import Query, Vector, text_to_embed, written_vector
from llm.embeddings import EmbeddingModel, embed, embedding_model
from llm.errors import ModelError
from llm.providers import are_embeddings_embedded

QUESTION_SECONDS = 1.0  # a reader waits

# Readers ask the same again, such as what a page suggests.
_remembered = Remembered[tuple[str, str], Vector](500)
# What is being embedded: who asks the same meanwhile waits for the same call.
type Asked = tuple[asyncio.AbstractEventLoop, str, EmbeddingModel, float]
_asked: dict[Asked, asyncio.Task[Vector]] = {}


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
    asked = asyncio.get_running_loop(), text, model, seconds
    if asked not in _asked:
        _asked[asked] = asyncio.create_task(_embed(text, model, seconds))
        _asked[asked].add_done_callback(lambda task: _answered(asked, task))
    return await asyncio.shield(_asked[asked])


async def _embed(text: str, model: EmbeddingModel, seconds: float) -> Vector:
    (values,) = await embed([text], model, deadline_seconds=seconds)
    written = written_vector(values)
    vector = Vector(written, len(values), model.name, model.languages)
    _remembered.put((model.name, text), vector)
    return vector


def _answered(asked: Asked, task: "asyncio.Task[Vector]") -> None:
    del _asked[asked]
    if not task.cancelled():
        task.exception()  # retrieved also where nobody waits any more


def forget(vector: Vector) -> None:
    """It is of no use, nor are others of its dimension: the next time they are asked for again."""
    _remembered.forget(lambda each: each.dimension == vector.dimension)
