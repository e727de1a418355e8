"""Tables as Markdown's: one line for each row, cells that span several repeated or left empty."""

from collections.abc import Callable, Iterator

from selectolax.lexbor import LexborNode

from book.read.html import attribute, tag_of

MAX_SPAN = 50  # columns or rows that a cell may stand for
MAX_COLUMNS = 500
MAX_REPEATED = 200  # characters of a cell that are repeated in the rows it reaches down to


def markdown_table(table: LexborNode, line_of: Callable[[LexborNode], str]) -> list[str]:
    """One block, or none for an empty table. `line_of` writes a cell on one line."""
    grid = _Grid(line_of)
    for row in _own_rows(table):
        grid.add([cell for cell in row.iter() if tag_of(cell) in ("td", "th")])
    if not grid.rows:
        return []
    width = max(map(len, grid.rows))
    rows = grid.rows if grid.has_head else [[""] * width, *grid.rows]
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
    lines.insert(1, "|" + " --- |" * width)
    return ["\n".join(lines)]


class _Grid:
    def __init__(self, line_of: Callable[[LexborNode], str]) -> None:
        self._line_of = line_of
        self.rows: list[list[str]] = []
        self.has_head = False
        self._below: dict[int, tuple[int, str]] = {}  # column: rows that a cell still reaches down

    def add(self, cells: list[LexborNode]) -> None:
        row: list[str] = []
        for cell in cells[:MAX_COLUMNS]:
            self._reach_down(row)
            text = self._line_of(cell).replace("|", "\\|")
            repeated = text if len(text) <= MAX_REPEATED else ""
            for _ in range(min(_span(cell, "colspan"), MAX_COLUMNS - len(row))):
                self._below[len(row)] = (_span(cell, "rowspan") - 1, repeated)
                row.append(text)
                text = repeated = ""
        self._reach_down(row)
        if any(row):
            is_head = not self.rows and all(tag_of(cell) == "th" for cell in cells)
            self.has_head = self.has_head or is_head
            self.rows.append(row)

    def _reach_down(self, row: list[str]) -> None:
        """What a cell above says counts for this row too."""
        while (left := self._below.get(len(row), (0, "")))[0] > 0:
            self._below[len(row)] = (left[0] - 1, left[1])
            row.append(left[1])


def _own_rows(table: LexborNode) -> Iterator[LexborNode]:
    for child in table.iter():
        if tag_of(child) == "tr":
            yield child
        elif tag_of(child) in ("thead", "tbody", "tfoot"):
            yield from (row for row in child.iter() if tag_of(row) == "tr")


def _span(cell: LexborNode, name: str) -> int:
    value = attribute(cell, name)
    return min(int(value), MAX_SPAN) if value.isdecimal() and 0 < len(value) < 9 else 1
