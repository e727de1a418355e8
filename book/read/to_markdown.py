"""Marked HTML (`book.read.marks`) as Markdown."""

from collections.abc import Callable
from itertools import islice
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborNode

from book.read.html import attribute, tag_of
from book.read.markdown_table import markdown_table
from book.read.markdown_words import (
    INVISIBLE,
    emphasised,
    escaped,
    indented,
    longest_run,
    note_label,
    paragraph,
    raised,
    split_spaces,
    text_of,
)
from book.read.marks import TEXT, TITLE, kind_of

MAX_DEPTH = 100  # deeper elements give their text alone
LINKED = ("http", "https", "mailto")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "center",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "legend",
        "li",
        "main",
        "menu",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tabitem",
        "tabs",
        "ul",
    ]
)
MAX_WRAPPERS, MAX_WRAPPED = 6, 50  # how far blocks are looked for in what is not one itself
EMPHASIS = {
    "strong": "**", "b": "**", "em": "*", "i": "*", "cite": "*", "dfn": "*", "var": "*",
    "del": "~~", "s": "~~", "strike": "~~",
}  # fmt: skip
NEVER_BLOCKS = frozenset([*EMPHASIS, "code", "kbd", "samp", "img", "br", "math", "sup", "sub"])


class MarkdownWriter:
    """Writes elements of one page; `base_url` is what its links are relative to.

    `noted` collects the footnotes that were referred to: their ids, and the labels they have there.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.noted: dict[str, str] = {}
        self._writers: dict[str, Callable[[LexborNode, int], list[str]]] = {
            "pre": self._code,
            "ul": self._list,
            "ol": self._list,
            "menu": self._list,
            "blockquote": self._quote,
            "table": self._table,
            "dl": self._definitions,
            "hr": lambda node, depth: ["---"],
            "summary": self._label,
            "figcaption": self._caption,
            **dict.fromkeys(HEADINGS, self._label),
        }

    def blocks(self, node: LexborNode, depth: int = 0) -> list[str]:
        """The Markdown of an element, block by block."""
        kind, tag = kind_of(node), tag_of(node)
        if kind == "gone":
            return []
        if kind == "tex-block":
            return [f"$$\n{attribute(node, TEXT)}\n$$"]
        if depth > MAX_DEPTH:
            return paragraph(escaped(node.text()))
        if kind == "quote":
            return self._quote(node, depth)
        if kind == "label":
            return self._label(node, depth)
        if tag in self._writers:
            return self._writers[tag](node, depth)
        return self.blocks_within(node, depth)

    def blocks_within(self, node: LexborNode, depth: int = 0) -> list[str]:
        """Its children's, with a label in front where it has one (a tab, an admonition)."""
        found = [f"**{escaped(label)}**"] if (label := self._own_label(node)) else []
        words: list[str] = []
        for child in node.iter(include_text=True):
            if is_block(child):
                found += [*paragraph("".join(words)), *self.blocks(child, depth + 1)]
                words = []
            else:
                words.append(self.inline(child, depth + 1))
        return found + paragraph("".join(words))

    def note_blocks(self, node: LexborNode) -> list[str]:
        """A footnote's, which stands where it is read no more than once."""
        if tag_of(node) == "dt":  # older Sphinx: its text is the <dd> that follows
            following = node.next
            while following is not None and tag_of(following) != "dd":
                following = following.next
            return self.blocks_within(following) if following else []
        return self.blocks_within(node)

    def inline(self, node: LexborNode, depth: int = 0) -> str:
        """An element, or text, within a paragraph."""
        tag, kind = tag_of(node), kind_of(node)
        if tag == "-text":
            return text_of(node.text_content or "")
        if kind == "gone" or tag.startswith("-"):
            return ""
        if kind in ("tex", "tex-block"):
            return f"${attribute(node, TEXT)}$"
        if kind == "note":
            return self._note(node)
        if depth > MAX_DEPTH:
            return escaped(node.text())
        return self._phrase(node, tag, depth)

    def inline_within(self, node: LexborNode, depth: int) -> str:
        return "".join(self.inline(child, depth + 1) for child in node.iter(include_text=True))

    def line(self, node: LexborNode, depth: int = 0) -> str:
        """All of it on one line, such as a heading or a cell; lists become sentences' parts."""
        parts: list[str] = []
        for child in node.iter(include_text=True):
            if is_block(child) and depth < MAX_DEPTH:
                text = self._code_span(child) if tag_of(child) == "pre" else ""
                parts += [" ", text or self.line(child, depth + 1), " "]
            else:
                parts.append(self.inline(child, depth + 1))
        return " ".join("".join(parts).replace("\\\n", " ").split())

    def _own_label(self, node: LexborNode) -> str:
        return attribute(node, TEXT) if kind_of(node) in ("whole", "quote") else ""

    def _phrase(self, node: LexborNode, tag: str, depth: int) -> str:
        if tag in EMPHASIS:
            return emphasised(self.inline_within(node, depth), EMPHASIS[tag])
        match tag:
            case "code" | "kbd" | "samp" | "tt":
                return self._code_span(node)
            case "a":
                return self._link(node, depth)
            case "img":
                return self._image(node)
            case "br":
                return "\\\n"
            case "wbr" | "input" | "rp":
                return ""
            case "q":
                return f"“{self.inline_within(node, depth)}”"
            case "rt":
                return f" ({self.inline_within(node, depth)}) "
            case "sup":
                return raised(self.inline_within(node, depth))
        words = self.inline_within(node, depth)
        return f" {words} " if tag in BLOCKS else words

    def _code_span(self, node: LexborNode) -> str:
        code = " ".join(node.text().translate(INVISIBLE).split())
        if not code:
            return ""
        fence = "`" * (longest_run(code) + 1)
        space = " " if code[0] == "`" or code[-1] == "`" else ""
        return f"{fence}{space}{code}{space}{fence}"

    def _link(self, node: LexborNode, depth: int) -> str:
        label = self.inline_within(node, depth)
        url = self.address(attribute(node, "href"))
        if not url or not label.strip():
            return label
        before, words, after = split_spaces(label)
        return f"{before}[{words}]({url}){after}"

    def address(self, href: str) -> str:
        """An absolute address as it may stand in Markdown; empty for what is no page or picture."""
        try:
            url = urljoin(self.base_url, href.strip())
            parts = urlsplit(url)
        except ValueError:
            return ""
        if not href or (parts.scheme not in LINKED and not url.startswith("/")):
            return ""
        return url.translate(URL_ESCAPES)

    def _image(self, node: LexborNode) -> str:
        alt = " ".join(attribute(node, "alt").split())
        return f"![{escaped(alt)}]({self.address(attribute(node, 'src'))})" if alt else ""

    def _note(self, node: LexborNode) -> str:
        name = attribute(node, "href")[1:]
        label = note_label(attribute(node, TEXT) or name)
        self.noted.setdefault(name, label)
        return f"[^{label}]"

    def _label(self, node: LexborNode, depth: int) -> list[str]:
        return [bold] if (bold := emphasised(self.line(node, depth), "**")) else []

    def _caption(self, node: LexborNode, depth: int) -> list[str]:
        if any(is_block(child) and tag_of(child) != "p" for child in node.iter()):
            return self.blocks_within(node, depth)
        return [words] if (words := emphasised(self.line(node, depth), "*")) else []

    def _code(self, node: LexborNode, depth: int) -> list[str]:
        code = code_text(node).translate(INVISIBLE).strip("\n").rstrip()
        if not code:
            return []
        info = attribute(node, TEXT).replace("`", "").split()[:1]
        if title := attribute(node, TITLE).replace("`", "'").replace('"', "'"):
            info = [*(info or ["text"]), f'title="{title}"']
        fence = "`" * max(3, longest_run(code) + 1)
        return [f"{fence}{' '.join(info)}\n{code}\n{fence}"]

    def _quote(self, node: LexborNode, depth: int) -> list[str]:
        inner = "\n\n".join(self.blocks_within(node, depth))
        return ["\n".join(f"> {line}".rstrip() for line in inner.split("\n"))] if inner else []

    def _list(self, node: LexborNode, depth: int) -> list[str]:
        start = attribute(node, "start")
        number = int(start) if start.isdecimal() and len(start) < 9 else 1
        items: list[str] = []
        for child in node.iter():
            marker = f"{number + len(items)}." if tag_of(node) == "ol" else "-"
            if item := self._item(child, marker, depth):
                items.append(item)
        loose = any("\n\n" in item for item in items)
        return [("\n\n" if loose else "\n").join(items)] if items else []

    def _item(self, node: LexborNode, marker: str, depth: int) -> str:
        if tag_of(node) in ("ul", "ol"):  # lists within lists, not in an item
            return indented("\n\n".join(self._list(node, depth + 1)), "  ", first="  ")
        blocks = self.blocks_within(node, depth)
        if not blocks:
            return ""
        box = node.css_first("input[type=checkbox]")
        if box is not None:
            blocks[0] = f"[{'x' if 'checked' in box.attributes else ' '}] {blocks[0]}"
        nested = all(block.startswith(("- ", "1. ")) for block in blocks[1:])
        text = ("\n" if nested else "\n\n").join(blocks)
        return indented(text, " " * (len(marker) + 1), first=f"{marker} ")

    def _definitions(self, node: LexborNode, depth: int) -> list[str]:
        found: list[str] = []
        for child in node.iter():
            if kind_of(child) == "gone":
                continue
            if tag_of(child) == "dt":
                found += self._label(child, depth)
            elif tag_of(child) == "div":
                found += self._definitions(child, depth + 1) if depth < MAX_DEPTH else []
            else:
                found += self.blocks(child, depth + 1)
        return found

    def _table(self, node: LexborNode, depth: int) -> list[str]:
        pre = node.css("pre")
        if len(pre) == 1 and (len(node.css("tr")) == 1):  # code beside the numbers of its lines
            return self._code(pre[0], depth)
        caption = next((each for each in node.iter() if tag_of(each) == "caption"), None)
        table = markdown_table(node, lambda cell: self.line(cell, depth + 1))
        return [*(self._caption(caption, depth) if caption and table else []), *table]


URL_ESCAPES = str.maketrans(
    {" ": "%20", "(": "%28", ")": "%29", "<": "%3C", ">": "%3E", "\\": "%5C", "\n": "", "\t": ""}
)


def is_block(node: LexborNode, looked_down: int = 0) -> bool:
    """Whether it stands on lines of its own, or holds what does, such as <a><span><div>."""
    tag = tag_of(node)
    if tag in BLOCKS or kind_of(node) in ("tex-block", "quote", "label", "whole"):
        return True
    if tag in NEVER_BLOCKS or tag.startswith("-") or looked_down > MAX_WRAPPERS:
        return False
    return any(is_block(child, looked_down + 1) for child in islice(node.iter(), MAX_WRAPPED))


def code_text(pre: LexborNode) -> str:
    """Preformatted text: some generators set each line in an element of its own."""
    parts: list[str] = []
    for node in pre.traverse(include_text=True):
        tag = tag_of(node)
        if tag == "-text":
            parts.append(node.text_content or "")
        elif tag == "br" or (
            tag in ("div", "li", "p", "tr") and parts and not parts[-1].endswith("\n")
        ):
            parts.append("\n")
    return "".join(parts)
