"""A sentence's words with what comparing sentences needs: stems, names, numbers, negations."""

import html
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from book.english import (
    CLAUSE_WORDS,
    FUNCTION_WORDS,
    MULTIPLIERS,
    NEGATIONS,
    NUMBER_WORDS,
    SOFT_NEGATIONS,
    UNITS,
)

_LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.)*)\](?:\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)|\[[^\]]*\])")
_NOTE = re.compile(r"\[\^[^\]]+\]|\[\d+\]")
_TOKEN = re.compile(
    r"(?P<word>[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u064b-\u065f\u0900-\u0dff])*"
    r"(?:['’](?=[^\W\d_])[^\W\d_]+)?(?:\+\+|\#)?)"
    r"|(?P<number>(?:(?<![\w.)])[-−])?\d+(?:[.,]\d+)*(?P<tail>[^\W\d_]{1,4}(?![^\W_]))?)"
    r"|(?P<end>[.;:!?()—–؟،。,|]+)"
)
_CODE = re.compile(r"`[^`]+`")
_INSIDE_NAME = re.compile(r"[_/.:\\@]")
_SUFFIX = re.compile(
    r"(?:ational|ations?|ators?|ating|ated|ates?|izations?|isations?|iz(?:e[sd]?|ing|ers?)"
    r"|is(?:e[sd]?|ing|ers?)|ically|icals?|ics?|ities|ity|ments?|nesses|ness|ables?|ibles?|ably"
    r"|ively|ives?|ions?|ings?|ingly|edly|ied|ies|ers?|ors?|ally|als?|ances?|ences?|ants?|ents?"
    r"|fully|ful|ous|ed|ly|es|e|(?<!s)s|y)$"
)
SHORTEST_STEM = 4
IRREGULAR = {
    "using": "use", "used": "use", "uses": "use", "usage": "use", "spoken": "speak",
    "written": "write", "sent": "send", "built": "build", "kept": "keep", "given": "give",
    "chosen": "choose", "held": "hold", "taken": "take", "run": "run", "running": "run",
    "children": "child", "feet": "foot", "men": "man", "people": "person", "legs": "leg",
}  # fmt: skip
SINGULAR_VERBS = ("is", "was", "has", "does", "can", "cannot", "will", "isn't", "doesn't")
NEGATION_REACH = 4  # content words


class Word(NamedTuple):
    """`stem` compares; `is_name` for names and code; `value` of numbers, in `unit`'s base."""

    stem: str
    surface: str
    is_content: bool
    is_name: bool
    is_negated: bool
    is_doubtful: bool = False  # may count as negated, too
    value: float | None = None
    unit: str = ""
    before: str = ""  # for numbers: the stem before it, where that is a name: ROS 2
    is_subject: bool = False  # a first word without article, with a verb of a single thing after it
    after: str = ""  # for numbers: the stem of what is counted


def plain(markdown: str) -> str:
    """Without marks, link targets, escapes, entities and footnote marks."""
    text = _NOTE.sub("", _LINK.sub(r"\1", markdown)) if "[" in markdown else markdown
    text = text.replace("\\", "") if "\\" in text else text
    if "*" in text:
        text = text.replace("*", "")
    return html.unescape(text) if "&" in text else text


@lru_cache(100_000)
def fold(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each))


@lru_cache(100_000)
def stem_of(word: str) -> str:
    """Shared by a word's forms, also by a verb and its noun."""
    stem = fold(word).replace("’", "'").removesuffix("'s")
    stem = IRREGULAR.get(stem, stem)
    if stem.endswith("ies") and len(stem) > SHORTEST_STEM:
        stem = stem[:-3] + "y"
    for _ in range(2):
        shorter = _SUFFIX.sub("", stem)
        if len(shorter) >= SHORTEST_STEM or (
            len(shorter) == 3 and stem[3:] in ("s", "ing", "ed", "es", "e", "er", "ers")
        ):
            stem = shorter
        else:
            break
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] != "s":
        stem = stem[:-1]
    return stem


