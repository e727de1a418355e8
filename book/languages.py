"""Which language a text is in, where nobody says: by its script and its stop words."""

from collections.abc import Sequence

from django.conf.locale import LANG_INFO
from django.db import connection

from book.words import CONFIGURATIONS, UNSTEMMED, configuration_of, searchable

# Of a text's words; in every language that has a list of them they are more.
STOP_WORDS_SHARE = 0.15

LAST_LATIN = "\u0250"
# Languages that are written in other letters; PostgreSQL takes Latin words in them for English.
OTHER_SCRIPTS = {
    *("am", "ar", "be", "bg", "bn", "ckb", "el", "fa", "he", "hi", "hy", "ja", "ka", "kk", "km"),
    *("kn", "ko", "ky", "mk", "ml", "mn", "mr", "my", "ne", "os", "pa", "ru", "sr", "ta", "te"),
    *("tg", "th", "tt", "udm", "ug", "uk", "ur", "yi", "zh"),
}

# How many words a configuration leaves of each text.
LEFT = """
SELECT number, configuration,
    (SELECT coalesce(sum(cardinality(positions)), 0)
     FROM unnest(to_tsvector(configuration::regconfig, words)) AS word (lexeme, positions, weights))
FROM unnest(%s::text[]) WITH ORDINALITY AS text (words, number),
    unnest(%s::text[]) AS configuration
"""


def base_of(language: str) -> str:
    """`pt` of `pt-BR`."""
    return language.replace("_", "-").partition("-")[0].lower()


def english_name(language: str) -> str:
    """`Portuguese` for `pt-BR`; the tag itself where the language is not known."""
    info = LANG_INFO.get(language.lower()) or LANG_INFO.get(base_of(language)) or {}
    return str(info.get("name", language))


def guess(text: str) -> str:
    """A language of its script whose stop words are many in the text; empty where there is none."""
    likely = ["en", *(each for each in CONFIGURATIONS if each != "en")]
    candidates = [each for each in likely if (each not in OTHER_SCRIPTS) == is_latin(text)]
    (left,) = _words_left([text], [*map(configuration_of, candidates), UNSTEMMED])
    best = min(candidates, key=lambda each: left[configuration_of(each)])
    all_words = left[UNSTEMMED]
    enough = left[configuration_of(best)] <= (1 - STOP_WORDS_SHARE) * all_words
    return best if enough and all_words else ""


def guess_among(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """For each text one of the languages: of its script, with most stop words, the first one."""
    configurations = [configuration_of(each) for each in languages]
    return [
        min(
            languages,
            key=lambda each: (
                (base_of(each) in OTHER_SCRIPTS) == is_latin(text),
                left[configuration_of(each)],
            ),
        )
        for text, left in zip(texts, _words_left(texts, configurations), strict=True)
    ]


def is_latin(text: str) -> bool:
    """Whether most of its letters are Latin ones."""
    letters = [each for each in text if each.isalpha()]
    return 2 * sum(each < LAST_LATIN for each in letters) >= len(letters)


def _words_left(texts: Sequence[str], configurations: Sequence[str]) -> list[dict[str, int]]:
    left: list[dict[str, int]] = [{} for _ in texts]
    with connection.cursor() as cursor:
        cursor.execute(LEFT, [[searchable(text) for text in texts], sorted({*configurations})])
        for number, configuration, words in cursor.fetchall():
            left[number - 1][configuration] = words
    return left
