"""Markdown and MDX as HTML, as the generator of the book would make it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import pairwise
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from mdit_py_plugins.admon import admon_plugin
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from book.read.pages import PageError
from book.read.slugs import Ids, github_slug, python_markdown_slug

MAX_FRONT_MATTER = 64 * 2**10  # characters
# The parser's time grows with the square of the brackets in a paragraph: here, to some seconds.
MAX_SQUARED_BRACKETS = 2 * 10**7
VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]
)


@dataclass(frozen=True)
class Dialect:
    """`is_mdx`: what looks like JSX is JSX, and no code is made by indentation."""

    slug: Callable[[str], str] = github_slug
    separator: str = "-"
    is_mdx: bool = False
    has_admonitions: bool = False  # of Python-Markdown: !!!, ???, ===
    h1_has_id: bool = True


PLAIN = Dialect()
DOCUSAURUS = Dialect(is_mdx=True, h1_has_id=False)
MKDOCS = Dialect(slug=python_markdown_slug, separator="_", has_admonitions=True)


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """What stands in YAML before the text, and the text. What is no mapping counts as nothing."""
    text = text.removeprefix("\ufeff")
    first, _, rest = text.partition("\n")
    if first.strip() != "---":
        return {}, text
    end = f"\n{rest}".find("\n---")
    if not 0 <= end <= MAX_FRONT_MATTER:
        return {}, text
    body = rest[end:].partition("\n")[2] if end else rest.partition("\n")[2]
    return mapping_of(rest[:end]), body.partition("\n")[2] if body.startswith("---") else body


def mapping_of(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text.replace("\0", ""))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def html_of(text: str, dialect: Dialect, address_of: Callable[[str], str]) -> str:
    """The body's HTML. `address_of` makes of each link's target what it is on the built page.

    Raises PageError for a text that would take too long.
    """
    if sum(part.count("[") ** 2 for part in text.split("\n\n")) > MAX_SQUARED_BRACKETS:
        raise PageError("it has too many brackets in one paragraph")
    parser = _parser(dialect)
    env: dict[str, Any] = {}
    tokens = parser.parse(text, env)
    _give_ids(tokens, dialect)
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                child.attrs["href"] = address_of(str(child.attrs.get("href", "")))
    rendered: str = parser.renderer.render(tokens, parser.options, env)
    return f"<main>{rendered}</main>"


@cache
def _parser(dialect: Dialect) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "maxNesting": 60})
    parser.enable(["table", "strikethrough"])
    footnote_plugin(parser)
    deflist_plugin(parser)
    tasklists_plugin(parser)
    dollarmath_plugin(parser, allow_space=False, allow_digits=False, renderer=_formula)
    container_plugin(parser, "any", validate=_names_a_kind, render=_container)
    if dialect.is_mdx:
        parser.disable("code")
        parser.block.ruler.before("table", "esm", _esm)
        parser.block.ruler.before("html_block", "jsx", _jsx, {"alt": ["paragraph"]})
    if dialect.has_admonitions:
        admon_plugin(parser)
        parser.block.ruler.before("html_block", "md_in_html", _md_in_html, {"alt": ["paragraph"]})
        parser.block.ruler.before("fence", "tab", _tab, {"alt": ["paragraph"]})
    parser.add_render_rule("fence", _fence)
    return parser


def _formula(tex: str, options: dict[str, Any]) -> str:
    return escape(tex.strip())


def _give_ids(tokens: Sequence[Token], dialect: Dialect) -> None:
    ids = Ids(dialect.slug, dialect.separator)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            given = _given_id(inline)
            words = "".join(map(_words, inline.children or ())).strip()
            name = ids.take(given) if given else ids.of(words)
            if dialect.h1_has_id or opening.tag != "h1":
                opening.attrs["id"] = name


def _given_id(inline: Token) -> str:
    """What stands in braces at a heading's end: {#start}, {: #start }, {/* #start */}."""
    last = inline.children[-1] if inline.children else None
    if last is None or last.type != "text" or not last.content.rstrip().endswith("}"):
        return ""
    before, _, braces = last.content.rstrip().rpartition("{")
    inside = braces.strip("}/*: ").split()
    last.content = before.rstrip() if any(each.startswith("#") for each in inside) else last.content
    return next((each[1:] for each in inside if each.startswith("#")), "")


