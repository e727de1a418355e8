"""Which sentence of a section supports what an answer says, and how well.

No model is asked: words that agree make the score, the rare ones, numbers and names more than
others; and what differs in a number, a name or a negation does not support it at all. What was
measured is in docs/performance.md.
"""

from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from book.quotes.compared import (
    PreparedPassage,
    PreparedSection,
    groups_of,
    is_english,
    prepared,
    short_words,
)
from book.quotes.conflicts import Conflict, conflict, is_same_number
from book.quotes.quotations import contains, quotations
from book.quotes.sentence_words import Word, count_negations, fold, turning_words, words_of_sentence

__all__ = ["PreparedSection", "Quote", "best_quote", "contains", "is_supported", "prepared"]
__all__ += ["quotations"]

SHOWN = 0.33  # a lower score is no support
NOT_WORD_BY_WORD = 0.79
OTHER_LANGUAGE = 0.6
# How much a word counts that is not in the passage itself.
SYNONYM, CARRIED, NEARBY, NAME_NEARBY = 0.8, 0.7, 0.5, 0.3
NEARLY, MOSTLY, ALMOST_ALL, WHOLE = 0.9, 0.7, 0.9, 0.8
NAME_WEIGHT, NUMBER_WEIGHT, COMMON_DISCOUNT = 1.5, 2.0, 0.5
ENOUGH_IN_COMMON = 2.0  # weight: a name and a word, or three words
SAME_LANGUAGE = 0.25  # share of short words that the section has, too
LONGEST_SENTENCE = 1000  # characters: what follows them does not count
SHORTEST_SHARED = 4  # letters of a word that counts although the languages differ


class Quote(NamedTuple):
    """`text` is a verbatim part of a section's Markdown: a sentence, a row, a line of code.

    `score` says how well it supports a sentence, from 0 to 1; 0.8 and more means word by word.
    """

    text: str
    score: float


class _Asked(NamedTuple):
    word: Word
    stem: str
    weight: float
    groups: frozenset[str]
    may_agree: bool  # with a passage that does not have it


class _Candidate(NamedTuple):
    agreement: float
    passage: PreparedPassage
    acronyms: Set[int]


@lru_cache(512)
def best_quote(sentence: str, section: str, heading_path: tuple[str, ...] = ()) -> Quote | None:
    """The passage that supports the sentence best; None where none does well enough to be shown.

    Give a section's headings where they are known: a sentence often has names that only they have.
    It is looked for as an answer grows, and again at its end: hence the cache.
    """
    ready = prepared(section, heading_path)
    words = _named(_words(sentence[:LONGEST_SENTENCE]), ready)
    if not words:
        return None
    if _is_other_language(words, sentence, ready):
        return _best_in_other_language(words, ready)
    asked = _asked(words, ready)
    total = sum(each.weight for each in asked)
    if not ready.has_acronyms:  # which stand for words that are not there
        most = sum(each.weight for each in asked if each.may_agree)
        if most < SHOWN * total:
            return None
    candidates = [_candidate(asked, total, passage, ready) for passage in ready.passages]
    candidates.sort(key=_by_agreement, reverse=True)
    differing: list[tuple[float, Conflict]] = []
    for each in candidates:
        if each.agreement < SHOWN:
            break
        found = conflict(words, each.passage, ready, each.acronyms)
        if found is None:
            if _is_turned(sentence, words, each) or _is_pieced_together(asked, each, ready):
                break
            if _is_contradicted(asked, each, differing, candidates, ready):
                break
            return Quote(each.passage.passage.text, _score(sentence, words, each))
        differing.append((each.agreement, found))
    return None


def _by_agreement(candidate: _Candidate) -> float:
    return candidate.agreement


def is_supported(sentence: str, sections: Iterable[tuple[str, tuple[str, ...]]]) -> bool:
    """Whether one of the sections (text, headings) has a passage that supports the sentence."""
    return any(best_quote(sentence, *section) for section in sections)


