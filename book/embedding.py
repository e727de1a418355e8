"""Chunks: made of sections and questions that have none yet, embedded and stored.

They are stored a batch at a time, each with all parts of a section or none.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from book import chunks, postings
from book.models import Chunk, Edition, Place, Section
from book.search import written_vector
from book.words import configuration_of, searchable
from llm.embeddings import EmbeddingModel, embed
from llm.spending import Spending

BATCH = 128  # chunks
EMBEDDING_SECONDS = 600  # for a batch

MISSING_QUESTIONS = """
SELECT section.id, question.language, question.text
FROM book_place AS place
JOIN book_section AS section ON section.id = place.section_id
JOIN book_question AS question USING (content_hash)
WHERE place.edition_id = %(edition)s AND NOT EXISTS (
    SELECT FROM book_chunk AS chunk
    WHERE chunk.section_id = section.id AND chunk.embedding_model = %(model)s
        AND chunk.kind = 'question' AND chunk.digest = md5(question.text)::uuid
)
ORDER BY section.id, question.id
"""
KNOWN = """
SELECT DISTINCT ON (digest) digest, embedding::text FROM book_chunk
WHERE digest = ANY(%s) AND embedding_model = %s AND embedding IS NOT NULL
"""
INSERT = """
INSERT INTO book_chunk
    (section_id, kind, version, text, digest, configuration, embedding_model, since_id, embedding)
SELECT section, kind, version, text, digest, configuration, %(model)s, %(since)s, vector::halfvec
FROM unnest(
    %(sections)s::bigint[], %(kinds)s::text[], %(versions)s::smallint[], %(texts)s::text[],
    %(digests)s::uuid[], %(configurations)s::text[], %(vectors)s::text[]
) AS new (section, kind, version, text, digest, configuration, vector)
ON CONFLICT DO NOTHING
RETURNING id, kind, configuration, text
"""


@dataclass(frozen=True, slots=True)
class NewChunk:
    section_id: int
    kind: str
    text: str
    configuration: str

    @property
    def version(self) -> int:
        """Of the way in which sections are cut; questions are not."""
        return chunks.VERSION if self.kind == Chunk.Kind.TEXT else 0

    @property
    def digest(self) -> UUID:
        return UUID(hashlib.md5(self.text.encode(), usedforsecurity=False).hexdigest())


def missing(draft: Edition) -> list[list[NewChunk]]:
    """The chunks that the draft's sections do not have by its embedding model; by section."""
    return [*_missing_texts(draft), *_missing_questions(draft)]


def _missing_texts(draft: Edition) -> Iterator[list[NewChunk]]:
    places = Place.objects.filter(edition=draft, section=OuterRef("pk"))
    known = Chunk.objects.filter(
        section=OuterRef("pk"),
        kind=Chunk.Kind.TEXT,
        version=chunks.VERSION,
        embedding_model=draft.embedding_model,
    )
    for section in Section.objects.filter(Exists(places), ~Exists(known)).order_by("pk"):
        configuration = configuration_of(section.language)
        texts = dict.fromkeys(chunks.chunk_texts(section.heading_path, section.text))
        yield [NewChunk(section.pk, Chunk.Kind.TEXT, text, configuration) for text in texts]


def _missing_questions(draft: Edition) -> Iterator[list[NewChunk]]:
    with connection.cursor() as cursor:
        cursor.execute(MISSING_QUESTIONS, {"edition": draft.pk, "model": draft.embedding_model})
        for section, language, text in cursor.fetchall():
            yield [NewChunk(section, Chunk.Kind.QUESTION, text, configuration_of(language))]


def store(
    draft: Edition,
    groups: Sequence[list[NewChunk]],
    model: EmbeddingModel | None,
    *,
    runner: asyncio.Runner,
    spending: Spending,
    on_stored: Callable[[int], object],
) -> None:
    """Embed and store chunks; `on_stored` gets the number of each batch.

    Raises ModelError; the batches before it are stored.
    """
    for batch in _batches(groups):
        vectors = _vectors(batch, model, runner, spending) if model else [None] * len(batch)
        insert(draft, batch, vectors)
        on_stored(len(batch))


def _batches(groups: Sequence[list[NewChunk]]) -> Iterator[list[NewChunk]]:
    batch: list[NewChunk] = []
    for group in groups:
        batch += group
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _vectors(
    batch: Sequence[NewChunk], model: EmbeddingModel, runner: asyncio.Runner, spending: Spending
) -> list[str | None]:
    """As pgvector reads them; a text that was embedded before is not embedded again."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, [[each.digest for each in batch], model.name])
        known = dict(cursor.fetchall())
    texts = {each.digest: each.text for each in batch if each.digest not in known}
    if texts:
        found = runner.run(
            embed(
                list(texts.values()), model, deadline_seconds=EMBEDDING_SECONDS, spending=spending
            )
        )
        known |= zip(texts, map(written_vector, found), strict=True)
    return [known[each.digest] for each in batch]


def insert(draft: Edition, batch: Sequence[NewChunk], vectors: Sequence[str | None]) -> None:
    values: dict[str, Any] = {
        "model": draft.embedding_model,
        "since": draft.pk,
        "sections": [each.section_id for each in batch],
        "kinds": [each.kind for each in batch],
        "versions": [each.version for each in batch],
        "texts": [each.text for each in batch],
        "digests": [each.digest for each in batch],
        "configurations": [each.configuration for each in batch],
        "vectors": list(vectors),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, values)
        new = cursor.fetchall()
        postings.add(
            [(key, kind, configuration, searchable(text)) for key, kind, configuration, text in new]
        )


def dimension(draft: Edition) -> int | None:
    """Of the embeddings of the draft's model; None without any."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT vector_dims(embedding) FROM book_chunk WHERE embedding_model = %s "
            "AND embedding IS NOT NULL LIMIT 1",
            [draft.embedding_model],
        )
        row = cursor.fetchone()
    return row[0] if row else None
