"""The lexical half of the index: which chunk has which lexeme, weighted as BM25 does.

PostgreSQL's own ranking (`ts_rank`) knows no rarity of words and reads every match. Here each word
of a question reads the chunks in which it weighs most, and no more than some.
"""

from collections.abc import Sequence

from django.db import connection

# BM25's parameters. A weight is stored for good, so it refers to lengths that are usual and not to
# the average of one edition.
K1, B = 1.2, 0.75
USUAL_LENGTH = {"text": 100, "question": 9}  # in lexemes, each as often as it occurs

# The chunks' texts are given beside their ids: `book.words.searchable` is not PostgreSQL's.
ADD = """
WITH given AS (
    SELECT id, configuration, usual_length, to_tsvector(configuration::regconfig, words) AS words
    FROM unnest(
        %(ids)s::bigint[], %(configurations)s::text[], %(lengths)s::real[], %(words)s::text[]
    ) AS given (id, configuration, usual_length, words)
),
occurrences AS (
    SELECT id, configuration, lexeme, cardinality(positions) AS times, usual_length,
        sum(cardinality(positions)) OVER (PARTITION BY id) AS length
    FROM given, unnest(words) AS word (lexeme, positions, weights)
),
counted AS (
    INSERT INTO book_lexeme AS known (configuration, lexeme, chunks)
    SELECT configuration, lexeme, count(*) FROM occurrences
    GROUP BY configuration, lexeme ORDER BY lexeme, configuration
    ON CONFLICT (lexeme, configuration) DO UPDATE SET chunks = known.chunks + excluded.chunks
    RETURNING id, configuration, lexeme
)
INSERT INTO book_posting (chunk_id, lexeme_id, weight)
SELECT occurrences.id, counted.id,
    times * (%(k1)s + 1) / (times + %(k1)s * (1 - %(b)s + %(b)s * length / usual_length))
FROM occurrences JOIN counted USING (configuration, lexeme)
"""
REMOVE = """
WITH gone AS (DELETE FROM book_chunk WHERE id = ANY(%(ids)s) RETURNING id),
removed AS (
    DELETE FROM book_posting USING gone WHERE chunk_id = gone.id RETURNING lexeme_id
),
counted AS (SELECT lexeme_id, count(*) AS chunks FROM removed GROUP BY lexeme_id)
UPDATE book_lexeme SET chunks = book_lexeme.chunks - counted.chunks
FROM counted WHERE id = lexeme_id
"""


def add(chunks: Sequence[tuple[int, str, str, str]]) -> None:
    """Index chunks, given as (id, kind, configuration, words)."""
    if chunks:
        ids, kinds, configurations, words = map(list, zip(*chunks, strict=True))
        values = {
            "ids": ids,
            "configurations": configurations,
            "lengths": [USUAL_LENGTH[kind] for kind in kinds],
            "words": words,
        }
        with connection.cursor() as cursor:
            cursor.execute(ADD, values | {"k1": K1, "b": B})


def remove(chunk_ids: Sequence[int]) -> None:
    """Delete chunks, with what the index knows of them."""
    with connection.cursor() as cursor:
        cursor.execute(REMOVE, {"ids": list(chunk_ids)})