def nearest_passage(question: str, section: str) -> str:
    """The passage that has most of a question's words, whether or not it answers it. Verbatim.

    Empty where the section has less than half of them.
    """
    ready, words = prepared(section, ()), _words(question)
    known = sum(word.stem in ready.stems for word in words)
    if not ready.passages or 2 * known < len(words):
        return ""
    nearest = max(
        ready.passages,
        key=lambda each: sum(_weight(word, ready) for word in words if word.stem in each.stems),
    )
    return nearest.passage.text


@lru_cache(256)
def _words(sentence: str) -> tuple[Word, ...]:
    return words_of_sentence(sentence)


def _named(words: tuple[Word, ...], section: PreparedSection) -> tuple[Word, ...]:
    """Words that the section has as names are names; so is an unknown subject without article."""
    return tuple(
        (
            word._replace(is_name=True)
            if not word.is_name
            and (
                (word.stem in section.names and word.surface[0].isupper())
                or (word.is_subject and word.stem not in section.stems and not groups_of(word.stem))
            )
            else word
        )
        for word in words
    )


# Agreement ----------------------------------------------------------------------------------
def _candidate(
    asked: Sequence[_Asked], total: float, passage: PreparedPassage, section: PreparedSection
) -> _Candidate:
    acronyms = _spelled_out(asked, passage)
    stems, agreed = passage.stems, 0.0
    for at, each in enumerate(asked):
        if each.stem in stems or at in acronyms:
            agreed += each.weight
        elif each.may_agree:
            agreed += each.weight * _share(each, passage, section)
    return _Candidate(agreed / total, passage, acronyms)


def _asked(words: Sequence[Word], section: PreparedSection) -> list[_Asked]:
    return [
        _Asked(
            word,
            word.stem,
            _weight(word, section),
            groups := groups_of(word.stem),
            word.value is not None
            or word.stem in section.stems
            or not groups.isdisjoint(section.groups),
        )
        for word in words
    ]


def _weight(word: Word, section: PreparedSection) -> float:
    common = section.stems.get(word.stem, 0) / max(len(section.blocks), 3)
    base = NUMBER_WEIGHT if word.value is not None else NAME_WEIGHT if word.is_name else 1.0
    return base * (1 - COMMON_DISCOUNT * min(common, 1))


def _share(asked: _Asked, passage: PreparedPassage, section: PreparedSection) -> float:
    """How much of a word's weight agrees, from 0 to 1."""
    word, stem = asked.word, asked.stem
    if stem in passage.stems:
        return 1
    if word.value is not None:
        return float(any(is_same_number(word, number) for number in passage.numbers))
    if not asked.groups.isdisjoint(passage.groups):
        return SYNONYM
    if stem in passage.carried:
        return CARRIED
    at = passage.passage
    if (
        stem in passage.label
        or stem in section.blocks[at.block]
        or stem in _above(at.above, section)
    ):
        return NAME_NEARBY if word.is_name and stem not in section.topics else NEARBY
    return 0


def _above(block: int, section: PreparedSection) -> Set[str]:
    return section.blocks.get(block, frozenset())


def _spelled_out(asked: Sequence[_Asked], passage: PreparedPassage) -> Set[int]:
    """The places of words whose initials are an acronym there: language model, LLM."""
    if not passage.acronyms:
        return frozenset()
    found: set[int] = set()
    initials = "".join(fold(each.word.surface[0]) for each in asked)
    for acronym in passage.acronyms:
        for letters in (acronym, acronym[1:]):
            at = initials.find(letters) if len(letters) > 1 else -1
            if at >= 0 and not any(each.word.is_name for each in asked[at : at + len(letters)]):
                found.update(range(at, at + len(letters)))
                break
    return found


def _is_turned(sentence: str, words: Sequence[Word], best: _Candidate) -> bool:
    """Of a sentence that is almost the passage's: whether small words turn what it says."""
    if best.agreement < ALMOST_ALL:
        return False
    here, there = turning_words(sentence), turning_words(best.passage.passage.text)
    said = {word.stem for word in words}
    is_part = len(said & best.passage.stems.keys()) < WHOLE * len(best.passage.stems)
    return bool(here - there) or (not is_part and here != there)


