"""Indexes of embeddings: one for each model and kind of chunk, from some number of chunks on.

Below that number all embeddings are compared, which is exact and about as fast.
"""

import zlib

from django.db import connection

from book.models import Chunk

INDEXED_FROM = 5_000
# HNSW's graph is built in memory as far as it fits: about 1 KB for a chunk of 384 dimensions.
BUILD_MEMORY = "256MB"
MAX_DIMENSION = 4_000  # of a halfvec in an index

CREATE = """
CREATE INDEX IF NOT EXISTS {name} ON book_chunk
USING hnsw ((embedding::halfvec({dimension})) halfvec_cosine_ops)
WHERE kind = '{kind}' AND embedding_model = {model}
"""
NAMES = """
SELECT indexname FROM pg_indexes WHERE tablename = 'book_chunk' AND indexname LIKE 'book\\_hnsw\\_%'
"""


def ensure_indexes(embedding_model: str, dimension: int) -> None:
    """Make the indexes that the model's chunks are worth. Searches go on meanwhile."""
    for kind in Chunk.Kind.values:
        count = Chunk.objects.filter(kind=kind, embedding_model=embedding_model).count()
        if count >= INDEXED_FROM and dimension <= MAX_DIMENSION:
            _create(embedding_model, dimension, kind)


def _create(embedding_model: str, dimension: int, kind: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_literal(%s)", [embedding_model])
        (model,) = cursor.fetchone()
        name = _name(embedding_model, kind)
        cursor.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'")
        try:
            cursor.execute(CREATE.format(name=name, dimension=dimension, kind=kind, model=model))
        finally:
            cursor.execute("RESET maintenance_work_mem")


def drop_indexes_except(embedding_model: str) -> None:
    """Drop the indexes of models that are not used any more."""
    kept = {_name(embedding_model, kind) for kind in Chunk.Kind.values}
    with connection.cursor() as cursor:
        cursor.execute(NAMES)
        for (name,) in cursor.fetchall():
            if name not in kept:
                cursor.execute(f"DROP INDEX IF EXISTS {name}")


def _name(embedding_model: str, kind: str) -> str:
    return f"book_hnsw_{zlib.crc32(embedding_model.encode()):08x}_{kind}"
