"""Which sentence of a section supports what an answer says, how well, and whether quotations are true.

No model is asked: words that agree make the score, the rare ones, numbers and names more than
others; and what differs in a number, a name or a negation does not support it at all. What was
measured is in docs/performance.md.
"""

import re
from collections.abc import Iterable, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from book.compared import (
    PreparedPassage,
    PreparedSection,
    groups_of,
    is_english,
    prepared,
    short_words,
)
from book.conflicts import Conflict, conflict, is_same_number
from book.quotations import contains, quotations
from book.sentence_words import Word, count_negations, fold, turning_words, words_of_sentence

__all__ = ["PreparedSection", "Quote", "best_quote", "contains", "is_supported", "prepared"]
__all__ += ["quotations"]

SHOWN = 0.33  # a lower score is no support
NOT_WORD_BY_WORD = 0.79
OTHER_LANGUAGE = 0.6
# How much a word counts that is not in the passage itself.
SYNONYM, CARRIED, NEARBY, NAME_NEARBY = 0.8, 0.7, 0.5, 0.3
NEARLY, MOSTLY, ALMOST_ALL, WHOLE = 0.9, 0.7, 0.9, 0.8
NAME_WEIGHT, NUMBER_WEIGHT, COMMON_DISCOUNT = 1.5, 2.0, 0.5
SAME_LANGUAGE = 0.25  # share of short words that the section has, too
SHORTEST_SHARED = 4  # letters of a word that counts although the languages differ


class Quote(NamedTuple):
    """`text` is a verbatim part of a section's Markdown: a sentence, a row, a line of code.

    `score` says how well it supports a sentence, from 0 to 1; 0.8 and more means word by word.
    """

    text: str
    score: float


class _Candidate(NamedTuple):
    agreement: float
    passage: PreparedPassage
    acronyms: Set[int]


def best_quote(sentence: str, section: str | PreparedSection) -> Quote | None:
    """The passage that supports the sentence best; None where none does well enough to be shown.

    Give a section as `prepared(text, heading_path)` where its headings are known: a sentence often
    has names that only they have.
    """
    ready = prepared(section) if isinstance(section, str) else section
    words = _named(_words(sentence), ready)
    if not words:
        return None
    if _is_other_language(sentence, ready):
        return _best_in_other_language(words, ready)
    weights = [_weight(word, ready) for word in words]
    candidates = [_candidate(words, weights, passage, ready) for passage in ready.passages]
    candidates.sort(key=lambda each: -each.agreement)
    differing: list[tuple[float, Conflict]] = []
    for each in candidates:
        if each.agreement < SHOWN:
            break
        found = conflict(words, each.passage, ready, each.acronyms)
        if found is None:
            if _is_turned(sentence, words, each) or _is_pieced_together(words, each, ready):
                break
            if _is_contradicted(words, each, differing, candidates, ready):
                break
            return Quote(each.passage.passage.text, _score(sentence, words, each))
        differing.append((each.agreement, found))
    return None


def is_supported(sentence: str, sections: Iterable[str | PreparedSection]) -> bool:
    """Whether one of the sections has a passage that supports the sentence."""
    return any(best_quote(sentence, section) for section in sections)


@lru_cache(256)
def _words(sentence: str) -> tuple[Word, ...]:
    return words_of_sentence(sentence)


def _named(words: tuple[Word, ...], section: PreparedSection) -> tuple[Word, ...]:
    """Words that the section has as names are names; so is an unknown subject without article."""
    return tuple(
        word._replace(is_name=True)
        if not word.is_name
        and (
            (word.stem in section.names and word.surface[0].isupper())
            or (word.is_subject and word.stem not in section.stems and not groups_of(word.stem))
        )
        else word
        for word in words
    )


# Agreement ----------------------------------------------------------------------------------
def _candidate(
    words: Sequence[Word],
    weights: Sequence[float],
    passage: PreparedPassage,
    section: PreparedSection,
) -> _Candidate:
    acronyms = _spelled_out(words, passage)
    agreed = 0.0
    for at, word in enumerate(words):
        if word.stem in passage.stems or at in acronyms:
            agreed += weights[at]
        elif word.value is not None or word.stem in section.stems or groups_of(word.stem):
            agreed += weights[at] * _share(word, passage, section)
    return _Candidate(agreed / sum(weights), passage, acronyms)