def _is_pieced_together(
    asked: Sequence[_Asked], best: _Candidate, section: PreparedSection
) -> bool:
    """Whether a sentence of one clause has words from here and there, joined by nobody else."""
    if best.agreement >= MOSTLY or asked[-1].word.clause > 0:
        return False
    return any(
        each.word.value is None
        and each.stem in section.stems
        and each.stem not in section.topics
        and not _share(each, best.passage, section)
        for each in asked
    )


def _is_contradicted(
    asked: Sequence[_Asked],
    best: _Candidate,
    differing: Sequence[tuple[float, Conflict]],
    candidates: Sequence[_Candidate],
    section: PreparedSection,
) -> bool:
    """Whether a passage that agrees more says something else of what the best one is silent on."""
    agreeing = best.passage.stems.keys()
    for agreement, found in differing:
        is_settled = found.kind in ("negation", "opposite") and found.stems <= agreeing
        if is_settled and best.agreement >= NEARLY * agreement:
            continue
        if not found.is_absence:
            return True
    numbers = [each.word for each in asked if each.word.noun]
    if not numbers:
        return False
    others = [each for each in asked if each.word.value is None]
    without = sum(_share(each, best.passage, section) for each in others)
    return any(
        sum(_share(other, each.passage, section) for other in others) > without
        and any(
            number.noun == word.noun and number.value != word.value
            for word in numbers
            for number in each.passage.numbers
        )
        for each in candidates
    )


def _score(sentence: str, words: Sequence[Word], best: _Candidate) -> float:
    if (
        _is_word_by_word(words, best.passage)
        and count_negations(sentence) == best.passage.negations
    ):
        return min(best.agreement, 1.0)
    return min(best.agreement, NOT_WORD_BY_WORD)


def _is_word_by_word(words: Sequence[Word], passage: PreparedPassage) -> bool:
    """Whether all words stand there, in their order and in no more clauses."""
    there, clauses = iter(passage.words), set()
    for word in words:
        alike = (each for each in there if _is_same(word, each))
        found = next(alike, None)
        if found is None:
            return False
        clauses.add(found.clause)
    return len(clauses) <= len({word.clause for word in words})


def _is_same(one: Word, other: Word) -> bool:
    if one.value is not None:
        return is_same_number(one, other)
    if one.is_negated != other.is_negated:
        return False
    if one.is_name or other.is_name:
        return _name_of(one) == _name_of(other)
    return one.stem == other.stem


def _name_of(word: Word) -> str:
    return fold(word.surface).replace("’", "'").removesuffix("'s").removesuffix("s")


# Other languages ----------------------------------------------------------------------------
def _is_other_language(words: Sequence[Word], sentence: str, section: PreparedSection) -> bool:
    own = short_words(sentence)
    if is_english(section.short_words):
        unknown = sum(word.stem not in section.stems for word in words)
        return not is_english(own) and 2 * unknown >= len(words)
    return len(own & section.short_words) < SAME_LANGUAGE * len(own) or not own


def _best_in_other_language(words: Sequence[Word], section: PreparedSection) -> Quote | None:
    """By numbers, names in code and words that both languages have; the rest cannot agree."""
    words = [word._replace(is_name=word.is_name and not _is_capitalised(word)) for word in words]
    telling = [each for each in _asked(words, section) if _tells(each.word, section)]
    total = sum(each.weight for each in telling)
    best: Quote | None = None
    for passage in section.passages:
        agreeing = [each for each in telling if _share(each, passage, section) == 1]
        if not any(each.stem not in section.topics for each in agreeing) and len(agreeing) < 2:
            continue
        if any(conflict([each.word], passage, section, frozenset()) for each in telling):
            continue
        agreed = sum(each.weight for each in agreeing)
        score = OTHER_LANGUAGE * (agreed / total) * min(agreed / ENOUGH_IN_COMMON, 1)
        if score >= SHOWN and (best is None or score > best.score):
            best = Quote(passage.passage.text, score)
    return best


def _is_capitalised(word: Word) -> bool:
    """As some languages write all nouns."""
    return word.surface[0].isupper() and word.surface[1:].islower()


def _tells(word: Word, section: PreparedSection) -> bool:
    if word.value is not None or word.is_name:
        return True
    return word.stem in section.stems and len(word.surface) >= SHORTEST_SHARED
