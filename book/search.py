"""What a question finds in the book: sections, best first.

Three rankings are made in one statement: by words (BM25, over texts and questions), by the
embeddings of texts, and by those of questions. They are fused by rank (reciprocal rank fusion);
what was measured is in docs/performance.md.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import batched
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from book.models import address, written_path
from book.words import are_alike, configuration_of, searchable, words_of

RRF_K = 10
# By words, by texts, by questions.
WORDS_WEIGHT, TEXTS_WEIGHT, QUESTIONS_WEIGHT = 1.0, 1.0, 1.0
BEST_SCORE = (WORDS_WEIGHT + TEXTS_WEIGHT + QUESTIONS_WEIGHT) / (RRF_K + 1)
# For the reader's page, and for each section that the last answers cited: about a rank in one
# ranking, so that it decides between equals.
NEARNESS_BONUS = 0.01
NEAR_RANKS = 10  # from how far below the last place it may lift one
# A question of so few words may refer to the one before it.
FOLLOW_UP_WORDS = 5
WEIGHT_OF_QUESTION_BEFORE = 0.5
MAX_LEXEMES = 40
MAX_POSTINGS = 1_000  # read for each word of a question: those in which it weighs most
MAX_CANDIDATES = 300  # chunks that the words find
MAX_NEIGHBOURS = 200  # texts, and questions, that are nearest
NEAR_DUPLICATE = 0.8
NEAR_DUPLICATES = 5  # so many more are read, since some may be left out
MAX_HITS = 50
# How many neighbours HNSW keeps in view: .95 of the exact ones are found at 100,000 chunks.
HNSW_EF_SEARCH = 200

# Of the embeddings' weight this much is left for a question in a language that the embedding model
# does not know: what no word finds is still found in some order.
LEAST_TRUST = 0.1
# How far the best section stands out is measured against the one at this place.
USUAL_PLACE = 10
SIMILAR = 0.3  # a cosine: less is hardly similar

NEAREST = """
    SELECT nearest.section_id, max(similarity) AS score,
        rank() OVER (ORDER BY max(similarity) DESC) AS place
    FROM (
        SELECT section_id, since_id, 1 - (
            embedding::halfvec({dimension}) <=> (SELECT vector FROM asked_vector)
        ) AS similarity
        FROM book_chunk
        WHERE kind = '{kind}' AND embedding_model = '{model}'
        ORDER BY embedding::halfvec({dimension}) <=> (SELECT vector FROM asked_vector)
        LIMIT {most}
    ) AS nearest
    JOIN edition ON nearest.since_id <= edition.id AND edition.embedding_model = '{model}'
    JOIN book_place ON book_place.edition_id = edition.id
        AND book_place.section_id = nearest.section_id
    GROUP BY nearest.section_id
"""
NO_RANKING = """
    SELECT NULL::bigint AS section_id, NULL::float8 AS score, NULL::bigint AS place WHERE false
"""
NO_VECTOR = "SELECT NULL"
# By how much the best section is better than the one at the usual place, from 0 to 1.
OUTSTANDING = f"""
    1 - greatest(0, min(score) FILTER (WHERE place <= {USUAL_PLACE})) / nullif(max(score), 0)
"""
# Where only a few sections have any of the words, nothing is at that place. Where nothing is
# similar, that the best section stands out says little.
OUTSTANDING_BY_WORDS = f"CASE WHEN count(*) < {USUAL_PLACE} THEN 1 ELSE {OUTSTANDING} END"
OUTSTANDING_BY_VECTORS = f"({OUTSTANDING}) * greatest(0, least(1, max(score) / {SIMILAR}))"
# The setting is made before the index is read, which needs the vector.
ASKED_VECTOR = """
    SELECT %(vector)s::halfvec({dimension}) AS vector,
        set_config('hnsw.ef_search', '{ef_search}', true)
