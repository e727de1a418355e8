"""A page's text, cut at its headings.

A heading cuts where it stands in the text itself: one within a list item, a quotation, a tab, a
table or what unfolds belongs to that, and is set in bold there. Footnotes are put with the text
that refers to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from book.read.html import attribute, tag_of
from book.read.main_text import main_text
from book.read.markdown_words import INVISIBLE, indented_note, note_label, paragraph
from book.read.marks import KIND, TEXT, kind_of, mark, notes_of
from book.read.pages import ReadSection
from book.read.to_markdown import HEADINGS, MarkdownWriter, is_block

MAX_TITLE = 300  # characters
ANY_HEADING = ", ".join(HEADINGS)
NEVER_CUT = frozenset(
    [
        "a",
        "blockquote",
        "dd",
        "details",
        "dl",
        "dt",
        "figure",
        "li",
        "ol",
        "p",
        "pre",
        "summary",
        "table",
        "td",
        "ul",
        "tabs",
        "tabitem",
    ]
)


@dataclass
class Part:
    """A section as it is being put together; `level` is 0 before the first heading."""

    level: int = 0
    heading: str = ""
    anchor: str = ""
    blocks: list[str] = field(default_factory=list)
    noted: dict[str, str] = field(default_factory=dict)  # the labels of footnotes by their ids


def sections_of(
    document: LexborHTMLParser, url: str, title: str = ""
) -> tuple[str, tuple[ReadSection, ...]]:
    """The page's title, and its sections that have text. Changes the document.

    The title is the first heading of the first level, else `title`, else the document's own.
    """
    fallback = title or _own_title(document)
    main = main_text(document)
    if main is None:
        return fallback, ()
    mark(document, main)
    parts = _Cutter(url, main).parts()
    title = next((part.heading for part in parts if part.level == 1), "") or fallback
    return title[:MAX_TITLE], tuple(_finished(parts, title[:MAX_TITLE]))


def _own_title(document: LexborHTMLParser) -> str:
    found = document.css_first("title")
    return " ".join(found.text().split()) if found else ""


class _Cutter:
    def __init__(self, url: str, main: LexborNode) -> None:
        self._main = main
        self._writer = MarkdownWriter(url)
        self._parts = [Part()]
        self._inline: list[str] = []
        self._anchor = ""  # of an element that has nothing in it but what follows

    def parts(self) -> list[Part]:
        self._walk(self._main)
        self._end_paragraph()
        for part in self._parts:
            while part.blocks[-1:] == ["---"]:
                part.blocks.pop()
        self._add_notes()
        return self._parts

    def _walk(self, container: LexborNode) -> None:
        """In document order, without recursion: elements may be nested a thousand deep."""
        waiting = list(container.iter(include_text=True))[::-1]
        while waiting:
            node = waiting.pop()
            if kind_of(node) == "gone":
                continue
            if tag_of(node) in HEADINGS and kind_of(node) == "":
                waiting += self._begin(node)[::-1]
            elif self._is_cut(node):
                self._end_paragraph()
                self._anchor = attribute(node, "id") or self._anchor
                waiting += list(node.iter(include_text=True))[::-1]
            else:
                self._add(node)

    def _is_cut(self, node: LexborNode) -> bool:
        tag = tag_of(node)
        if tag.startswith("-") or tag in NEVER_CUT or kind_of(node):
            return False
        return node.css_first(ANY_HEADING) is not None

    def _begin(self, heading: LexborNode) -> list[LexborNode]:
        """A section; what a heading that was not closed has swallowed comes back."""
        self._end_paragraph()
        inside = list(heading.iter(include_text=True))
        first = next((at for at, each in enumerate(inside) if is_block(each)), len(inside))
        words = _plain(inside[:first])
        if not words:  # a block of its own: <h2><div>Start</div></h2>
            words, first = _plain(inside), len(inside)
        if words:
            anchor = attribute(heading, "id") or _anchor_in(heading) or self._anchor
            self._parts.append(Part(int(tag_of(heading)[1]), words, anchor))
        self._anchor = ""
        return inside[first:]

    def _add(self, node: LexborNode) -> None:
        if is_block(node):
            self._end_paragraph()
            self._write(self._writer.blocks(node))
        elif words := self._writer.inline(node):
            self._inline.append(words)
        if _is_empty_anchor(node):
            self._anchor = attribute(node, "id") or attribute(node, "name")
        elif tag_of(node) != "-text" or (node.text_content or "").strip():
            self._anchor = ""

    def _end_paragraph(self) -> None:
        self._write(paragraph("".join(self._inline)))
        self._inline = []

    def _write(self, blocks: list[str]) -> None:
        part = self._parts[-1]
        part.blocks += blocks
        part.noted.update(self._writer.noted)
        self._writer.noted = {}

    def _add_notes(self) -> None:
        """Each with the section that refers to it first; one that none refers to, at the end."""
        notes = notes_of(self._main)
        for part in self._parts:
            for name, label in part.noted.items():
                if name in notes:
                    self._add_note(part, label, notes.pop(name))
        for name, node in notes.items():
            self._add_note(self._parts[-1], note_label(name), node)

    def _add_note(self, part: Part, label: str, node: LexborNode) -> None:
        if blocks := self._writer.note_blocks(node):
            part.blocks.append(indented_note(label, blocks))


def _anchor_in(heading: LexborNode) -> str:
    for node in heading.css("[id], a[name]"):
        if found := attribute(node, "id") or attribute(node, "name"):
            return found
    return ""


def _is_empty_anchor(node: LexborNode) -> bool:
    named = attribute(node, "id") or (tag_of(node) == "a" and attribute(node, "name"))
    return bool(named) and not node.text(strip=True)


def _plain(nodes: list[LexborNode]) -> str:
    """Their words, with the TeX of formulas."""
    text = "".join(_words(node) for node in nodes if kind_of(node) != "gone")
    return " ".join(text.translate(INVISIBLE).split())[:MAX_TITLE]


def _words(node: LexborNode) -> str:
    if tag_of(node) == "-text":
        return node.text_content or ""
    for formula in node.css(f"[{KIND}^=tex]"):
        if formula.mem_id == node.mem_id:
            return f"${attribute(formula, TEXT)}$"
        formula.replace_with(f"${attribute(formula, TEXT)}$")
    return node.text()


def _finished(parts: list[Part], title: str) -> Iterator[ReadSection]:
    path: list[Part] = []
    for part in parts:
        while path and path[-1].level >= part.level:
            path.pop()
        path.append(part)
        text = "\n\n".join(part.blocks)
        if text:
            headings = [each.heading for each in path if each.heading]
            if headings[:1] != [title]:
                headings.insert(0, title)
            yield ReadSection(tuple(headings), part.anchor, max(part.level, 1), text)