def words_of_sentence(markdown: str, *, is_code: bool = False) -> tuple[Word, ...]:
    """In their order. Of code every word is a name."""
    in_code = _spans(markdown) if "`" in markdown else ()
    del in_code
    text = plain(markdown)
    words: list[Word] = []
    negated, reach, is_first, last_end, last_name = False, 0, True, 0, ""
    is_condition, doubt = False, 0
    pending: int | None = None  # the number whose noun is looked for
    matches = list(_TOKEN.finditer(text))
    for at, found in enumerate(matches):
        kind = "end" if found["end"] else "number" if found["number"] else "word"
        if kind == "end":
            if found[0].strip(".:") or text[found.end() : found.end() + 1].isspace():
                negated, reach, is_condition, doubt = False, 0, False, 0
                pending, last_name = None, ""
                is_first = is_first or found[0][0] in ".:!?"
            continue
        surface = found[0]
        start, end = found.span()
        if kind == "number":
            tail = fold(found["tail"] or "")
            if tail and tail not in UNITS:
                stem = surface.casefold()
                words.append(Word(stem, surface, True, True, negated))
                last_end, is_first, last_name = end, False, stem
                continue
            value: float | None = _value(surface.removesuffix(found["tail"] or ""))
            if tail:
                dimension, factor = UNITS[tail]
                words.append(
                    Word(f"#{surface}", surface, True, False, negated, False, round(value * factor, 9), dimension)
                )
                last_end, is_first, last_name = end, False, ""
                continue
        else:
            lower = surface.casefold().replace("’", "'")
            bare = lower.replace("'", "")
            value = NUMBER_WORDS.get(bare)
            if value is None and bare in MULTIPLIERS and words and words[-1].value is not None:
                previous = words.pop()
                words.append(previous._replace(value=previous.value * MULTIPLIERS[bare]))
                continue
        if value is not None:
            joined = text[start - 1 : start] in "-_ " and start - last_end <= 1
            words.append(
                Word(
                    f"#{value:g}", surface, True, False, negated, False,
                    value, "", last_name if joined else "",
                )
            )  # fmt: skip
            pending, last_end, is_first, last_name = len(words) - 1, end, False, ""
            continue
        if bare in NEGATIONS or lower.endswith("n't"):
            if not (bare in ("rather", "instead", "ne") and not _is_followed(matches, at, ("than", "of"))):
                if not _is_followed(matches, at, ("only", "necessarily")):
                    negated = not negated and not is_condition
                    reach = 1 if bare == "non" else NEGATION_REACH
            last_end, last_name, is_first = end, "", False
            continue
        if bare in SOFT_NEGATIONS:
            doubt = NEGATION_REACH + 1
        if bare == "free" and _is_followed(matches, at, ("of", "from")):
            negated, reach = True, NEGATION_REACH
        if bare in ("free", "less", "denied") and text[start - 1 : start] == "-" and words:
            words[-1] = words[-1]._replace(is_negated=not words[-1].is_negated)
            last_end = end
            continue
        if bare in CLAUSE_WORDS:
            negated, reach = False, 0
            is_condition = bare in ("if", "unless")
        stem = stem_of(surface)
        touches = (start == last_end + 1 and text[last_end : start] in ("_", "/", ":", ".", "\\", "@")) or (
            _INSIDE_NAME.match(text, end) is not None and text[end + 1 : end + 2].isalnum()
        )
        has_inner_capital = any(map(str.isupper, surface[1:]))
        is_capital = surface[0].isupper()
        name = is_code or touches or has_inner_capital or (is_capital and not is_first) or (
            is_first and surface[0].islower() and not words and bare not in FUNCTION_WORDS
        ) or surface[-1] in "+#"
        content = bare not in FUNCTION_WORDS and (len(bare) > 1 or name)
        if content:
            if pending is not None:
                number = words[pending]
                if bare in UNITS and not number.unit and not _is_followed(matches, at, ("of",)):
                    dimension, factor = UNITS[bare]
                    words[pending] = number._replace(
                        unit=dimension, value=round(number.value * factor, 9)
                    )
                elif not number.after:
                    words[pending] = number._replace(after=stem)
                pending = None
            subject = not words and is_first and _is_followed(matches, at, SINGULAR_VERBS)
            is_negated = negated and (not name or reach in (1, NEGATION_REACH))
            words.append(Word(stem, surface, True, name, is_negated, doubt > 0, is_subject=subject))
            doubt -= 1
            if negated:
                reach -= 1
                negated = reach > 0
        last_name = stem if name and content else ""
        last_end, is_first = end, False
    return tuple(words)


def _is_followed(matches: list[re.Match[str]], at: int, words: tuple[str, ...]) -> bool:
    return at + 1 < len(matches) and matches[at + 1][0].casefold() in words


def _spans(markdown: str) -> tuple[tuple[int, int], ...]:
    return tuple(each.span() for each in _CODE.finditer(markdown))


def _value(written: str) -> float:
    number = written.replace("−", "-")
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", number):
        number = number.replace(",", "")
    number = number.replace(",", ".")
    try:
        return float(number)
    except ValueError:  # 1.2.3
        return float(number.partition(".")[0])


_NEGATIVE_WORD = re.compile(
    r"\b(?:un(?!i|de?r)|non|in(?=(?:active|valid|complete|correct|sta))|im(?=possible)|dis(?=able|connect)|de(?=centr|activ))"
    r"[^\W\d_-]{2}|[^\W\d_]{3}less\b",
    re.IGNORECASE,
)


def is_negative(text: str) -> bool:
    """Whether anything in it negates."""
    words = {each.casefold().replace("'", "").replace("’", "") for each in re.findall(r"[^\W\d_]+(?:['’]t\b)?", text)}
    return not words.isdisjoint(NEGATIONS) or not words.isdisjoint(SOFT_NEGATIONS) or bool(_NEGATIVE_WORD.search(text)) or any(w.endswith("nt") and w[:-1] in _AUX for w in words)


_AUX = {"don","doesn","didn","isn","aren","wasn","weren","won","wouldn","shouldn","couldn","can","mustn","needn"}
