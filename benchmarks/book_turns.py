"""What a book costs a turn (`make bench-book`): the same load with 200 sections and without.

Embeddings come from a service that answers at once, and each answer cites. Prints a table for
docs/performance.md.
"""

from benchmarks.environment import CHECKOUT, CLUSTER, FOLDER, manage  # first: it sets Django up

# isort: split
import argparse
import random
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.measured import Measured, measured
from benchmarks.sides import US, WITH_BOOK
from benchmarks.turns import model_served
from benchmarks.workloads import INSTANT, WORKLOADS, Workload

EXAMPLE = CHECKOUT / "examples/docusaurus/docs"
SENTENCE_END = re.compile(r"(?<=[.!?]) ")
SECTIONS, SECTIONS_OF_A_PAGE, SENTENCES = 200, 10, 7
NAMES = ("instant", "stream")
# What readers ask again is remembered: how it is where nobody does.
NEW_QUESTIONS = replace(INSTANT, name="new-questions", all_differ=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer turns: to see that it works")
    parser.add_argument("--patience", type=float, default=30)
    options = parser.parse_args()
    workloads = [*(each for each in WORKLOADS if each.name in NAMES), NEW_QUESTIONS]
    workloads = [each.quick() if options.quick else each for each in workloads]
    with model_served() as port:
        US.prepare()
        prepare_book(port)
        settings = {
            "EMBEDDING_MODEL": "measured",
            "EMBEDDING_BASE_URL": f"http://127.0.0.1:{port}/v1",
        }
        print(
            "| workload | app CPU with / without | PostgreSQL CPU | first token p50, ms later | "
            "p50, ms later | amiss |\n|---|---|---|---|---|---|"
        )
        amiss = False
        for workload in workloads:
            rounds = [
                pair(workload, port, options.patience, settings, number)
                for number in range(options.rounds)
            ]
            print(row(workload, rounds), flush=True)
            amiss = amiss or any(each.amiss for both in rounds for each in both)
    sys.exit(amiss)


def prepare_book(model_port: int) -> None:
    WITH_BOOK.prepare()
    folder = FOLDER / "book"
    shutil.rmtree(folder, ignore_errors=True)
    write_book(folder)
    manage(
        *("index_book", str(folder), "--no-questions"),
        DATABASE_URL=CLUSTER.url(WITH_BOOK.database()),
        BOOK_URL="https://book.example/",
        EMBEDDING_MODEL="measured",
        EMBEDDING_BASE_URL=f"http://127.0.0.1:{model_port}/v1",
    )


def write_book(folder: Path) -> None:
    """Sections of English sentences, which are the example book's in another order."""
    folder.mkdir(parents=True)
    chance = random.Random(1)
    sentences = [
        sentence
        for page in sorted(EXAMPLE.glob("*.md*"))
        for line in page.read_text("utf-8").splitlines()
        if line[:1].isupper()
        for sentence in SENTENCE_END.split(line)
    ]
    for page in range(SECTIONS // SECTIONS_OF_A_PAGE):
        texts = [" ".join(chance.sample(sentences, SENTENCES)) for _ in range(SECTIONS_OF_A_PAGE)]
        parts = "\n\n".join(f"## Part {part}\n\n{text}" for part, text in enumerate(texts))
        (folder / f"page-{page:02d}.md").write_text(f"# Page {page}\n\n{parts}\n", "utf-8")


def pair(
    workload: Workload, port: int, patience: float, settings: dict[str, str], number: int
) -> tuple[Measured, Measured]:
    """With the book, and without; who is first changes from round to round."""

    def taken(side: object) -> Measured:
        of_side = settings if side is WITH_BOOK else {}
        return measured(side, workload, port, patience, **of_side)  # type: ignore[arg-type]

    if number % 2:
        without, with_book = taken(US), taken(WITH_BOOK)
    else:
        with_book, without = taken(WITH_BOOK), taken(US)
    return with_book, without


def row(workload: Workload, rounds: list[tuple[Measured, Measured]]) -> str:
    def ratio(of: str) -> float:
        ratios: list[float] = [getattr(a.usage, of) / getattr(b.usage, of) for a, b in rounds]
        return median(ratios)

    later = median(a.added_ms(50) - b.added_ms(50) for a, b in rounds)
    first = median(a.added_first_ms(50) - b.added_first_ms(50) for a, b in rounds)
    amiss = sorted({each for both in rounds for one in both for each in one.amiss})
    cells = [
        workload.name,
        f"{ratio('app'):.2f}",
        f"{ratio('database'):.2f}",
        f"{first:.1f}" if workload.is_stream else "",
        f"{later:.1f}",
        "; ".join(amiss),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
