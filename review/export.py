"""Exports of questions with their replies as JSONL or CSV, in constant memory.

Rows are read in batches in the order of their ids, each batch where the one before ended, so that
no cursor, transaction or connection is held for the whole export.
"""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from chat.api.schemas import encode
from chat.models import MessageQuerySet

BATCH = 2_000
# A spreadsheet takes a cell that starts with one of these for a formula, which may send the sheet's
# content elsewhere. East Asian versions accept the full-width characters, too.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# Each column with its lookup, from the question on.
COLUMNS: dict[str, str] = {
    "session_id": "session_id",
    "question_id": "id",
    "asked_at": "created_at",
    "question": "content",
    "selected_text": "selected_text",
    "page_url": "page_url",
    "door": "door",
    "replaced": "replaced",
    "reply_id": "reply__id",
    "status": "reply__status",
    "error_code": "reply__error_code",
    "answer": "reply__content",
    "correction": "reply__correction",
    "finished_at": "reply__finished_at",
    "model": "reply__model",
    "prompt_tokens": "reply__prompt_tokens",
    "completion_tokens": "reply__completion_tokens",
    "first_token_ms": "reply__first_token_ms",
    "latency_ms": "reply__latency_ms",
    "finish_reason": "reply__finish_reason",
    "edition": "reply__edition",
    "grounding": "reply__grounding",
    "support": "reply__support",
    "misquotes": "reply__misquotes",
    "sources": "reply__sources",
    "nearest": "reply__nearest",
    "found": "reply__found",
    "feedback": "reply__feedback",
    "feedback_comment": "reply__feedback_comment",
    "verdict": "session__verdict",
    "review_note": "session__review_note",
}

type Row = tuple[Any, ...]


def batch(questions: MessageQuerySet, after: UUID | None) -> list[Row]:
    """The next rows, oldest first; the second column is the question's id."""
    following = questions.filter(id__gt=after) if after else questions
    return list(following.order_by("id").values_list(*COLUMNS.values())[:BATCH])


def batches(questions: MessageQuerySet) -> Iterator[list[Row]]:
    after = None
    while rows := batch(questions, after):
        yield rows
        after = rows[-1][1]


# Formats ------------------------------------------------------------------------------------
def jsonl(rows: list[Row]) -> str:
    return "".join(encode(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)


def _addresses(places: list[dict[str, Any]] | None) -> str:
    """One to a line. None where a question has no reply."""
    return "\n".join(str(place.get("url") or "") for place in places or ())


# A cell holds no list: in CSV there are numbers and addresses in its place. Each with the column
# that it is made of.
INSTEAD_IN_CSV: dict[str, dict[str, Callable[[Any], Any]]] = {
    "sources": {"source_count": lambda sources: len(sources or ()), "source_urls": _addresses},
    "nearest": {"nearest_urls": _addresses},
    "found": {"found_count": lambda found: len(found or ())},
}
CSV_CELLS: list[tuple[str, int, Callable[[Any], Any]]] = [
    (name, place, make)
    for place, column in enumerate(COLUMNS)
    for name, make in INSTEAD_IN_CSV.get(column, {column: lambda cell: cell}).items()
]


def as_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(
        [_inert(make(row[place])) for _, place, make in CSV_CELLS] for row in rows
    )
    return text.getvalue()


def _inert(cell: Any) -> Any:
    """The cell as text that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


# Each with what comes before the first row. Excel takes a file without the mark for the machine's
# old 8-bit encoding.
BYTE_ORDER_MARK = "\ufeff"
FORMATS: dict[str, tuple[str, Callable[[list[Row]], str]]] = {
    "jsonl": ("", jsonl),
    "csv": (BYTE_ORDER_MARK + ",".join(name for name, _, _ in CSV_CELLS) + "\r\n", as_csv),
}
