"""How well quotes support sentences: `python -m benchmarks.quotes [FOLDER]`.

Without a folder the pairs about the example book are measured; FOLDER is the Markdown of the book
that quotes.jsonl and quotes-later.jsonl are about (benchmarks/book/README.md).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import batched, chain, starmap
from pathlib import Path
from typing import Any, NamedTuple

from book.quotes.best import Quote, best_quote, prepared
from book.quotes.compared import forget_prepared
from book.read.pages import ReadPage
from book.read.source import read_book

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "docusaurus" / "docs"
OF_THE_EXAMPLE = HERE / "book" / "quotes-example.jsonl"
OF_THE_BOOK = HERE / "book" / "quotes.jsonl", HERE / "book" / "quotes-later.jsonl"
ADDRESS = "https://book.example"
WORD_BY_WORD = 0.8
SENTENCES_OF_A_TURN = 8
HEAD = ["pairs", "number", "precision", "recall", "right quote", "changed, at 0.8 or more"]
MARKS = str.maketrans("", "", "*`\\")


class Judged(NamedTuple):
    pair: dict[str, Any]
    text: str
    quote: Quote | None


class Figures(NamedTuple):
    pairs: int
    precision: float
    recall: float
    right_quotes: float  # of those that are supported and found so
    changed_but_sure: int  # not supported, and yet with a score of 0.8 or more


def judged(pairs: Path, folder: Path) -> list[Judged]:
    texts = _texts(folder)
    found = []
    for line in pairs.read_text().splitlines():
        pair = json.loads(line)
        text = texts[pair["page"], pair["heading"]]
        found.append(Judged(pair, text, best_quote(pair["sentence"], text)))
    return found


def figures(rows: Sequence[Judged]) -> Figures:
    supported = [row for row in rows if row.pair["supported"]]
    found = [row for row in rows if row.quote]
    right = [row for row in supported if row.quote]
    return Figures(
        len(rows),
        len(right) / len(found),
        len(right) / len(supported),
        sum(map(_starts_right, right)) / len(right),
        sum(map(_is_sure_of_a_change, rows)),
    )


def milliseconds(rows: Sequence[Judged]) -> tuple[float, float]:
    """CPU time, in the median: of preparing eight sections, and of eight quotes from them."""
    preparing, quoting = [], []
    for turn in batched(rows, SENTENCES_OF_A_TURN):
        forget_prepared()
        began = time.process_time()
        sections = [row.text for row in turn]
        for text in sections:
            prepared(text, ())
        ready = time.process_time()
        for row, section in zip(turn, sections, strict=True):
            best_quote(row.pair["sentence"] + " ", section)  # not one that is cached
        preparing.append(ready - began)
        quoting.append(time.process_time() - ready)
    return statistics.median(preparing) * 1000, statistics.median(quoting) * 1000


def _texts(folder: Path) -> dict[tuple[str, str], str]:
    pages = read_book(str(folder), book_url=ADDRESS, on_problem=lambda problem: None)
    return {
        (page.url.removeprefix(f"{ADDRESS}/"), section.heading_path[-1]): section.text
        for page in pages
        if isinstance(page, ReadPage)
        for section in page.sections
    }


def _is_sure_of_a_change(row: Judged) -> bool:
    return row.quote is not None and not row.pair["supported"] and row.quote.score >= WORD_BY_WORD


def _starts_right(row: Judged) -> bool:
    assert row.quote is not None
    text, start = row.quote.text.translate(MARKS), row.pair["quote_starts"].translate(MARKS)
    return start in text[:90] or start.startswith(text)


def _row(name: str, rows: Sequence[Judged]) -> list[str]:
    of = figures(rows)
    measured = (of.precision, of.recall, of.right_quotes)
    return [name, str(of.pairs), *(f"{each:.2f}" for each in measured), str(of.changed_but_sure)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args(arguments).folder
    files = OF_THE_BOOK if folder else (OF_THE_EXAMPLE,)
    of_files = {file.stem: judged(file, folder or EXAMPLE) for file in files}
    for row in [HEAD, *starmap(_row, of_files.items())]:
        sys.stdout.write(f"| {' | '.join(row)} |\n")
    preparing, quoting = milliseconds(list(chain.from_iterable(of_files.values())))
    sys.stdout.write(f"8 sections prepared in {preparing:.1f} ms, 8 quotes in {quoting:.1f} ms\n")


if __name__ == "__main__":
    main()
