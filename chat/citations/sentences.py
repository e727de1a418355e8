"""The sentences of an answer as its reader gets it, and which numbers each of them cites."""

import re
from collections.abc import Iterator

NUMBER = re.compile(r"\[\d{1,4}\](?!\()")
NUMBERS = rf"(?:[ \t]*{NUMBER.pattern})+"
ONLY_NUMBERS = re.compile(NUMBERS)
# Opens or closes a block of code; inline code.
FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}(?=[^`]*\Z)|~{3,})")
INLINE_CODE = re.compile(r"(?<!`)(`+)(?!`)(?:[^\n]|\n(?!\s*\n))*?(?<!`)\1(?!`)")
NUMBERS_OR_CODE = re.compile(rf"({INLINE_CODE.pattern.replace('\\1', '\\2')})|{NUMBERS}")

LINE_MARKS = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]+(?:\[[ xX]\][ \t]+)?)*")
BEGINS_ALONE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)]|#{1,6})[ \t]|\|)")
ONLY_RULES = re.compile(r"[\s>|:=*_-]*")
BETWEEN_CELLS = re.compile(r"\s*\|\s*")

# A full stop with the quotes, brackets and citations that belong to it.
CLOSING = r"[\"'”’»)」』*_\]]*"
END = re.compile(
    rf"[.!?…]+{CLOSING}(?P<cited>{NUMBERS})?(?:(?=\s)|\Z)|[。！？۔؟]+{CLOSING}(?:{NUMBERS})?"
)
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|figs?|eqs?|sec|ch|chap|nos?|vol|pp?|dr|mrs?|ms|prof|st|approx|"
    r"resp|ca|bzw|z\.b|d\.h|u\.a|usw|vgl|abb|kap|nr|bspw|ggf|sog|inkl|p\.ej|ej|sra?|pág|"
    r"núm|al|inc|ltd|incl|[a-z])|^\W*\d{1,3})\.\Z",
    re.IGNORECASE,
)
LOWER_CASE = re.compile(r"\s+[a-zà-öø-ÿ]")
LONGEST_ABBREVIATION = 12


def without_numbers(text: str) -> str:
    """Without the numbers of sources, except in code."""
    if "[" not in text:
        return text
    if "`" not in text and "~~~" not in text:
        *before, last = NUMBER.split(text)
        return "".join([*(part.rstrip(" \t") for part in before), last])
    parts = []
    for is_code, block in _blocks(text):
        parts.append(block if is_code else NUMBERS_OR_CODE.sub(lambda m: m[1] or "", block))
    return "".join(parts)


def cited_sentences(text: str) -> list[tuple[str, list[int]]]:
    """Each sentence without its numbers, and the numbers, in order of appearance.

    Items of lists and rows of tables are sentences; blocks of code are none.
    """
    found: list[tuple[str, list[int]]] = []
    for sentence in _sentences(text):
        numbers, plain = _read(sentence)
        if any(map(str.isalnum, plain)):
            found.append((plain, numbers))
        elif found:  # citations on a line of their own
            found[-1][1].extend(numbers)
    return [(sentence, list(dict.fromkeys(numbers))) for sentence, numbers in found]


def _read(sentence: str) -> tuple[list[int], str]:
    """The numbers in a sentence, and the sentence without them."""
    if "[" not in sentence:
        return [], sentence
    if "`" not in sentence:
        return _numbers(sentence), ONLY_NUMBERS.sub("", sentence).strip()
    plain = NUMBERS_OR_CODE.sub(lambda m: m[1] or "", sentence).strip()
    return _numbers(INLINE_CODE.sub("", sentence)), plain


def _numbers(prose: str) -> list[int]:
    return [int(number[1:-1]) for number in NUMBER.findall(prose)]


def last_sentence(text: str) -> str:
    """The one that a citation at the end of the text belongs to."""
    paragraph = text.rstrip()[-LONGEST_PARAGRAPH:]
    sentences = [sentence for sentence, _ in cited_sentences(paragraph)]
    return sentences[-1] if sentences else ""


LONGEST_PARAGRAPH = 1200  # characters in which the last sentence is looked for


def _blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Lines of code, and of all else: (is code, lines)."""
    if "```" not in text and "~~~" not in text:
        yield False, text
        return
    lines: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        marker = FENCE.match(line.rstrip("\r\n"))
        if fence:
            lines.append(line)
            if marker and marker[1].startswith(fence) and line.strip(" \t>\r\n") == marker[1]:
                yield True, "".join(lines)
                lines, fence = [], ""
        elif marker:
            yield False, "".join(lines)
            lines, fence = [line], marker[1]
        else:
            lines.append(line)
    yield bool(fence), "".join(lines)


def _sentences(text: str) -> Iterator[str]:
    for is_code, block in _blocks(text):
        if not is_code:
            for paragraph in _paragraphs(block):
                yield from _split(paragraph)


def _paragraphs(block: str) -> Iterator[str]:
    """Paragraphs on one line each; items, headings and rows of tables too."""
    lines: list[str] = []
    for line in block.split("\n"):
        if BEGINS_ALONE.match(line) or ONLY_RULES.fullmatch(line):
            yield " ".join(lines)
            lines = []
        lines.append(_plain(line))
        if line.lstrip(" >").startswith(("|", "#")):
            yield " ".join(lines)
            lines = []
    yield " ".join(lines)


def _plain(line: str) -> str:
    if ONLY_RULES.fullmatch(line):
        return ""
    marks = LINE_MARKS.match(line)
    line = line[marks.end() :] if marks else line
    return BETWEEN_CELLS.sub(" ", line).strip() if line.startswith("|") else line.strip()


def _split(paragraph: str) -> Iterator[str]:
    begin = 0
    for end in END.finditer(paragraph):
        if not end["cited"] and _goes_on(paragraph, end):
            continue
        yield paragraph[begin : end.end()].strip()
        begin = end.end()
    yield paragraph[begin:].strip()


def _goes_on(paragraph: str, end: re.Match[str]) -> bool:
    """Whether the full stop is of an abbreviation, or a number of a list."""
    if end[0][0] != ".":
        return False
    before = paragraph[max(end.start() + 1 - LONGEST_ABBREVIATION, 0) : end.start() + 1]
    return bool(ABBREVIATION.search(before)) or (
        end[0][:3] != "..." and bool(LOWER_CASE.match(paragraph, end.end()))
    )
