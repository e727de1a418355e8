"""What keeps a passage from supporting a sentence: a number, name, label or negation that differs.

Each rule gets the sentence's words, a passage and its section. What differs is not outweighed by
words that agree: a sentence with its number changed is as alike as one can be.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from book.quotes.compared import PreparedPassage, PreparedSection, groups_of
from book.quotes.english import EXCLUSIVE, IMPLIED_NUMBERS, NEGATING_PREFIXES, UNITS, opposites
from book.quotes.sentence_words import NEGATED, Word, fold, stem_of

_OPPOSITES = {stem_of(word): frozenset(map(stem_of, words)) for word, words in opposites().items()}
_EXCLUSIVE = frozenset(map(stem_of, EXCLUSIVE))
SHORTEST_BASE = 4  # letters that "un" or "non" is put before


class Conflict(NamedTuple):
    """`stems` are the sentence's. `is_absence`: the passage lacks them and says nothing else."""

    kind: str
    stems: frozenset[str]
    is_absence: bool = False


def conflict(
    words: Sequence[Word], passage: PreparedPassage, section: PreparedSection, acronyms: Set[int]
) -> Conflict | None:
    """The first one found. `acronyms` are the places of words that an acronym there stands for."""
    for at, word in enumerate(words):
        if word.value is not None:
            found = _number_conflict(word, passage, section)
        elif at not in acronyms:
            found = _name_conflict(at, words, passage, section)
        else:
            continue
        if found:
            return found
    return _negation(words, passage) or _swap(words, passage) or _label(words, passage, section)


# Numbers ------------------------------------------------------------------------------------
def is_same_number(one: Word, other: Word) -> bool:
    """The same value; in the same unit, and as much of a name, where both have one."""
    if one.value != other.value or one.before != other.before:
        return False
    return not (one.unit and other.unit) or one.unit == other.unit


def _number_conflict(
    word: Word, passage: PreparedPassage, section: PreparedSection
) -> Conflict | None:
    if word.before:  # a name's, as in ROS 2
        known = any(is_same_number(word, number) for number in section.numbers)
        return None if known else Conflict("number", frozenset({word.stem}))
    counted = _of_the_same(word, passage.numbers)
    if counted and not any(is_same_number(word, number) for number in counted):
        return Conflict("number", frozenset({word.stem}))
    if any(is_same_number(word, number) for number in passage.numbers):
        return None
    if any(IMPLIED_NUMBERS.get(fold(each.surface)) == word.value for each in passage.words):
        return None
    if not word.unit and word.value in section.lengths:
        return None
    comparable = any(number.unit == word.unit for number in passage.numbers if not number.before)
    return Conflict("number", frozenset({word.stem}), is_absence=not comparable)


def _of_the_same(word: Word, numbers: Iterable[Word]) -> list[Word]:
    """The numbers that count, or measure, the same thing as this one."""
    return [
        number
        for number in numbers
        if (word.after and number.after == word.after) or (word.noun and number.noun == word.noun)
    ]


# Names --------------------------------------------------------------------------------------
def _name_conflict(
    at: int, words: Sequence[Word], passage: PreparedPassage, section: PreparedSection
) -> Conflict | None:
    word, stem = words[at], words[at].stem
    if stem in passage.stems:
        return None
    if _is_in_the_place_of_another(at, words, passage):
        return Conflict("name", frozenset({stem}))
    if stem in passage.label or stem in passage.carried:
        return None
    if not word.is_name:
        return _unit_conflict(word, passage) if word.unit else None
    if stem in section.topics:
        return None
    # A sentence of several clauses may rest on sentences side by side.
    if words[-1].clause > 0 and stem in section.blocks[passage.passage.block]:
        return None
    return Conflict("name", frozenset({word.stem}))


def _is_in_the_place_of_another(at: int, words: Sequence[Word], passage: PreparedPassage) -> bool:
    """Whether the passage has another name between the same words."""
    before = words[at - 1].stem if at else ""
    after = words[at + 1].stem if at + 1 < len(words) else ""
    if not passage.groups.isdisjoint(groups_of(words[at].stem)):
        return False
    mentioned = {word.stem for word in words}
    around = ["", *(word.stem for word in passage.words), ""]
    return any(
        word.is_name
        and word.stem not in mentioned
        and (around[place], around[place + 2]) == (before, after)
        for place, word in enumerate(passage.words)
    )


def _unit_conflict(word: Word, passage: PreparedPassage) -> Conflict | None:
    """Another unit of what this one measures."""
    others = (UNITS.get(fold(each.surface)) for each in passage.words if each.unit)
    if any(other and other[0] == word.unit for other in others):
        return Conflict("unit", frozenset({word.stem}))
    return None


# Negations and opposites --------------------------------------------------------------------
def _negation(words: Sequence[Word], passage: PreparedPassage) -> Conflict | None:
    negated = [word for word in words if word.is_negated]
    if negated and not passage.negations:
        return Conflict("negation", frozenset(word.stem for word in negated))
    stems = {word.stem for word in words}
    if "only" in stems and not passage.negations and passage.stems.keys().isdisjoint(_EXCLUSIVE):
        return Conflict("negation", frozenset({"only"}))
    differing = {
        word.stem
        for word in words
        if word.value is None
        and word.stem in passage.stems
        and passage.stems[word.stem].isdisjoint(word.polarities)
    }
    if differing and not any(passage.stems.get(word.stem) == NEGATED for word in negated):
        return Conflict("negation", frozenset(differing))
    for at, word in enumerate(words):
        there = passage.stems.get(word.stem)
        if there is None:
            if _is_opposed(word, stems, passage):
                return Conflict("opposite", frozenset({word.stem}))
        elif word.value is None and _is_nearer_to_opposite(at, words, stems, passage):
            return Conflict("opposite", frozenset({word.stem}))
    return None


