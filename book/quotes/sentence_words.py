"""A sentence's words with what comparing sentences needs: stems, names, numbers, negations."""

import html
import re
import unicodedata
from bisect import bisect
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from book.quotes.english import (
    CLAUSE_WORDS,
    FUNCTION_WORDS,
    MULTIPLIERS,
    NAMING_WORDS,
    NEGATIONS,
    NUMBER_WORDS,
    SOFT_NEGATIONS,
    TURNING_WORDS,
    UNITS,
)

_LINK = re.compile(
    r"!?\[((?:[^\[\]\\]|\\.)*)\](?:\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)|\[[^\]]*\])"
)
_NOTE = re.compile(r"\[\^[^\]]+\]|\[\d+\]")
_TOKEN = re.compile(
    r"(?P<word>[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u064b-\u065f\u0900-\u0dff])*"
    r"(?:['’](?=[^\W\d_])[^\W\d_]+)?(?:\+\+|\#)?)"
    r"|(?P<number>(?:(?<![\w.)])[-−])?\d+(?:[.,]\d+)*(?P<tail>[^\W\d_]{1,4}(?![^\W_]))?)"
    r"|(?P<mark>[.;:!?()—–؟،。,|]+)"
)
_CODE = re.compile(r"`[^`]+`")
INSIDE_NAMES = ("_", "/", ".", ":", "\\", "@")
BEFORE_MEASURES = ("of", "is", "to", "at", "was", "are")
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
NEGATING = NEGATIONS | SOFT_NEGATIONS
SPECIAL_WORDS = NEGATING | CLAUSE_WORDS | {"free", "denied", "less", "rather", "instead"}
NEGATION_REACH = 3


class _Form(NamedTuple):
    """What is known of a word as it is written, wherever it stands."""

    bare: str  # in lower case, without apostrophes
    stem: str
    says_something: bool
    looks_like_a_name: bool
    is_capital: bool
    is_plain: bool  # none of the words that mean something for those after them
    unit: str


@lru_cache(50_000)
def _form_of(surface: str) -> _Form:
    bare = surface.casefold().replace("’", "").replace("'", "")
    says_something = bare not in FUNCTION_WORDS
    return _Form(
        bare=bare,
        stem=stem_of(surface),
        says_something=says_something,
        looks_like_a_name=surface[-1] in "+#" or any(map(str.isupper, surface[1:])),
        is_capital=surface[0].isupper(),
        is_plain=not (
            bare in SPECIAL_WORDS
            or surface.endswith(("n't", "n’t"))
            or bare in NUMBER_WORDS
            or bare in MULTIPLIERS
        ),
        unit=UNITS[bare][0] if bare in UNITS and len(bare) > 2 else "",
    )


class Word(NamedTuple):
    """`stem` compares. Names are proper names, acronyms, and whatever is written as code.

    A number has its `value`, in the base unit where it has a `unit`; the stem `before` it where it
    is part of a name (ROS 2), the stem `after` it (6 degrees) and the `noun` that it is said of
    (a depth of 10). A word that is a unit has it in `unit`, too.
    """

    stem: str
    surface: str
    is_name: bool = False
    is_negated: bool = False
    is_doubtful: bool = False  # may be negated by what the word before it means
    is_subject: bool = False  # first, without article, with a verb of a single thing after it
    value: float | None = None
    unit: str = ""
    before: str = ""
    after: str = ""
    noun: str = ""
    clause: int = 0

    @property
    def polarities(self) -> frozenset[bool]:
        """Whether it is affirmed (False), negated (True) or may be either."""
        return EITHER if self.is_doubtful else NEGATED if self.is_negated else AFFIRMED


EITHER, NEGATED, AFFIRMED = frozenset({True, False}), frozenset({True}), frozenset({False})


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
    """Those that say something, in their order. Of code every word is a name."""
    return _Reading(plain(markdown), is_code).words()


