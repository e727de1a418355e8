"""Which sentence of a section supports what an answer says, how well, and what is quoted at all.

Words are compared, no model is asked. Words that agree make the score; a number, name, label or
negation that does not agree rules a sentence out, however alike the rest is.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from book.english import opposites, synonyms, NEGATING_PREFIXES, IMPLIED_NUMBERS
from book.passages import Passage, passages_of
from book.sentence_words import Word, is_negative, fold, stem_of, words_of_sentence

SHOWN = 0.3
SUPPORTED = 0.3
NOT_VERBATIM = 0.79
NEARBY, ELSEWHERE, SYNONYM = 0.5, 0.25, 0.8
NAME_WEIGHT, NUMBER_WEIGHT = 1.5, 2.0

_SYNONYMS = {stem_of(word): groups for word, groups in synonyms().items()}
_OPPOSITES = {stem_of(word): frozenset(map(stem_of, words)) for word, words in opposites().items()}


class Quote(NamedTuple):
    text: str
    score: float


class PreparedPassage(NamedTuple):
    passage: Passage
    words: tuple[Word, ...]
    stems: dict[str, frozenset[bool]]  # whether each stands negated
    groups: frozenset[str]  # of synonyms
    numbers: tuple[Word, ...]
    names: frozenset[str]
    label: frozenset[str]
    label_text: frozenset[str]
    is_negative: bool


class PreparedSection(NamedTuple):
    passages: tuple[PreparedPassage, ...]
    stems: dict[str, int]  # in how many blocks
    groups: frozenset[str]
    blocks: dict[int, frozenset[str]]  # stems of each
    numbers: tuple[Word, ...]
    topics: frozenset[str]
    labels: dict[int, frozenset[str]]  # of the items side by side, by the item above
    lengths: frozenset[int]
    names: frozenset[str]


@lru_cache(1024)
def prepared(section: str, heading_path: tuple[str, ...] = ()) -> PreparedSection:
    passages = tuple(map(_prepared_passage, passages_of(section)))
    blocks: dict[int, set[str]] = {}
    for each in passages:
        blocks.setdefault(each.passage.block, set()).update(each.stems)
    stems: dict[str, int] = {}
    for block in blocks.values():
        for stem in block:
            stems[stem] = stems.get(stem, 0) + 1
    heading = {word.stem for title in heading_path for word in words_of_sentence(title)}
    for stem in heading:
        stems.setdefault(stem, 1)
    first = passages[0].stems if passages else {}
    names = {stem for each in passages for stem in each.names}
    topics = heading | set(first) | {stem for stem, count in stems.items() if count > 1}
    labels: dict[int, set[str]] = {}
    for each in passages:
        if each.passage.labels:
            labels.setdefault(each.passage.above, set()).update(_label_texts(each.passage.labels[0]))
    return PreparedSection(
        passages,
        stems,
        frozenset(group for each in passages for group in each.groups),
        {number: frozenset(block) for number, block in blocks.items()},
        tuple(number for each in passages for number in each.numbers),
        frozenset(topics),
        {above: frozenset(texts) for above, texts in labels.items()},
        frozenset(_lengths(passages)),
        frozenset(names),
    )


def _lengths(passages: Sequence[PreparedPassage]) -> Iterable[int]:
    items: dict[int, set[int]] = {}
    for each in passages:
        if each.passage.labels or each.passage.is_code:
            items.setdefault(each.passage.above, set()).add(each.passage.block)
    return [len(blocks) for blocks in items.values()]


def _prepared_passage(passage: Passage) -> PreparedPassage:
    words = words_of_sentence(passage.text, is_code=passage.is_code)
    stems: dict[str, frozenset[bool]] = {}
    for word in words:
        stems[word.stem] = stems.get(word.stem, frozenset()) | ({True, False} if word.is_doubtful else {word.is_negated})
    label = frozenset(word.stem for each in passage.labels for word in words_of_sentence(each))
    texts = frozenset(text for each in passage.labels for text in _label_texts(each))
    return PreparedPassage(
        passage, words, stems, _groups(stems), tuple(w for w in words if w.value is not None),
        frozenset(w.stem for w in words if w.is_name), label, texts, is_negative(passage.text),
    )


@lru_cache(4096)
def _label_texts(label: str) -> frozenset[str]:
    """In stems: the words before parentheses, those in them, and the end of a long name."""
    texts: set[str] = set()
    for part in re.split(r"[()]", label):
        stems = [word.stem for word in words_of_sentence(part)]
        if 0 < len(stems) <= 4:
            texts.add(" ".join(stems))
        elif stems and "_" in part:
            texts.add(" ".join(stems[-2:]))
    return frozenset(texts)


def _groups(stems: Iterable[str]) -> frozenset[str]:
    return frozenset(group for stem in stems for group in _SYNONYMS.get(stem, ()))


def _named(words: tuple[Word, ...], section: PreparedSection) -> tuple[Word, ...]:
    """The first word of a sentence has a capital anyway: a name where the section has it as one."""
    if not words or words[0].is_name or not words[0].surface[0].isupper():
        return words
    stem = words[0].stem
    if stem in section.names or (stem not in section.stems and words[0].is_subject and stem not in _SYNONYMS):
        return (words[0]._replace(is_name=True), *words[1:])
    return words


@lru_cache(256)
def _asked(sentence: str) -> tuple[Word, ...]:
    return words_of_sentence(sentence)


def judged(sentence: str, section: PreparedSection):
    """Each passage with its score and conflicts (for measuring)."""
    words = _named(_asked(sentence), section)
    out = []
    if not words: return out
    for passage in section.passages:
        conflict = _conflict(words, passage, section)
        out.append((_agreement(words, passage, section), conflict, passage))
    return out


def _weight(word: Word) -> float:
    return NUMBER_WEIGHT if word.value is not None else NAME_WEIGHT if word.is_name else 1.0


def _agreement(words: Sequence[Word], passage: PreparedPassage, section: PreparedSection) -> float:
    total = agreed = 0.0
    block = section.blocks[passage.passage.block]
    above = section.blocks.get(passage.passage.above, frozenset())
    acronyms = _acronyms(words, passage)
    for at, word in enumerate(words):
        df = section.stems.get(word.stem, 0) / max(len(section.blocks), 3)
        weight = _weight(word) * (1 - .5 * min(df, 1))
        total += weight
        if word.stem in passage.stems or at in acronyms or _number_in(word, passage):
            agreed += weight
        elif not passage.groups.isdisjoint(_SYNONYMS.get(word.stem, ())):
            agreed += SYNONYM * weight
        elif word.stem in passage.label or word.stem in block or word.stem in above:
            agreed += (NEARBY if not word.is_name or word.stem in section.topics else .3) * weight
        elif word.stem in section.stems:
            agreed += ELSEWHERE * weight
        elif not section.groups.isdisjoint(_SYNONYMS.get(word.stem, ())):
            agreed += ELSEWHERE * SYNONYM * weight
    return agreed / total


def _acronyms(words: Sequence[Word], passage: PreparedPassage) -> set[int]:
    found: set[int] = set()
    initials = "".join(fold(word.surface[0]) for word in words)
    for word in passage.words:
        if word.is_name and word.surface[:2].isupper() and 2 <= len(word.surface) <= 5:
            acronym = fold(word.surface.rstrip("s"))
            for part in (acronym, acronym[1:]):
                if len(part) >= 2 and (at := initials.find(part)) >= 0 and not any(w.is_name for w in words[at:at+len(part)]):
                    found.update(range(at, at + len(part)))
                    break
    return found


def _number_in(word: Word, passage: PreparedPassage) -> bool:
    return word.value is not None and any(_same(word, n) for n in passage.numbers if n.before == word.before)


def _same(one: Word, other: Word) -> bool:
    if one.value != other.value:
        return False
    return not (one.unit and other.unit) or one.unit == other.unit


# Conflicts ---------------------------------------------------------------------------------
def _conflict(words: Sequence[Word], passage: PreparedPassage, section: PreparedSection) -> str:
    for word in words:
        if word.value is not None:
            if _number_conflict(word, passage, section):
                return f"number {word.surface}"
        elif word.is_name:
            if _name_conflict(word, words, passage, section):
                return f"name {word.surface}"
    stems = frozenset(word.stem for word in words)
    if not passage.is_negative and any(w.is_negated for w in words):
        return "not negated"
    agrees = any(w.is_negated and True in passage.stems.get(w.stem, ()) for w in words)
    for word in words:
        if reason := _negation_conflict(word, stems, passage):
            if not (agrees and reason.startswith("negated")):
                return reason
    if _is_swapped(words, passage):
        return "swapped"
    if label := _label_conflict(words, passage, section):
        return f"label {label}"
    return ""


def _number_conflict(word: Word, passage: PreparedPassage, section: PreparedSection) -> bool:
    here = [n for n in passage.numbers if not n.before and _same(word, n)]
    if word.before:
        return not any(_same(word, n) and n.before == word.before for n in section.numbers)
    if word.after:
        bound = [n for n in passage.numbers if n.after == word.after]
        if bound and not any(_same(word, n) for n in bound):
            return True
    if here:
        return False
    if any(IMPLIED_NUMBERS.get(fold(w.surface)) == word.value for w in passage.words):
        return False
    if not word.unit and word.value in section.lengths:
        return False
    return True


def _is_swapped(words: Sequence[Word], passage: PreparedPassage) -> bool:
    """Whether what is said of each of two names is said of the other one there."""
    names = {word.stem for word in words if word.is_name and word.stem in passage.names}
    if len(names) < 2:
        return False
    common = {word.stem for word in words} & passage.stems.keys()
    here, there = _owners(words, names, common), _owners(passage.words, names, common)
    both = [stem for stem in here.keys() & there.keys() if here[stem] and there[stem]]
    return len(both) >= 2 and all(here[stem].isdisjoint(there[stem]) for stem in both)


def _owners(words: Sequence[Word], names: set[str], common: set[str]) -> dict[str, set[str]]:
    """For each word the name before it; where it stands twice, both."""
    owners: dict[str, set[str]] = {}
    last = ""
    for word in words:
        if last and word.stem in common and word.stem != last:
            owners.setdefault(word.stem, set()).add(last)
        if word.stem in names:
            last = word.stem
    return owners


def _name_conflict(word: Word, words: Sequence[Word], passage: PreparedPassage, section: PreparedSection) -> bool:
    stem = word.stem
    if stem in passage.stems or stem in passage.label or stem in section.topics:
        return False
    if any(at for at in _acronyms(words, passage) if words[at] is word):
        return False
    if stem not in section.stems:
        return True
    return True


def _negation_conflict(word: Word, stems: frozenset[str], passage: PreparedPassage) -> str:
    there = passage.stems.get(word.stem)
    if there is not None:
        if word.is_doubtful:
            return ""
        return "" if word.is_negated in there or word.value is not None else f"negated {word.surface}"
    if not passage.groups.isdisjoint(_SYNONYMS.get(word.stem, ())):
        return ""
    for other in _OPPOSITES.get(word.stem, ()):
        found = passage.stems.get(other)
        if found is not None and other not in stems and word.is_negated in found:
            return f"opposite {word.surface}"
    surface = fold(word.surface)
    for prefix in NEGATING_PREFIXES:
        for other in (stem_of(prefix + surface), stem_of(surface.removeprefix(prefix)) if surface.startswith(prefix) and len(surface) > len(prefix) + 3 else ""):
            found = passage.stems.get(other)
            if found is not None and other not in stems and word.is_negated in found:
                return f"prefix {word.surface}"
    if surface.startswith("un") and not passage.groups.isdisjoint(_SYNONYMS.get(stem_of(surface[2:]), ())):
        return f"prefix {word.surface}"
    return ""


def _label_conflict(words: Sequence[Word], passage: PreparedPassage, section: PreparedSection) -> str:
    if not passage.passage.labels:
        return ""
    runs = " " + " ".join(word.stem for word in words) + " "
    own = passage.label_text
    if any(f" {each} " in runs for each in own):
        return ""
    stems = {word.stem for word in words}
    for label in section.labels.get(passage.passage.above, frozenset()) - own:
        if f" {label} " not in runs or any(f" {label} " in f" {each} " for each in own):
            continue
        if " " in label or stems.isdisjoint(passage.label):
            return label
    return ""


def best_quote(sentence: str, section: str | PreparedSection) -> Quote | None:
    ready = prepared(section) if isinstance(section, str) else section
    candidates = [(agreement, each) for agreement, conflict, each in judged(sentence, ready) if not conflict]
    if not candidates:
        return None
    agreement, best = max(candidates, key=lambda pair: pair[0])
    return Quote(best.passage.text, agreement) if agreement >= SHOWN else None
