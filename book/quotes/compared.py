"""A section as it is compared with sentences: its passages with their words, what it is about."""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from book.quotes.english import FUNCTION_WORDS, PRONOUNS, synonyms
from book.quotes.passages import Passage, passages_of
from book.quotes.sentence_words import Word, count_negations, fold, stem_of, words_of_sentence

LONGEST_LABEL = 4  # words; of a longer name its last two count
MOST_LETTERS_OF_ACRONYM = 5
TOPIC_SHARE = 1 / 3  # of a section's blocks
LONG = 2000  # characters

_SYNONYMS = {stem_of(word): groups for word, groups in synonyms().items()}
_FIRST_WORD = re.compile(r"[*_]*([^\W\d_]+)")
_SHORT_WORDS = re.compile(r"(?<![\w'’])[^\W\d_]{1,3}(?![\w'’])")
NONE: frozenset[str] = frozenset()


class PreparedPassage(NamedTuple):
    """`stems`: for each stem whether it stands affirmed (False), negated (True) or both.

    `groups` are those of synonyms; `label` holds the stems of the labels around it, `own_labels`
    the same as runs of stems; `carried` the stems that a pronoun at its start refers to.
    """

    passage: Passage
    words: tuple[Word, ...]
    stems: dict[str, frozenset[bool]]
    groups: frozenset[str]
    numbers: tuple[Word, ...]
    names: frozenset[str]
    acronyms: tuple[str, ...]
    label: frozenset[str]
    own_labels: frozenset[str]
    carried: Set[str] = NONE

    @property
    def negations(self) -> int:
        return count_negations(self.passage.text)


class PreparedSection(NamedTuple):
    """`blocks` has the stems of each block, `stems` in how many blocks each is, `labels` those of
    the items that stand side by side, by the item above, `lengths` how long its lists are."""

    passages: tuple[PreparedPassage, ...]
    stems: dict[str, int]
    groups: frozenset[str]
    blocks: dict[int, frozenset[str]]
    numbers: tuple[Word, ...]
    names: frozenset[str]
    topics: frozenset[str]
    labels: dict[int, frozenset[str]]
    lengths: frozenset[int]
    short_words: frozenset[str]
    has_acronyms: bool


def groups_of(stem: str) -> frozenset[str]:
    return _SYNONYMS.get(stem, NONE)


def prepared(section: str, heading_path: tuple[str, ...] = ()) -> PreparedSection:
    """As `prepare`, and remembered: of long texts, such as readers select, only a few are."""
    remembered = _prepared_long if len(section) > LONG else _prepared
    return remembered(section, heading_path)


def prepare(section: str, heading_path: tuple[str, ...] = ()) -> PreparedSection:
    """`section` is Markdown. With its headings, names that only they have are known.

    It takes 70 to 250 times the memory of its text.
    """
    passages = tuple(_with_antecedents(map(_prepared_passage, passages_of(section))))
    blocks: dict[int, set[str]] = {}
    for each in passages:
        blocks.setdefault(each.passage.block, set()).update(each.stems)
    heading = {word.stem for title in heading_path for word in words_of_sentence(title)}
    stems = dict.fromkeys(heading, 1)
    for block in blocks.values():
        for stem in block:
            stems[stem] = stems.get(stem, 0) + 1
    enough = max(2, len(blocks) * TOPIC_SHARE)
    first = passages[0].stems.keys() if passages else NONE
    return PreparedSection(
        passages=passages,
        stems=stems,
        groups=frozenset().union(*(each.groups for each in passages)),
        blocks={number: frozenset(block) for number, block in blocks.items()},
        numbers=tuple(number for each in passages for number in each.numbers),
        names=frozenset().union(*(each.names for each in passages)),
        topics=frozenset(heading | first | {stem for stem, in_ in stems.items() if in_ >= enough}),
        labels=_labels(passages),
        lengths=frozenset(_lengths(passages)),
        short_words=short_words(section),
        has_acronyms=any(each.acronyms for each in passages),
    )


_prepared = lru_cache(256)(prepare)
_prepared_long = lru_cache(16)(prepare)


def forget_prepared() -> None:
    """As a process that has just begun."""
    _prepared.cache_clear()
    _prepared_long.cache_clear()


def short_words(text: str) -> frozenset[str]:
    """Those that a language has most of."""
    return frozenset(map(str.casefold, _SHORT_WORDS.findall(text)))


def is_english(words: Set[str]) -> bool:
    return 3 * len(words & FUNCTION_WORDS) >= len(words) > 0


def _prepared_passage(passage: Passage) -> PreparedPassage:
    words = words_of_sentence(passage.text, is_code=passage.is_code)
    stems: dict[str, frozenset[bool]] = {}
    for word in words:
        there = stems.get(word.stem)
        stems[word.stem] = there | word.polarities if there else word.polarities
    return PreparedPassage(
        passage=passage,
        words=words,
        stems=stems,
        groups=frozenset().union(*map(groups_of, stems)),
        numbers=tuple(word for word in words if word.value is not None),
        names=frozenset(word.stem for word in words if word.is_name),
        acronyms=tuple(_acronyms(words)),
        label=frozenset().union(*map(_stems_of_label, passage.labels)),
        own_labels=frozenset().union(*map(_runs_of_label, passage.labels)),
    )


def _acronyms(words: Iterable[Word]) -> Iterator[str]:
    for word in words:
        letters = word.surface.rstrip("s")
        if letters.isupper() and 2 <= len(letters) <= MOST_LETTERS_OF_ACRONYM:
            yield fold(letters)


def _with_antecedents(passages: Iterable[PreparedPassage]) -> Iterator[PreparedPassage]:
    """A sentence that begins with a pronoun goes on about what the one before it is about."""
    last: PreparedPassage | None = None
    for each in passages:
        first = _FIRST_WORD.match(each.passage.text)
        refers_back = first is not None and first[1].casefold() in PRONOUNS
        if last and refers_back and last.passage.block == each.passage.block:
            numbers = (*each.numbers, *last.numbers)
            last = each._replace(carried=last.stems.keys() | last.carried, numbers=numbers)
        else:
            last = each
        yield last


@lru_cache(4096)
def _stems_of_label(label: str) -> frozenset[str]:
    return frozenset(word.stem for word in words_of_sentence(label))


@lru_cache(4096)
def _runs_of_label(label: str) -> frozenset[str]:
    """In stems: what stands before parentheses, what in them, and the end of a long name."""
    runs: set[str] = set()
    for part in re.split(r"[()]", label):
        stems = [word.stem for word in words_of_sentence(part)]
        if 0 < len(stems) <= LONGEST_LABEL:
            runs.add(" ".join(stems))
        elif stems and "_" in part:
            runs.add(" ".join(stems[-2:]))
    return frozenset(runs)


def _labels(passages: Sequence[PreparedPassage]) -> dict[int, frozenset[str]]:
    labels: dict[int, frozenset[str]] = {}
    for each in passages:
        if each.passage.labels:
            above = each.passage.above
            labels[above] = labels.get(above, NONE) | _runs_of_label(each.passage.labels[0])
    return labels


def _lengths(passages: Sequence[PreparedPassage]) -> Iterable[int]:
    items: dict[int, set[int]] = {}
    for each in passages:
        if each.passage.is_item:
            items.setdefault(each.passage.above, set()).add(each.passage.block)
    return (len(blocks) for blocks in items.values())