class _Reading:
    """From left to right, with what an earlier word means for later ones."""

    def __init__(self, text: str, is_code: bool) -> None:
        self._text, self._is_code = text, is_code
        self._tokens = list(_TOKEN.finditer(text))
        code = [each.span() for each in _CODE.finditer(text)] if "`" in text else []
        self._code = [place for span in code for place in span]
        self._words: list[Word] = []
        self._counting = False  # the last word is a number whose noun comes
        self._negates = self._doubts = 0  # words that a negation still reaches
        self._is_condition = self._is_named = False
        self._starts = True  # a capital means nothing here
        self._clause = 0
        self._name, self._end = "", 0  # the last word if a name, and where it ends

    def words(self) -> tuple[Word, ...]:
        for at, token in enumerate(self._tokens):
            if token.lastgroup == "word":
                self._read_word(at, token)
            elif token.lastgroup == "mark":
                self._read_mark(token)
                continue
            else:
                self._read_digits(at, token)
            self._end, self._starts = token.end(), False
        return tuple(self._words)

    def _read_mark(self, token: re.Match[str]) -> None:
        mark, (_, end) = token[0], token.span()
        if mark in (".", ":") and not self._text[end : end + 1].isspace():
            return  # within a name or a time
        self._negates = self._doubts = 0
        self._is_condition = self._counting = False
        self._name = ""
        self._starts = self._starts or mark[0] in ".:!?|"
        if self._words:
            self._clause += 1

    def _read_digits(self, at: int, token: re.Match[str]) -> None:
        tail = token["tail"] or ""
        if tail and fold(tail) not in UNITS:  # 3D
            self._words.append(Word(fold(token[0]), token[0], True, clause=self._clause))
            self._name = self._words[-1].stem
            return
        self._add_number(at, token, value_of(token[0].removesuffix(tail)))
        if tail:
            self._set_unit(at, fold(tail))

    def _add_number(self, at: int, token: re.Match[str], value: float) -> None:
        start = token.start()
        before = self._name if self._text[self._end : start] in ("", " ", "-", "_") else ""
        noun = ""
        if at and self._words and self._tokens[at - 1][0].casefold() in BEFORE_MEASURES:
            last = self._words[-1]
            noun = "" if last.is_name or last.value is not None else last.stem
        word = Word(f"#{value:g}", token[0], value=value, before=before, noun=noun)
        self._words.append(word._replace(clause=self._clause))
        self._counting, self._name = True, ""

    def _set_unit(self, at: int, unit: str) -> None:
        number = self._words[-1]
        if number.value is None:
            return
        dimension, factor = UNITS[unit]
        value = round(number.value * factor, 9)
        self._words[-1] = number._replace(
            stem=f"#{value:g}{dimension}", unit=dimension + self._rate(at), value=value
        )
        self._counting = False

    def _rate(self, at: int) -> str:
        """`/time` of metres per second."""
        following = [each[0].casefold() for each in self._tokens[at + 1 : at + 3]]
        if len(following) == 2 and following[0] in ("per", "a", "an", "each", "every"):
            dimension, _ = UNITS.get(following[1], ("", 1))
            return f"/{dimension}" if dimension else ""
        return ""

    def _read_word(self, at: int, token: re.Match[str]) -> None:
        form = _form_of(token[0])
        if form.is_plain and not form.says_something and len(form.bare) > 1:
            self._name = ""
            return
        if not form.is_plain and self._read_special(at, token, form.bare):
            return
        is_name = self._is_a_name(token, form)
        if form.says_something and (is_name or len(form.bare) > 1):
            self._add_word(at, token, form, is_name)
        else:
            self._name = ""
        if not form.is_plain and form.bare in SOFT_NEGATIONS:
            self._doubts = NEGATION_REACH
        if form.says_something:
            self._is_named = form.bare in NAMING_WORDS

    def _read_special(self, at: int, token: re.Match[str], bare: str) -> bool:
        """Whether that was all there is to read of it."""
        if bare in NUMBER_WORDS:
            self._add_number(at, token, NUMBER_WORDS[bare])
            return True
        if bare in MULTIPLIERS and self._counting:
            number = self._words[-1]
            self._words[-1] = number._replace(value=(number.value or 0) * MULTIPLIERS[bare])
            return True
        if self._read_negation(at, token, bare):
            self._name = ""
            return True
        if bare in CLAUSE_WORDS:
            self._negates = 0
            self._is_condition = bare in ("if", "unless")
            self._clause += bool(self._words)
        return False

    def _read_negation(self, at: int, token: re.Match[str], bare: str) -> bool:
        start = token.start()
        if bare in ("free", "denied", "less") and self._text[start - 1 : start] == "-":
            if self._words:
                last = self._words[-1]
                self._words[-1] = last._replace(is_negated=not last.is_negated)
            return True
        following = self._tokens[at + 1][0].casefold() if at + 1 < len(self._tokens) else ""
        if bare == "free":
            is_negation = following in ("of", "from")
        elif bare in ("rather", "instead"):
            is_negation = following in ("than", "of")
        else:
            is_negation = bare in NEGATIONS or token[0].endswith(("n't", "n’t"))
        if is_negation and following not in ("only", "necessarily"):
            reach = 1 if bare == "non" else NEGATION_REACH
            self._negates = 0 if self._negates or self._is_condition else reach
        return is_negation

    def _is_a_name(self, token: re.Match[str], form: _Form) -> bool:
        if self._is_code or form.looks_like_a_name or (form.is_capital and not self._starts):
            return True
        if not form.says_something and len(form.bare) > 1:
            return False
        if self._is_named:
            return True
        start, end = token.span()
        if self._starts and not self._words and not form.is_capital and token[0].isascii():
            return True
        if start == self._end + 1 and self._text[self._end] in INSIDE_NAMES:
            return True
        if self._text[end : end + 1] in INSIDE_NAMES and self._text[end + 1 : end + 2].isalnum():
            return end < len(self._text)
        return bisect(self._code, start) % 2 == 1  # of beginnings and ends in turn

    def _add_word(self, at: int, token: re.Match[str], form: _Form, is_name: bool) -> None:
        unit = form.unit
        if self._counting:
            following = self._tokens[at + 1][0].casefold() if at + 1 < len(self._tokens) else ""
            number = self._words[-1]
            if form.bare in UNITS and following != "of" and not number.unit:
                self._set_unit(at, form.bare)
                unit = ""
            elif form.bare not in ("time", "times"):
                self._words[-1] = number._replace(after=form.stem)
            self._counting = False
        is_negated = self._negates > 0 and (not is_name or self._negates in (1, NEGATION_REACH))
        is_subject = not self._words and self._starts and self._is_verb_next(at)
        self._words.append(
            Word(
                form.stem, token[0], is_name, is_negated, self._doubts > 0, is_subject,
                None, unit, "", "", "", self._clause,
            )
        )  # fmt: skip
        self._negates = max(self._negates - 1, 0)
        self._doubts = max(self._doubts - 1, 0)
        self._name = form.stem if is_name else ""

    def _is_verb_next(self, at: int) -> bool:
        following = self._tokens[at + 1][0] if at + 1 < len(self._tokens) else ""
        return following in SINGULAR_VERBS


def value_of(written: str) -> float:
    """Of digits as they are written; of a version (1.2.3) its first part."""
    number = written.replace("−", "-")
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", number):
        number = number.replace(",", "")
    number = number.replace(",", ".")
    try:
        return float(number)
    except ValueError:  # 1.2.3
        return float(number.partition(".")[0])


_NEGATIVE_WORD = re.compile(
    r"\b(?:un(?!i|der)|non|in(?=active|valid|complete|correct|stab)|im(?=possible)"
    r"|dis(?=able|connect)|de(?=centr|activ|alloc))[^\W\d_-]{2}|[^\W\d_]{3}less\b|[^\W\d_]n['’]t\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+")


@lru_cache(4096)
def count_negations(text: str) -> int:
    """How many of its words negate, one way or another."""
    words = map(str.casefold, _LETTERS.findall(text))
    return sum(each in NEGATING for each in words) + len(_NEGATIVE_WORD.findall(text))


@lru_cache(4096)
def turning_words(text: str) -> Counter[str]:
    """Its negations, quantities and words of order, each with how often it stands there."""
    words = _LETTERS.findall(re.sub(r"n['’]t\b", " not", text).casefold())
    return Counter("not" if each == "cannot" else each for each in words if each in TURNING_WORDS)