def _weight(word: Word, section: PreparedSection) -> float:
    common = section.stems.get(word.stem, 0) / max(len(section.blocks), 3)
    base = NUMBER_WEIGHT if word.value is not None else NAME_WEIGHT if word.is_name else 1.0
    return base * (1 - COMMON_DISCOUNT * min(common, 1))


def _share(word: Word, passage: PreparedPassage, section: PreparedSection) -> float:
    stem = word.stem
    if stem in passage.stems:
        return 1
    if word.value is not None:
        return float(any(is_same_number(word, number) for number in passage.numbers))
    groups = groups_of(stem)
    if groups and not groups.isdisjoint(passage.groups):
        return SYNONYM
    if stem in passage.carried:
        return CARRIED
    at = passage.passage
    if stem in passage.label or stem in section.blocks[at.block] or stem in _above(at.above, section):
        return NAME_NEARBY if word.is_name and stem not in section.topics else NEARBY
    return 0


def _above(block: int, section: PreparedSection) -> Set[str]:
    return section.blocks.get(block, frozenset())


def _spelled_out(words: Sequence[Word], passage: PreparedPassage) -> Set[int]:
    """The places of words whose initials are an acronym there: language model, LLM."""
    if not passage.acronyms:
        return frozenset()
    found: set[int] = set()
    initials = "".join(fold(word.surface[0]) for word in words)
    for acronym in passage.acronyms:
        for letters in (acronym, acronym[1:]):
            at = initials.find(letters) if len(letters) > 1 else -1
            if at >= 0 and not any(word.is_name for word in words[at : at + len(letters)]):
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
    words: Sequence[Word], best: _Candidate, section: PreparedSection
) -> bool:
    """Whether a sentence of one clause has words from here and there: it may join what is not one."""
    if best.agreement >= MOSTLY or words[-1].clause > 0:
        return False
    return any(
        word.value is None
        and word.stem in section.stems
        and word.stem not in section.topics
        and not _share(word, best.passage, section)
        for word in words
    )


def _is_contradicted(
    words: Sequence[Word],
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
    numbers = [word for word in words if word.value is not None and word.noun]
    if not numbers:
        return False
    others = [word for word in words if word.value is None]
    without = sum(_share(word, best.passage, section) for word in others)
    return any(
        sum(_share(word, each.passage, section) for word in others) > without
        and any(
            number.noun == word.noun and number.value != word.value
            for word in numbers
            for number in each.passage.numbers
        )
        for each in candidates
    )


def _score(sentence: str, words: Sequence[Word], best: _Candidate) -> float:
    if _is_word_by_word(words, best.passage) and count_negations(sentence) == best.passage.negations:
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
def _is_other_language(sentence: str, section: PreparedSection) -> bool:
    own = short_words(sentence)
    if is_english(own) and is_english(section.short_words):
        return False
    if len(own) < 2 and sentence.isascii():
        return False
    return len(own & section.short_words) < SAME_LANGUAGE * len(own) or not own


def _best_in_other_language(words: Sequence[Word], section: PreparedSection) -> Quote | None:
    """By numbers, names in code and words that both languages have; the rest cannot agree."""
    telling = [word for word in words if _tells(word, section)]
    weights = {word: _weight(word, section) for word in telling}
    best: Quote | None = None
    for passage in section.passages:
        agreeing = [word for word in telling if _share(word, passage, section) == 1]
        if not any(word.stem not in section.topics for word in agreeing) and len(agreeing) < 2:
            continue
        if any(conflict([word], passage, section, frozenset()) for word in telling):
            continue
        score = OTHER_LANGUAGE * sum(weights[word] for word in agreeing) / sum(weights.values())
        if score >= SHOWN and (best is None or score > best.score):
            best = Quote(passage.passage.text, score)
    return best


def _tells(word: Word, section: PreparedSection) -> bool:
    if word.value is not None or (word.is_name and not word.surface[1:].islower()):
        return True
    return word.stem in section.stems and len(word.surface) >= SHORTEST_SHARED
