"""Retrieve: the sections of the book that a question needs, while nothing else is held.

The question is embedded while the turn is opened; one statement then finds the sections. Neither a
slow embedding service nor a missing book costs a turn anything but the sections.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import psycopg
from django.conf import settings
from loguru import logger

from book import search
from book.question_vector import forget, with_vector
from book.remembered import Remembered, Shared
from book.search import Found, Query
from chat.citations.excerpts import Excerpts, choose
from chat.database import Statement, read_rows, reason
from chat.turn import limits
from chat.turn.open import Opened
from chat.turn.turn import Question
from llm import telemetry
from llm.providers import is_demonstration

SECTIONS = 10
SPARE_SECTIONS = 3  # of which what the last answers cited may be lifted to the others
# A reader gets a 503 within 10 s of asking, and the reply is still to be closed then.
SEARCH_SECONDS = 4
# What a model of 135 million parameters can bear.
DEMONSTRATION_SECTIONS, DEMONSTRATION_TOKENS = 2, 500

# What an edition, known by when it was published, has for a question. Readers ask the same again,
# such as what a page suggests.
_remembered = Remembered[tuple[datetime | None, Query], Found](100)
_searched = Shared[tuple[datetime | None, Query], Found | None]()  # now
MOST_REMEMBERED_CHARS = 50_000  # of one question's sections

# Whether there was a book when this process last opened a turn: without one no question is
# embedded in advance.
_has_book = False


class Retrieval:
    """A question's way to its sections, begun before it is known whether there is a book."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._query = Query(question.text, page_url=question.page_url or "")
        self._embedding: asyncio.Task[Query] | None = None
        # It may refer to the question before it, and is then embedded together with that.
        self._may_refer = question.session_id is not None and search.may_refer(question.text)
        if _has_book and not self._needs_none() and not self._may_refer:
            self._embedding = asyncio.create_task(_embedded(self._query))

    def _needs_none(self) -> bool:
        """A client that is refused from memory must not have questions embedded meanwhile."""
        question = self._question
        return bool(question.selected_text or limits.known_refusal(question.client))

    async def drop(self) -> None:
        """No sections are needed."""
        if self._embedding:
            self._embedding.cancel()
            with suppress(asyncio.CancelledError):
                await self._embedding

    async def excerpts(self, opened: Opened) -> Excerpts | None:
        """None without a book. Raises DatabaseUnavailable."""
        global _has_book  # noqa: PLW0603 - what this process knows
        _has_book = opened.edition is not None
        if opened.edition is None:
            await self.drop()
            return None
        begin = time.monotonic()
        found = await self._find(opened)
        telemetry.measure("chat.retrieval.duration", time.monotonic() - begin)
        return chosen(found.favouring(opened.cited), self._question.text) if found else None

    async def _find(self, opened: Opened) -> Found | None:
        before = opened.exchanges[-1][0] if self._may_refer and opened.exchanges else ""
        query = replace(self._query, before=before)
        if self._embedding:
            embedded = await self._embedding
            query = replace(query, vector=embedded.vector)
        else:
            query = await _embedded(query)
        key = opened.published_at, query
        return _remembered.get(key) or await _searched.get(key, lambda: _search(query))


async def _search(query: Query) -> Found | None:
    with telemetry.span("search", {"chat.has_vector": query.vector is not None}) as span:
        found = await find_sections(query, SECTIONS + SPARE_SECTIONS)
        span.set({"chat.sections": len(found.hits) if found else 0})
    if found and sum(len(hit.text) for hit in found.hits) <= MOST_REMEMBERED_CHARS:
        # It may have been published since the turn was opened.
        _remembered.put((found.published_at, query), found)
    return found


async def _embedded(query: Query) -> Query:
    with telemetry.span("embed"):
        return await with_vector(query)


async def find_sections(query: Query, limit: int) -> Found | None:
    """What is found; None without a book. By words alone where the question's embedding cannot be
    compared with the book's, since the service has changed. Raises DatabaseUnavailable.
    """
    try:
        rows = await read_rows(Statement(*search.statement(query, limit)), SEARCH_SECONDS)
    except psycopg.DataError as error:
        if query.vector is None:
            raise
        logger.error("The question is searched by its words alone: {}", reason(error))
        forget(query.vector)
        by_words = Statement(*search.statement(replace(query, vector=None), limit))
        rows = await read_rows(by_words, SEARCH_SECONDS)
    return search.read_rows(rows, limit)


def chosen(found: Found, question: str) -> Excerpts:
    """As many sections as the model can bear."""
    if is_demonstration():
        return choose(found, DEMONSTRATION_SECTIONS, DEMONSTRATION_TOKENS, question)
    return choose(found, SECTIONS, settings.BOOK_EXCERPT_TOKENS, question)