"""

PAGE_URLS = """ARRAY[
    %(page)s::text, %(page)s || '/', %(page)s || '.html', %(page)s || '/index.html'
]"""

SEARCH = """
WITH edition AS MATERIALIZED (
    SELECT id, number, published_at, embedding_model, configurations, configuration_chunks,
        chunk_count, question_count
    FROM book_edition WHERE is_current
),
languages AS MATERIALIZED (
    SELECT configuration, coalesce(chunks, chunk_count) AS chunks_of_language
    FROM edition, unnest(configurations, configuration_chunks) AS language (configuration, chunks)
),
-- Each language of the book stems a question's words in its own way.
stemmed AS MATERIALIZED (
    SELECT configuration, chunks_of_language, lexeme, weight, is_of_question, place,
        count(*) OVER (PARTITION BY is_of_question, place) AS languages_with_it,
        book_lexeme.id, coalesce(chunks, 0) AS chunks
    FROM languages
    CROSS JOIN (
        VALUES (%(words)s, 1::float8, true), (%(words_before)s, {weight_before}::float8, false)
    ) AS given (words, weight, is_of_question)
    CROSS JOIN unnest(to_tsvector(configuration::regconfig, words))
        AS word (lexeme, places, weights)
    CROSS JOIN unnest(places) AS place
    LEFT JOIN book_lexeme USING (configuration, lexeme)
),
-- How much of the question each language knows: as its stop words, or from the book.
known_shares AS MATERIALIZED (
    SELECT configuration, 1 - count(*) FILTER (WHERE is_of_question AND chunks = 0)::float8
        / %(word_count)s AS share
    FROM languages LEFT JOIN stemmed USING (configuration) GROUP BY configuration
),
-- An embedding model that knows some languages alone is trusted as far as the question is in them.
trust AS MATERIALIZED (
    SELECT max(share) AS known_share, greatest({least_trust}, coalesce(coalesce(
        max(share) FILTER (
            WHERE %(configurations)s::text[] IS NULL
                OR configuration = ANY(%(configurations)s::text[])
        ), 0) / nullif(max(share), 0), 1)) AS in_embeddings
    FROM known_shares
),
weights AS (
    SELECT in_embeddings * {texts_weight}::float8 AS texts_weight,
        in_embeddings * {questions_weight}::float8 AS questions_weight,
        {words_weight}::float8 + (1 - in_embeddings)
            * ({texts_weight}::float8 + {questions_weight}::float8) AS words_weight
    FROM trust
),
-- What is a stop word in one of the languages is left out altogether, or it would be a rare word of
-- the others. How rare a word is depends on the chunks in its language.
known_words AS MATERIALIZED (
    SELECT id, chunks > {max_postings} AS is_common,
        max(weight) * ln(1 + (greatest(chunks_of_language, chunks) - chunks + 0.5) / (chunks + 0.5))
            AS rarity
    FROM stemmed
    WHERE chunks > 0 AND languages_with_it = (SELECT count(*) FROM languages)
    GROUP BY id, chunks, chunks_of_language
    ORDER BY rarity DESC LIMIT {max_lexemes}
),
-- Of a common word only the chunks in which it weighs most are read. What it weighs in the others
-- is looked up for those that the rest makes promising.
promising AS (
    SELECT chunk_id, sum(rarity * weight) AS score,
        coalesce(sum(rarity * weight) FILTER (WHERE NOT is_common), 0) AS by_rare_words
    FROM known_words CROSS JOIN LATERAL (
        SELECT chunk_id, weight FROM book_posting
        WHERE lexeme_id = known_words.id ORDER BY weight DESC LIMIT {max_postings}
    ) AS posting
    GROUP BY chunk_id ORDER BY score DESC LIMIT {max_candidates}
),
candidates AS MATERIALIZED (
    SELECT chunk_id, section_id, kind, by_rare_words
    FROM promising
    JOIN book_chunk ON book_chunk.id = chunk_id
    JOIN edition ON since_id <= edition.id AND book_chunk.embedding_model = edition.embedding_model
    JOIN book_place USING (section_id)
    WHERE book_place.edition_id = edition.id
),
-- OFFSET 0 has each chunk's postings read by themselves, and not all that a common word has.
postings_of_candidates AS MATERIALIZED (
    SELECT candidates.chunk_id, lexeme_id, weight
    FROM candidates CROSS JOIN LATERAL (
        SELECT lexeme_id, weight FROM book_posting
        WHERE book_posting.chunk_id = candidates.chunk_id OFFSET 0
    ) AS posting
    WHERE EXISTS (SELECT FROM known_words WHERE is_common)
),
by_common_words AS (
    SELECT chunk_id, sum(rarity * weight) AS score
    FROM postings_of_candidates JOIN known_words ON known_words.id = lexeme_id
    WHERE is_common
    GROUP BY chunk_id
),
by_words AS (
    SELECT section_id, sum(score) AS score, rank() OVER (ORDER BY sum(score) DESC) AS place
    FROM (
        SELECT section_id, kind, max(by_rare_words + coalesce(score, 0)) AS score
        FROM candidates LEFT JOIN by_common_words USING (chunk_id)
        GROUP BY section_id, kind
    ) AS best
    GROUP BY section_id
),
asked_vector AS MATERIALIZED ({asked_vector}),
by_texts AS ({by_texts}),
by_questions AS ({by_questions}),
fused AS (
    SELECT section_id,
        coalesce(words_weight / ({k} + by_words.place), 0)
        + coalesce(texts_weight / ({k} + by_texts.place), 0)
        + coalesce(questions_weight / ({k} + by_questions.place), 0) AS score,
        by_words.score AS words, by_words.place AS words_place,
        by_texts.score AS texts, by_texts.place AS texts_place,
        by_questions.score AS questions, by_questions.place AS questions_place
    FROM weights CROSS JOIN (
        by_words FULL JOIN by_texts USING (section_id) FULL JOIN by_questions USING (section_id)
    )
),
outstanding AS (
    SELECT
        (SELECT {outstanding_by_words} FROM by_words) AS by_words,
        (SELECT {outstanding_by_vectors} FROM by_texts) AS by_texts,
        (SELECT {outstanding_by_vectors} FROM by_questions) AS by_questions
),
best AS (SELECT * FROM fused ORDER BY score DESC LIMIT %(limit)s + {near_ranks}),
hits AS (
    SELECT book_section.*, best.*,
        score
        + CASE WHEN page_url = ANY({page_urls}) THEN {bonus}::float8 ELSE 0 END AS total
    FROM best JOIN book_section ON book_section.id = section_id
    ORDER BY total DESC, section_id LIMIT %(limit)s
)
SELECT edition.number,
    (known_share + in_embeddings * coalesce(by_questions, by_texts)
        + (1 - in_embeddings) * coalesce(by_words, 0)) / 2,
    hits.id, page_url, anchor, heading_path, level, hits.language, text,
    array_to_string(sketch, ' '), total,
    words, words_place, texts, texts_place, questions, questions_place,
    found_on.position, reader_on.position, reader_on.title, edition.published_at
