"""What generators write in their own ways, marked in the tree in one way.

Marks are attributes that a page cannot bring along itself: `mark` and `marked` speak of them.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

from book.read.html import attribute, classes_of, tag_of

KIND = "data-read-kind"  # quote · label · gone · note · tex · tex-block
TEXT = "data-read-text"  # a tab's label, a footnote's, a formula's TeX, the language of code
TITLE = "data-read-title"  # of code

ADMONITIONS = (
    ".admonition, .theme-admonition, .markdown-alert, .custom-block, .starlight-aside, .callout,"
    " blockquote[class*=blockquote-tag], admonition"
)
ADMONITION_TITLES = (
    ".admonition-title, [class*=admonitionHeading], .admonition-heading, .markdown-alert-title,"
    " .custom-block-title, .starlight-aside__title, .callout-title, .callout-header,"
    " .blockquote-tag-title"
)
KINDS = ("note", "tip", "info", "warning", "danger", "caution", "important", "hint", "seealso")
TAB_LISTS = "[role=tablist], .tabbed-labels"
TABS = "[role=tab], label"
TAB_PANELS = "[role=tabpanel], .tabbed-block"
TAB_LABELS = ".sd-tab-label, .tab-set > .tab-label"
CODE_TITLES = (
    "[class*=codeBlockTitle], .filename, .code-block-caption, .code-title, .code-block-title,"
    " figcaption.header, .remark-code-title"
)
LINE_NUMBERS = ".linenos, .linenodiv, .lineno, .line-numbers, .hljs-ln-numbers, .line-numbers-rows"
MAX_AROUND = 3  # elements around a <pre> that may say more of it
LANGUAGE_PREFIXES = ("language-", "lang-", "highlight-", "sourceCode-")
NO_LANGUAGES = ("", "default", "text", "none", "plaintext", "plain", "txt", "undefined")
NOTE_LISTS = (
    "section[data-footnotes], .footnotes, div.footnote, aside.footnote-list, [role=doc-endnotes],"
    " hr.footnotes, hr.footnotes-sep, .footnote-definition, dl.footnote"
)
NOTES = (
    "section[data-footnotes] li[id], .footnotes li[id], div.footnote li[id], aside.footnote[id],"
    " [role=doc-endnotes] li[id], [role=doc-footnote][id], .footnote-definition li[id],"
    " div.footnote-definition[id], aside[epub\\:type~=footnote][id], dl.footnote > dt[id]"
)
BACK_LINKS = (
    ".footnote-backref, .data-footnote-backref, .footnote-back, .footnote-return, .reversefootnote,"
    " .fn-backref, .footnote .label, .footnote-definition-label"
)
# How TeX is marked where a script is to typeset it.
DELIMITERS = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"))


def mark(document: LexborHTMLParser, main: LexborNode) -> None:
    for node in document.css(f"[{KIND}], [{TEXT}], [{TITLE}]"):
        for name in (KIND, TEXT, TITLE):
            if name in node.attributes:
                del node.attrs[name]
    for marking in (_mark_formulas, _mark_code, _mark_admonitions, _mark_tabs, _mark_notes):
        marking(main)


def kind_of(node: LexborNode) -> str:
    return attribute(node, KIND)


def _set(node: LexborNode, kind: str = "", text: str = "") -> None:
    if kind:
        node.attrs[KIND] = kind
    if text:
        node.attrs[TEXT] = text


def _mark_formulas(main: LexborNode) -> None:
    """KaTeX and MathJax show a formula up to three times; its TeX is kept, once."""
    for node in main.css(".MathJax_Preview, .MathJax, .MathJax_Display, .katex-html, .eqno"):
        node.decompose()
    for node in main.css("script"):  # MathJax 2
        display = "display" in attribute(node, "type")
        _set(node, "tex-block" if display else "tex", node.text().strip())
    for node in main.css("math"):
        note = node.css_first("annotation[encoding='application/x-tex']")
        source = note.text() if note else attribute(node, "alttext") or node.text()
        display = attribute(node, "display") == "block" or _is_in(node, "katex-display")
        _set(node, "tex-block" if display else "tex", source.strip())
    for node in main.css(".math, .arithmatex, .language-math"):
        if not node.css_first("math, script"):
            around = node.parent if node.parent and tag_of(node.parent) == "pre" else node
            tex, display = _undelimited(node.text().strip())
            block = display or tag_of(around) in ("div", "pre") or "display" in classes_of(node)
            _set(around, "tex-block" if block else "tex", tex)


def _undelimited(source: str) -> tuple[str, bool]:
    """The TeX, and whether its delimiters say that it stands on lines of its own."""
    for start, end in DELIMITERS:
        if source.startswith(start) and source.endswith(end) and len(source) > len(start + end):
            return source[len(start) : -len(end)].strip(), start in ("\\[", "$$")
    return source, False


def _mark_code(main: LexborNode) -> None:
    for node in main.css(LINE_NUMBERS):
        node.decompose()
    blocks = main.css("pre")
    held = Counter(each.mem_id for pre in blocks for each in islice(_above(pre), MAX_AROUND))
    for pre in blocks:
        around = [node for node in islice(_above(pre), MAX_AROUND) if held[node.mem_id] == 1]
        code = pre.css_first("code")
        places = [*([code] if code else []), pre, *around]
        if language := next(filter(None, map(_language, places)), ""):
            pre.attrs[TEXT] = language
        if title := next(filter(None, map(_code_title, around)), ""):
            pre.attrs[TITLE] = title


def _language(node: LexborNode) -> str:
    for name in ("data-language", "data-lang"):
        if value := attribute(node, name):
            return "" if value in NO_LANGUAGES else value
    for name in classes_of(node):
        for prefix in LANGUAGE_PREFIXES:
            if name.startswith(prefix) and (found := name.removeprefix(prefix)) not in NO_LANGUAGES:
                return found
    return ""


def _code_title(around: LexborNode) -> str:
    """The title of the only code in this element, which is taken out."""
    found = around.css_first(CODE_TITLES)
    if found is None or found.css_first("pre") is not None:
        return ""
    title = " ".join(found.text().split())
    found.decompose()
    return title


def _mark_admonitions(main: LexborNode) -> None:
    for node in main.css(ADMONITIONS):
        _set(node, "quote")
        titles = node.css(ADMONITION_TITLES)
        if titles:
            _set(titles[0], "label")
        else:
            kinds = [name for name in classes_of(node) if name in KINDS]
            _set(
                node, "quote", attribute(node, "title") or (kinds[0].capitalize() if kinds else "")
            )


def _mark_tabs(main: LexborNode) -> None:
    """The label of each tab goes with what it shows."""
    containers: dict[int, LexborNode] = {}
    lists: dict[int, list[LexborNode]] = {}
    for tab_list in main.css(TAB_LISTS):
        if around := tab_list.parent:
            containers[around.mem_id] = around
            lists.setdefault(around.mem_id, []).append(tab_list)
    for name, around in containers.items():
        labels = [tab.text(strip=True) for each in lists[name] for tab in each.css(TABS)]
        panels = _outermost(around, TAB_PANELS)
        for panel, label in zip(panels, labels, strict=False):
            _set(panel, "whole", label)
        for tab_list in lists[name] if len(panels) >= len(labels) else ():
            _set(tab_list, "gone")
    for node in main.css(TAB_LABELS):
        _set(node, "label")
    for panel in main.css("tabitem"):  # MDX, as it is written
        _set(panel, "whole", attribute(panel, "label") or attribute(panel, "value"))


def _outermost(container: LexborNode, selector: str) -> list[LexborNode]:
    found = container.css(selector)
    ids = {node.mem_id for node in found}
    return [node for node in found if not any(each.mem_id in ids for each in _above(node))]


def _above(node: LexborNode) -> Iterator[LexborNode]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def _is_in(node: LexborNode, name: str) -> bool:
    return any(name in classes_of(each) for each in islice(_above(node), MAX_AROUND))


def _mark_notes(main: LexborNode) -> None:
    """Footnotes are read with the text that refers to them."""
    for node in main.css("[role=doc-backlink]"):
        _set(node, "gone")
    for node in main.css(BACK_LINKS):
        _set(node, "gone")
    for note in main.css(NOTES):
        for link in note.css("a[href^='#']"):
            if not any(map(str.isalnum, link.text())):  # an arrow
                _set(link, "gone")
    for node in main.css(f"{NOTE_LISTS}, {NOTES}"):
        if kind_of(node) == "":
            _set(node, "gone")
    notes = {attribute(node, "id") for node in main.css(NOTES)}
    for link in main.css("a[href^='#']") if notes else ():
        if attribute(link, "href")[1:] in notes and kind_of(link) != "gone":
            label = link.text(strip=True).strip("[]()^ ")
            _set(link, "note", label)


def notes_of(main: LexborNode) -> dict[str, LexborNode]:
    """The footnotes by their ids, in their order."""
    return {attribute(node, "id"): node for node in main.css(NOTES)}
