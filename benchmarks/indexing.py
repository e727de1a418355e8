"""How long a large site takes to index, and what kills in between do (`make bench-index`).

A site of made-up pages is served on this machine, and read by its address into a PostgreSQL of its
own (`.embedded/bench`), with the embedded model, or with `--scripted` by a server that makes
vectors of words at once, as a service elsewhere costs this machine nothing. Then every page
changes, and runs are ended by `kill -9` at random moments while readers search through gunicorn.
Prints figures for docs/performance.md; exits with 1 where a search failed or found what is not
published, or where something was left half.
"""

from benchmarks.environment import CHECKOUT, empty_database, manage  # first: it sets Django up

# isort: split
import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.db import connection

from benchmarks.processes import free_port, repeated, serving
from book.evaluation import p50_p95
from book.models import Edition
from book.read.source import read_book
from tests.helpers.scripted_model import scripted_model
from tests.helpers.website import Website, website

SECTIONS = 4  # of a page, beside its introduction
SENTENCES = 7  # of a section: about a hundred words
KILLS = 10
POLL_SECONDS = 0.1
EXAMPLE = CHECKOUT / "examples" / "docusaurus" / "docs"
# The embedded model embeds, unless another one is named; nobody else is asked.
SETTINGS = {"OPENAI_API_KEY": "", "CHAT_RATE": "", "WEB_CONCURRENCY": "1"}

LEFT_HALF = {
    "drafts": "SELECT count(*) FROM book_edition WHERE published_at IS NULL",
    "sections without a place": "SELECT count(*) FROM book_section WHERE NOT EXISTS "
    "(SELECT FROM book_place WHERE section_id = book_section.id)",
    "sections without a chunk": "SELECT count(*) FROM book_place JOIN book_edition ON is_current "
    "AND book_edition.id = edition_id WHERE NOT EXISTS (SELECT FROM book_chunk "
    "WHERE book_chunk.section_id = book_place.section_id AND embedding IS NOT NULL)",
    "chunks of former sections": "SELECT count(*) FROM book_chunk WHERE NOT EXISTS (SELECT FROM "
    "book_place JOIN book_edition ON is_current AND book_edition.id = edition_id "
    "WHERE book_place.section_id = book_chunk.section_id)",
    "chunks without words": "SELECT count(*) FROM book_chunk WHERE NOT EXISTS "
    "(SELECT FROM book_posting WHERE chunk_id = book_chunk.id)",
    "lexemes with a wrong count": "SELECT count(*) FROM book_lexeme WHERE chunks <> "
    "(SELECT count(*) FROM book_posting WHERE lexeme_id = book_lexeme.id)",
}


# The site -----------------------------------------------------------------------------------
class Author:
    """Makes up pages of sentences that the example book has."""

    def __init__(self) -> None:
        pages = read_book(str(EXAMPLE), book_url="https://b.example/", on_problem=print)
        texts = [each.text for page in pages for each in getattr(page, "sections", ())]
        lines = " ".join(texts).replace("\n", " ").split(". ")
        self.sentences = [line for line in lines if line.isascii() and 8 < len(line.split()) < 30]

    def page(self, number: int, version: str) -> str:
        chance = random.Random(f"{number} {version}")

        def section(title: str) -> str:
            text = ". ".join(chance.choices(self.sentences, k=SENTENCES))
            return f"<p>Release {version} of {title}. {text}.</p>"

        parts = [
            f'<h2 id="part-{part}">Part {part} of {number}</h2>{section(f"part {part}")}'
            for part in range(SECTIONS)
        ]
        title = f"Chapter {number}"
        return f'<html lang="en"><main><h1>{title}</h1>{section(title)}{"".join(parts)}</main>'

    def publish(self, site: Website, pages: int, version: str) -> None:
        for number in range(pages):
            site.pages[f"/{number}.html" if number else "/"] = self.page(number, version)
        urls = "".join(f"<url><loc>{site.url}{n}.html</loc></url>" for n in range(1, pages))
        site.pages["/sitemap.xml"] = (
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{urls}</urlset>'
        )