FROM edition CROSS JOIN trust CROSS JOIN outstanding
LEFT JOIN hits ON true
LEFT JOIN book_page AS found_on ON found_on.edition_id = edition.id AND found_on.url = page_url
LEFT JOIN LATERAL (
    SELECT position, title FROM book_page
    WHERE edition_id = edition.id AND url = ANY({page_urls}) LIMIT 1
) AS reader_on ON true
ORDER BY total DESC, hits.id
"""


class Vector(NamedTuple):
    """A question's embedding: as `written_vector` writes it, its length, and by which model, which
    knows some languages (empty: any).
    """

    written: str
    dimension: int
    model: str
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and where. `vector` is that of `text_to_embed`; without one the words alone
    are searched.
    """

    question: str
    before: str = ""  # the question before it, in the same conversation
    page_url: str = ""  # where the reader is
    vector: Vector | None = None


class Rank(NamedTuple):
    """A section's score in one ranking, and its place, from 1."""

    score: float
    place: int


class Hit(NamedTuple):
    """A section that was found; `score` is from 0 to 1, and comparable within one search."""

    section_id: int
    page_url: str
    anchor: str
    heading_path: list[str]
    level: int
    language: str
    text: str  # Markdown
    score: float
    by_words: Rank | None
    by_texts: Rank | None  # the score is the cosine
    by_questions: Rank | None
    page_position: int  # in the book

    @property
    def page_title(self) -> str:
        return self.heading_path[0]

    @property
    def title(self) -> str:
        return self.heading_path[-1]

    @property
    def path(self) -> str:
        return written_path(self.heading_path)

    @property
    def url(self) -> str:
        return address(self.page_url, self.anchor)


@dataclass(frozen=True, slots=True)
class Found:
    """`sureness`, from 0 to 1, says how likely the book covers the question: how many of its words
    the book knows, and how far one section stands out from others. It may warn, no more. None
    without embeddings.
    """

    edition: int
    hits: list[Hit]
    sureness: float | None
    reader_page: "ReaderPage | None" = None
    published_at: datetime | None = None  # the edition

    def favouring(self, sections: Collection[int]) -> "Found":
        """With a little more weight for these sections, such as those that the last answers cited.

        Not done by the search, so that the same question need not be searched again for it.
        """
        if not sections:
            return self
        bonus = NEARNESS_BONUS / BEST_SCORE
        hits = [
            (
                hit._replace(score=round(min(hit.score + bonus, 1), 4))
                if hit.section_id in sections
                else hit
            )
            for hit in self.hits
        ]
        return replace(self, hits=sorted(hits, key=lambda hit: hit.score, reverse=True))


class ReaderPage(NamedTuple):
    """The page of the book that the reader is on: its place in the book, and its title."""

    position: int
    title: str