def _words(token: Token) -> str:
    if token.type == "image":
        return ""
    return (
        " " if token.type == "softbreak" else "" if token.type == "html_inline" else token.content
    )


def _fence(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """Code with its language and its title, which follows as title="…" on the same line."""
    language, _, rest = tokens[at].info.strip().partition(" ")
    if "=" in language:  # a title without a language
        language, rest = "", tokens[at].info
    title = _quoted(rest, "title=")
    named = f'<div class="code-title">{escape(title)}</div>' if title else ""
    # {1,3} are lines to be highlighted; ```rust,ignore is mdBook's
    name = escape(language.partition("{")[0].partition(",")[0].lstrip("."))
    code = escape(tokens[at].content, quote=False)
    return f'<div>{named}<pre><code class="language-{name}">{code}</code></pre></div>\n'


def _quoted(text: str, name: str) -> str:
    rest = text.partition(name)[2].strip()
    return rest[1:].partition(rest[0])[0] if rest[:1] in ("'", '"') else rest.partition(" ")[0]


def _names_a_kind(params: str, markup: str) -> bool:
    return params.strip()[:1].isalpha()


def _container(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """:::tip Title, :::tip[Title]"""
    if tokens[at].nesting < 0:
        return "</div>\n"
    words = tokens[at].info.strip()
    kind = words[: next((at for at, each in enumerate(words) if not each.isalnum()), len(words))]
    title = words[len(kind) :].partition("{")[0].strip().removeprefix("[").removesuffix("]")
    shown = escape(title or kind.capitalize())
    return f'<div class="admonition {kind}"><p class="admonition-title">{shown}</p>\n'


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _esm(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """MDX: import and export, up to the next empty line, are no text."""
    if not _line(state, start).startswith(("import ", "export ")) or state.level or state.blkIndent:
        return False
    if not silent:
        while start < end and not state.isEmpty(start):
            start += 1
        state.line = start
    return True


def _jsx(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """MDX: a tag on lines of its own; what stands between such tags is Markdown."""
    first = _line(state, start)
    if not first.startswith("<") or not (first[1:2].isalpha() or first[1:2] == "/"):
        return False
    if ":" in first.partition(" ")[0].partition(">")[0]:  # <https://…>
        return False
    last = start
    while last < end and not state.isEmpty(last) and not _line(state, last).rstrip().endswith(">"):
        last += 1
    if last == end or state.isEmpty(last):
        return False
    tag = " ".join(_line(state, number).strip() for number in range(start, last + 1))
    if tag.count("<") != 1:
        return False
    if not silent:
        token = state.push("html_block", "", 0)
        token.content = _closed(tag) + "\n"
        token.map = [start, last + 1]
        state.line = last + 1
    return True


def _md_in_html(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Python-Markdown: what stands in <figure markdown="span"> is Markdown."""
    return " markdown" in _line(state, start) and _jsx(state, start, end, silent)


def _closed(tag: str) -> str:
    """HTML knows no <Tag/>."""
    name = tag[1:].rstrip("/>").split()[0] if len(tag) > 3 else ""
    if tag.endswith("/>") and name.lower() not in VOID:
        return f"{tag[:-2]}></{name}>"
    return tag


def _tab(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Material for MkDocs: === "Title", and what is indented under it."""
    line = _line(state, start)
    title = line.lstrip("=!+ ")
    if not line.startswith("===") or title[:1] not in ("'", '"') or state.is_code_block(start):
        return False
    if silent:
        return True
    inner = state.sCount[start] + 4
    following = start + 1
    while following < end and (state.isEmpty(following) or state.sCount[following] >= inner):
        following += 1
    state.push("tab_open", "tabitem", 1).attrs = {"label": title.strip().strip("'\"")}
    old_indent, old_max, old_parent = state.blkIndent, state.lineMax, state.parentType
    state.blkIndent, state.lineMax, state.parentType = inner, following, "tab"
    state.md.block.tokenize(state, start + 1, following)
    state.blkIndent, state.lineMax, state.parentType = old_indent, old_max, old_parent
    state.push("tab_close", "tabitem", -1)
    state.line = following
    return True
