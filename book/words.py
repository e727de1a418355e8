"""Words as they are searched: the same for what the book says and for what readers ask."""

import re
import unicodedata
import zlib
from collections.abc import Collection, Iterable, Set

# Text search configurations of PostgreSQL 15 and later, by the language (ISO 639-1). A language
# that has none is not stemmed.
CONFIGURATIONS = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
UNSTEMMED = "simple"

# Invisible (joiners, soft hyphens, direction marks), and marks that many leave out: accents, the
# vowels of Arabic and Hebrew.
LEFT_OUT = re.compile(
    "[\u00ad\u034f\u0640\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]"
)
# A run of letters with the marks that belong to them, or a number: so that `ROS2`, `ROS 2` and
# `ros_2` are the same words, and `cmd_vel` is found by each of its parts.
WORD = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f])*|\d+(?:[.,]\d+)*"
)
# Written without spaces between words: searched by pairs of letters.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")

SHINGLE_WORDS = 4
SKETCH_SIZE = 32


def configuration_of(language: str) -> str:
    """A text search configuration for a language tag (BCP 47) such as `pt-BR`."""
    return CONFIGURATIONS.get(re.split("[-_]", language.lower())[0], UNSTEMMED)


def words_of(text: str) -> list[str]:
    """Letters without accents and in lower case; numbers; of unspaced scripts pairs of letters."""
    folded = LEFT_OUT.sub("", unicodedata.normalize("NFKD", text))
    folded = unicodedata.normalize("NFC", folded).casefold()
    return [piece for word in WORD.findall(folded) for piece in _pieces(word)]


def _pieces(word: str) -> Iterable[str]:
    if not UNSPACED.search(word):
        return [word]
    return [part for run in _runs(word) for part in run]


def _runs(word: str) -> Iterable[list[str]]:
    end = 0
    for found in UNSPACED.finditer(word):
        if found.start() > end:
            yield [word[end : found.start()]]
        letters, end = found[0], found.end()
        yield [letters[at : at + 2] for at in range(max(1, len(letters) - 1))]
    if end < len(word):
        yield [word[end:]]


def searchable(text: str) -> str:
    """`text` for PostgreSQL's `to_tsvector`: its words alone."""
    return " ".join(words_of(text))


# Near-duplicates ----------------------------------------------------------------------------
def sketch(text: str) -> list[int]:
    """The smallest hashes of the text's runs of four words; few words give few of them."""
    words = words_of(text)
    runs = {
        " ".join(words[at : at + SHINGLE_WORDS])
        for at in range(max(1, len(words) - SHINGLE_WORDS + 1))
    }
    return sorted({zlib.crc32(run.encode()) for run in runs})[:SKETCH_SIZE]


def are_alike(one: Set[int | str], other: Set[int | str], least: float) -> bool:
    """Whether two sketches (of numbers, or those written as text) have at least that `likeness`;
    most have nothing in common.
    """
    if one.isdisjoint(other):
        return False
    common = len(one & other)
    return common >= least * max(len(one), len(other)) and likeness(one, other) >= least


def likeness(one: Collection[int | str], other: Collection[int | str]) -> float:
    """About how much of two texts' runs of words is common to both, from 0 to 1."""
    ours, theirs = {*map(int, one)}, {*map(int, other)}
    smallest = sorted(ours | theirs)[:SKETCH_SIZE]
    if not smallest:
        return 0
    return len(ours & theirs & {*smallest}) / len(smallest)