def _is_opposed(word: Word, stems: Set[str], passage: PreparedPassage) -> bool:
    if not passage.groups.isdisjoint(groups_of(word.stem)):
        return False
    return any(
        other not in stems and not passage.stems[other].isdisjoint(word.polarities)
        for other in _opposites_of(word) & passage.stems.keys()
    ) or _is_undone(word, passage)


def _opposites_of(word: Word) -> frozenset[str]:
    known = _OPPOSITES.get(word.stem, frozenset())
    return known if word.is_name else known | _undone(word.surface)


@lru_cache(20_000)
def _undone(surface: str) -> frozenset[str]:
    """In stems: the word with a negating prefix, or without it."""
    word = fold(surface)
    return frozenset(
        stem_of(each)
        for prefix in NEGATING_PREFIXES
        for each in (prefix + word, word.removeprefix(prefix))
        if each != word and len(each) >= SHORTEST_BASE
    )


def _is_undone(word: Word, passage: PreparedPassage) -> bool:
    """Unchecked where the passage has verified."""
    surface = fold(word.surface)
    if not surface.startswith("un") or word.is_negated:
        return False
    return not passage.groups.isdisjoint(groups_of(stem_of(surface[2:])))


def _is_nearer_to_opposite(
    at: int, words: Sequence[Word], stems: Set[str], passage: PreparedPassage
) -> bool:
    """Where the passage has both, which of them is said of the words beside it."""
    word = words[at]
    opposites_there = [
        each
        for each in _OPPOSITES.get(word.stem, ())
        if each in passage.stems and each not in stems
    ]
    if not opposites_there:  # as usual
        return False
    groups = frozenset().union(*map(groups_of, stems))
    others = [each for each in opposites_there if groups.isdisjoint(groups_of(each))]
    places: dict[str, list[int]] = {}
    for place, each in enumerate(passage.words):
        places.setdefault(each.stem, []).append(place)
    before = next((each.stem for each in reversed(words[:at]) if each.stem in places), None)
    after = next((each.stem for each in words[at + 1 :] if each.stem in places), None)
    return any(
        _distance(places, other, beside) < _distance(places, word.stem, beside)
        for beside in (before, after)
        if beside and beside != word.stem
        for other in others
    )


def _distance(places: Mapping[str, list[int]], one: str, other: str) -> int:
    return min(abs(a - b) for a in places[one] for b in places[other])


# What is said of which ----------------------------------------------------------------------
def _swap(words: Sequence[Word], passage: PreparedPassage) -> Conflict | None:
    """What is said of each of two names is said of the other one there."""
    names = {word.stem for word in words if word.is_name and word.stem in passage.names}
    if len(names) < 2:
        return None
    if words[-1].clause == 0 and _are_apart(names, words, passage):
        return Conflict("swap", frozenset(names))
    common = _once(words) & _once(passage.words)
    names &= common
    here, there = _owners(words, names, common), _owners(passage.words, names, common)
    both = here.keys() & there.keys()
    if len(both) >= 2 and all(here[stem].isdisjoint(there[stem]) for stem in both):
        return Conflict("swap", frozenset(names))
    return None


def _once(words: Sequence[Word]) -> set[str]:
    """The stems of words that come once."""
    return {stem for stem, number in Counter(word.stem for word in words).items() if number == 1}


def _are_apart(names: Set[str], words: Sequence[Word], passage: PreparedPassage) -> bool:
    """The clauses that have these names each have others, and none has two of them."""
    clauses: dict[int, set[str]] = {}
    for word in passage.words:
        if word.is_name:
            clauses.setdefault(word.clause, set()).add(word.stem)
    mentioned = {word.stem for word in words}
    with_names = [clause for clause in clauses.values() if clause & names]
    return len(with_names) > 1 and all(
        len(clause & names) == 1 and clause - mentioned for clause in with_names
    )


def _owners(words: Sequence[Word], names: Set[str], common: Set[str]) -> dict[str, set[str]]:
    """For each word the names that stand before it."""
    owners: dict[str, set[str]] = {}
    last = ""
    for word in words:
        if last and word.stem in common and word.stem != last:
            owners.setdefault(word.stem, set()).add(last)
        if word.stem in names:
            last = word.stem
    return owners


def _label(
    words: Sequence[Word], passage: PreparedPassage, section: PreparedSection
) -> Conflict | None:
    """The sentence names another item of the same list, and not the passage's."""
    own = passage.own_labels
    if not own:
        return None
    run = f" {' '.join(word.stem for word in words)} "
    if any(f" {label} " in run for label in own):
        return None
    stems = {word.stem for word in words}
    for label in section.labels.get(passage.passage.above, frozenset()) - own:
        named = set(label.split())
        if named & passage.label:  # alike but for a word: global planner, local planner
            is_named = any(
                f" {one} {other} " in run and not {one, other} <= passage.label
                for one, other in pairwise(label.split())
            )
        else:
            is_named = f" {label} " in run and (" " in label or stems.isdisjoint(passage.label))
        if is_named:
            return Conflict("label", frozenset(named))
    return None
