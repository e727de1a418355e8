"""How fast and how exact the search of the book is (`make bench-search`), at two sizes.

Fills a PostgreSQL of its own (`.embedded/bench`) with made-up sections, each with six questions:
words as frequent as in a language, embeddings in clusters. Prints a table for docs/performance.md.
"""

from benchmarks.environment import DATABASE, empty_database, manage  # first: it sets Django up

# isort: split
import argparse
import os
import platform
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, batched
from uuid import uuid4

import psycopg
from django.db import connection, transaction
from django.utils import timezone

from book import editions, embedding, search, vectors
from book.embedding import NewChunk
from book.evaluation import p50_p95
from book.models import Edition, Page, Place, Section
from book.words import sketch

SIZES = (500, 100_000)
QUESTIONS = 6
DIMENSION = 384
MODEL = "bench/vectors"
VOCABULARY = 30_000
SECTIONS_AT_ONCE = 200
SEARCHES = 200
EXACT_SEARCHES = 40  # each compares all embeddings
NEIGHBOURS = 10

EXACT = """
SELECT id FROM book_chunk WHERE kind = '{kind}' AND embedding_model = %(model)s
ORDER BY {column} <=> %(vector)s::halfvec({dimension}) LIMIT {most}
"""


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A section's words, those of its questions, and where its embeddings are."""

    title: str
    text: str
    questions: list[str]
    center: list[float]


class Author:
    """Makes up sections; the same ones for the same seed."""

    def __init__(self, sections: int) -> None:
        self.random = random.Random(1)
        self.words = [self._word() for _ in range(VOCABULARY)]
        self.weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
        self.topics = [self.vector() for _ in range(max(10, sections // 40))]

    def _word(self) -> str:
        letters = self.random.choices("abcdefghijklmnoprstuvwz", k=self.random.randint(3, 9))
        return "".join(letters) + "x"  # no stop word, no ending that is cut off

    def vector(self, around: list[float] | None = None, noise: float = 1) -> list[float]:
        one = [self.random.uniform(-noise, noise) for _ in range(DIMENSION)]
        return [a + b for a, b in zip(one, around, strict=True)] if around else one

    def text(self, length: int) -> str:
        return " ".join(self.random.choices(self.words, cum_weights=self.weights, k=length))

    def section(self, number: int) -> MadeUp:
        topic = self.topics[number % len(self.topics)]
        return MadeUp(
            self.text(3),
            self.text(self.random.randint(50, 150)),
            [self.text(9) for _ in range(QUESTIONS)],
            self.vector(topic, 0.6),
        )


# Filling ------------------------------------------------------------------------------------
def fill(chunks: int) -> Author:
    """An edition with so many chunks, indexed as a run of `index_book` does it."""
    sections = chunks // (1 + QUESTIONS)
    author = Author(sections)
    draft = editions.open_draft("benchmark")
    draft.embedding_model, draft.dimension = MODEL, DIMENSION
    draft.save()
    page = Page.objects.create(edition=draft, position=0, url="https://b/", title="Book")
    for numbers in batched(range(sections), SECTIONS_AT_ONCE):
        with transaction.atomic():
            store(draft, page, author, numbers)
    vectors.ensure_indexes(MODEL, DIMENSION)
    editions.publish(draft)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return author


def store(draft: Edition, page: Page, author: Author, numbers: tuple[int, ...]) -> None:
    made = [author.section(number) for number in numbers]
    rows = [
        Section(
            page_url=page.url,
            heading_path=["Book", each.title],
            level=2,
            language="en",
            text=each.text,
            identity=uuid4().hex,
            content_hash=uuid4().hex,
            sketch=sketch(each.text),
        )
        for each in made
    ]
    Section.objects.bulk_create(rows)
    Place.objects.bulk_create(
        Place(edition=draft, section=row, page=page, position=number)
        for number, row in zip(numbers, rows, strict=True)
    )
    chunks, found = [], []
    for row, each in zip(rows, made, strict=True):
        texts = [("text", f"{each.title}\n{each.text}"), *(("question", q) for q in each.questions)]
        chunks += [NewChunk(row.pk, kind, text, "english") for kind, text in texts]
        found += [search.written_vector(author.vector(each.center, 0.5)) for _ in texts]
    embedding.insert(draft, chunks, found)


# Searching ----------------------------------------------------------------------------------
def queries(author: Author) -> Iterator[search.Query]:
    """Words of a section in another order, and a vector near its own."""
    sections = author.random.choices(range(Section.objects.count()), k=SEARCHES)
    keys = list(Section.objects.order_by("pk").values_list("pk", flat=True))
    for number in sections:
        section = Section.objects.get(pk=keys[number])
        words = author.random.sample(section.text.split(), 8)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT embedding::text FROM book_chunk WHERE section_id = %s LIMIT 1", [section.pk]
            )
            (vector,) = cursor.fetchone()
        values = author.vector([float(each) for each in vector[1:-1].split(",")], 0.4)
        question = f"What is the {' '.join(words)}?"
        near = search.Vector(search.written_vector(values), DIMENSION, MODEL)
        yield search.Query(question, vector=near)


def measure(address: str, asked: list[search.Query]) -> tuple[float, float, float]:
    """p50 and p95 of the statement in milliseconds, and the recall of the nearest neighbours."""
    times, recalls = [], []
    with psycopg.connect(address, autocommit=True) as link:
        for number, query in enumerate(asked):
            sql, values = search.statement(query, 10)
            begin = time.perf_counter()
            link.execute(sql.encode(), values).fetchall()
            times.append(1000 * (time.perf_counter() - begin))
            if number < EXACT_SEARCHES:
                recalls += [recall(link, kind, query) for kind in ("text", "question")]
    return *p50_p95(times), sum(recalls) / len(recalls)


def recall(link: psycopg.Connection[tuple[int]], kind: str, query: search.Query) -> float:
    """The share of the exact nearest neighbours that the index finds."""
    values = {"model": MODEL, "vector": query.vector.written if query.vector else ""}
    cast = f"embedding::halfvec({DIMENSION})"

    def nearest(column: str) -> set[int]:
        sql = EXACT.format(kind=kind, column=column, dimension=DIMENSION, most=NEIGHBOURS)
        rows = link.execute(sql.replace("%(model)s", f"'{MODEL}'").encode(), values)
        return {key for (key,) in rows.fetchall()}

    with link.transaction():
        link.execute(f"SET LOCAL hnsw.ef_search = {search.HNSW_EF_SEARCH}".encode())
        found = nearest(cast)
    exact = nearest(f"({cast} + array_fill(0, ARRAY[{DIMENSION}])::halfvec)")  # has no index
    return len(found & exact) / len(exact)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="*", default=SIZES)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print("| chunks | filled | statement p50 | p95 | recall of neighbours |\n|---|---|---|---|---|")
    for chunks in options.chunks:
        connection.close()
        address = empty_database(DATABASE)
        manage("migrate", "--verbosity", "0")
        begin = timezone.now()
        author = fill(chunks)
        filled = (timezone.now() - begin).total_seconds()
        half, most, share = measure(address, list(queries(author)))
        print(f"| {chunks:,} | {filled:.0f} s | {half:.1f} ms | {most:.1f} ms | {share:.3f} |")


if __name__ == "__main__":
    main()