# Readers ------------------------------------------------------------------------------------
class Readers:
    """Search the whole time; `troubles` has what went wrong."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/book/search?limit=3&q=chapter+part+of+release"
        self.editions: list[int] = []
        self.times: list[float] = []
        self.troubles: list[str] = []

    def search(self) -> None:
        begin = time.perf_counter()
        try:
            with urllib.request.urlopen(self.address, timeout=30) as answer:
                found = json.load(answer)
        except (OSError, ValueError) as error:
            self.troubles.append(f"a search failed: {error}")
            return
        self.times.append(1000 * (time.perf_counter() - begin))
        self.editions.append(found["edition"])
        release = "Release two" if found["edition"] == 2 else "Release one"
        if not found["results"] or any(release not in each["text"] for each in found["results"]):
            self.troubles.append(f"edition {found['edition']} does not say {release}")


@contextmanager
def readers(log: Path) -> Iterator[Readers]:
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "chatbackend/gunicorn.py"]
    command.append("chatbackend.asgi:application")
    with serving(command, port, "/health", log, PORT=str(port), **SETTINGS):
        found = Readers(port)
        with repeated(found.search, POLL_SECONDS):
            yield found


# Runs ---------------------------------------------------------------------------------------
def kill_one(source: str, seconds: float) -> bool:
    """Begin a run and kill it after that time; whether it was still at work."""
    run = subprocess.Popen(
        [sys.executable, "manage.py", "index_book", source],
        cwd=CHECKOUT,
        env=os.environ | SETTINGS,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return True
    return False


def left_half() -> list[str]:
    found = []
    with connection.cursor() as cursor:
        for what, sql in LEFT_HALF.items():
            cursor.execute(sql)
            if (number := cursor.fetchone()[0]) > 0:
                found.append(f"{number} {what}")
    return found


def measure(site: Website, author: Author, pages: int, chance: random.Random, log: Path) -> Readers:
    author.publish(site, pages, "one")
    seconds, memory = manage("index_book", site.url, **SETTINGS)
    print(f"{pages} pages: {seconds:.0f} s, {memory:.0f} MB")
    again, _ = manage("index_book", site.url, **SETTINGS)
    print(f"Nothing has changed: {again:.1f} s")

    author.publish(site, pages, "two")
    with readers(log) as found:
        moments = [1 + chance.uniform(0, 1.5 * seconds / KILLS) for _ in range(KILLS)]
        killed = sum(kill_one(site.url, moment) for moment in moments)
        last, _ = manage("index_book", site.url, **SETTINGS)
        time.sleep(2)
    half, most = p50_p95(found.times)
    print(
        f"All pages changed, {killed} runs killed after {min(moments):.0f} to "
        f"{max(moments):.0f} s; the last one took {last:.0f} s.\n"
        f"{len(found.times)} searches meanwhile: p50 {half:.0f} ms, p95 {most:.0f} ms"
    )
    return found


def troubles_of(found: Readers) -> list[str]:
    troubles = found.troubles + left_half()
    in_order = [*dict.fromkeys(found.editions)]
    if in_order != [1, 2] or Edition.objects.count() != 2:
        troubles.append(f"editions found, in order: {in_order}")
    return [*dict.fromkeys(troubles)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scripted", action="store_true")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    empty_database()
    manage("migrate", "--verbosity", "0")
    with ExitStack() as stack:
        if options.scripted:
            model = stack.enter_context(scripted_model())
            SETTINGS.update(EMBEDDING_BASE_URL=model.base_url, EMBEDDING_MODEL="word-vectors")
        site = stack.enter_context(website())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        chance = random.Random(options.seed)
        found = measure(site, Author(), options.pages, chance, Path(folder) / "log")
    raise SystemExit("\n".join(troubles_of(found)) or 0)


if __name__ == "__main__":
    main()