def text_to_embed(query: Query) -> str:
    """The question, together with the one before it if it may refer to that: "and how fast?"."""
    question, before = query.question, query.before
    return f"{before}\n{question}" if before and may_refer(question) else question


def may_refer(question: str) -> bool:
    """Whether a question is so short that it may refer to the one before it."""
    return _are_few(words_of(question))


def _are_few(words: Sequence[str]) -> bool:
    return len(words) <= FOLLOW_UP_WORDS


def statement(query: Query, limit: int) -> tuple[str, Mapping[str, Any]]:
    """SQL with named placeholders, and their values; `read_rows` reads its rows."""
    words = words_of(query.question)
    before = query.before if _are_few(words) else ""
    values: dict[str, Any] = {
        "words": " ".join(words),
        "word_count": len(words) or 1,
        "words_before": searchable(before),
        "page": page_stem(query.page_url),
        "limit": min(limit, MAX_HITS) + NEAR_DUPLICATES,
        "configurations": None,
    }
    if query.vector is None:
        return _sql("", 0), values
    written, dimension, model, languages = query.vector
    known = written_array(map(configuration_of, languages)) if languages else None
    return _sql(model, dimension), values | {"vector": written, "configurations": known}


def page_stem(url: str) -> str | None:
    """What the addresses have in common at which servers give this page: see `PAGE_URLS`."""
    bare = urlsplit(url)._replace(query="", fragment="").geturl()
    return bare.removesuffix("index.html").removesuffix("/").removesuffix(".html") or None


def written_vector(vector: Sequence[float]) -> str:
    """As pgvector reads it."""
    numbers = ",".join(["%.5g"] * len(vector)) % (*vector,)  # at once, in half of the time
    return f"[{numbers}]"


def written_array(values: Iterable[object]) -> str:
    """Of numbers or plain words, as PostgreSQL reads it: psycopg takes several times as long."""
    return f"{{{','.join(map(str, values))}}}"


@lru_cache
def _sql(embedding_model: str, dimension: int) -> str:
    vector, texts, questions = NO_VECTOR, NO_RANKING, NO_RANKING
    if dimension:
        # The model is written into the statement as it is in the definition of its index.
        model = embedding_model.replace("'", "''").replace("%", "%%")
        parts = {"dimension": dimension, "model": model, "most": MAX_NEIGHBOURS}
        texts, questions = (NEAREST.format(kind=kind, **parts) for kind in ("text", "question"))
        vector = ASKED_VECTOR.format(dimension=dimension, ef_search=HNSW_EF_SEARCH)
    return SEARCH.format(
        max_lexemes=MAX_LEXEMES,
        max_postings=MAX_POSTINGS,
        max_candidates=MAX_CANDIDATES,
        k=RRF_K,
        words_weight=WORDS_WEIGHT,
        texts_weight=TEXTS_WEIGHT,
        questions_weight=QUESTIONS_WEIGHT,
        weight_before=WEIGHT_OF_QUESTION_BEFORE,
        bonus=NEARNESS_BONUS,
        near_ranks=NEAR_RANKS,
        least_trust=LEAST_TRUST,
        outstanding_by_words=OUTSTANDING_BY_WORDS,
        outstanding_by_vectors=OUTSTANDING_BY_VECTORS,
        asked_vector=vector,
        page_urls=PAGE_URLS,
        by_texts=texts,
        by_questions=questions,
    )


# Rows ---------------------------------------------------------------------------------------
def read_rows(rows: Sequence[tuple[Any, ...]], limit: int) -> Found | None:
    """What was found; None where no book is indexed."""
    if not rows:
        return None
    edition, sureness = rows[0][:2]
    hits: list[Hit] = []
    sketches: list[Set[str]] = []
    for row in rows:
        if row[2] is None or len(hits) == limit:
            break
        sketch = frozenset(row[9].split())
        if not any(are_alike(sketch, other, NEAR_DUPLICATE) for other in sketches):
            hits.append(_hit(row))
            sketches.append(sketch)
    position, title, published_at = rows[0][18:21]
    reader_page = None if position is None else ReaderPage(position, title)
    return Found(edition, hits, sureness, reader_page, published_at)


def _hit(row: tuple[Any, ...]) -> Hit:
    ranks = (
        None if score is None else Rank(score, place) for score, place in batched(row[11:17], 2)
    )
    of_section, score = row[2:9], round(min(row[10] / BEST_SCORE, 1), 4)
    return Hit(*(*of_section, score, *ranks, row[17]))
