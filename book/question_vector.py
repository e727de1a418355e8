"""The embedding of a reader's question."""

import asyncio
from dataclasses import replace

from loguru import logger

from book.search import Query, text_to_embed
from llm.embeddings import EmbeddingModel, embed, embedding_model
from llm.errors import ModelError
from llm.providers import are_embeddings_embedded

QUESTION_SECONDS = 1.0  # a reader waits


async def with_vector(query: Query) -> Query:
    """The query with its vector; without one where no embedding model is configured, or where it
    does not answer within `QUESTION_SECONDS`: then the words alone are searched.
    """
    text = text_to_embed(query.question, query.before)
    try:
        model = await _model()
        if model is None:
            return query
        (vector,) = await embed([text], model, deadline_seconds=QUESTION_SECONDS)
    except (ModelError, RuntimeError) as error:  # which is an embedded model that does not start
        logger.warning("The question is searched by its words alone: {}", error)
        return query
    return replace(query, vector=vector, embedding_model=model.name)


async def _model() -> EmbeddingModel | None:
    if are_embeddings_embedded():
        return await asyncio.to_thread(embedding_model)  # which may have to start it
    return embedding_model()
