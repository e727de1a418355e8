"""Words as they may stand in Markdown, and what is put around them."""

from collections.abc import Iterator

ALWAYS_ESCAPED = str.maketrans({each: "\\" + each for each in "\\`*[]<"})
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad\0"), None)
TEX = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"))
SIGNS = ("-", "+", "\N{MINUS SIGN}")


def escaped(text: str) -> str:
    """Text that means itself in Markdown."""
    return text_of(text).strip()


def note_label(label: str) -> str:
    """A footnote's label, as it may stand in brackets."""
    return "".join(each for each in label if each.isalnum() or each in "-_.:") or "note"


def indented_note(label: str, blocks: list[str]) -> str:
    return indented("\n\n".join(blocks), "    ", first=f"[^{label}]: ")


def text_of(text: str) -> str:
    """Escaped, with its spaces collapsed as a browser does; TeX for a script stays as it is."""
    text = text.translate(INVISIBLE)
    words = " ".join(text.split())
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and words else ""
    return f"{before}{_escaped_around_tex(words)}{after}"


def _escaped_around_tex(text: str) -> str:
    parts: list[str] = []
    at = 0
    for first, last in _formulas(text):
        parts += [_escaped_words(text[at:first]), f"${text[first + 2 : last].strip()}$"]
        at = last + 2
    return "".join([*parts, _escaped_words(text[at:])])


def _formulas(text: str) -> Iterator[tuple[int, int]]:
    """Where each formula's two delimiters are. Each kind is looked for only onwards."""
    starts = {pair: text.find(pair[0]) for pair in TEX if pair[0] in text}
    while starts:
        pair = min(starts, key=lambda each: starts[each])
        first = starts.pop(pair)
        last = text.find(pair[1], first + 2)
        if last < 0:
            continue
        yield first, last
        starts[pair] = last
        for each, start in list(starts.items()):
            if start < last + 2:
                starts[each] = text.find(each[0], last + 2)
                if starts[each] < 0:
                    del starts[each]


def _escaped_words(text: str) -> str:
    text = text.translate(ALWAYS_ESCAPED)
    if "_" in text:
        text = "".join(
            _underscore(text, at) if each == "_" else each for at, each in enumerate(text)
        )
    return text.replace("&", "&amp;") if "&" in text and ";" in text else text


def _underscore(text: str, at: int) -> str:
    """Within a word it means nothing in Markdown."""
    is_within = text[max(at - 1, 0)].isalnum() and text[at + 1 : at + 2].isalnum()
    return "_" if is_within else "\\_"


def paragraph(text: str) -> list[str]:
    lines = [" ".join(line.split()) for line in text.split("\\\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return ["\\\n".join(map(_no_block, lines))] if lines else []


def _no_block(line: str) -> str:
    """A line of a paragraph that would begin a list, a heading or a rule otherwise."""
    first, _, rest = line.partition(" ")
    number = first.rstrip(".)")
    if first in ("-", "+") or first.strip("#") == "" or line.startswith((">", "~~~")):
        return "\\" + line if line else line
    if number.isdecimal() and len(first) == len(number) + 1:
        return f"{number}\\{first[-1]} {rest}".rstrip()
    if set(line) <= set("-= ") and line:
        return "\\" + line
    return line


def emphasised(text: str, mark: str) -> str:
    before, words, after = split_spaces(text)
    if not words or words.strip("*~") == "":
        return text
    if mark == "**" and words.startswith("**") and words.endswith("**"):
        return text
    return f"{before}{mark}{words}{mark}{after}"


def split_spaces(text: str) -> tuple[str, str, str]:
    words = text.strip()
    start = text.find(words) if words else len(text)
    return text[:start], words, text[start + len(words) :]


def raised(text: str) -> str:
    """10 to the power of 6 is not 106."""
    words = text.strip()
    return f"^{words}" if words[:1].isdecimal() or words[:1] in SIGNS else text


def indented(text: str, indent: str, first: str) -> str:
    lines = text.split("\n")
    return "\n".join([first + lines[0], *(indent + line if line else "" for line in lines[1:])])


def longest_run(code: str) -> int:
    longest = run = 0
    for each in code:
        run = run + 1 if each == "`" else 0
        longest = max(longest, run)
    return longest
