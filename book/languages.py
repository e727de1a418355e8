"""Which language a text is in, where nobody says: by its script and its stop words."""

from collections.abc import Sequence

from django.conf.locale import LANG_INFO
from django.db import connection

from book.words import CONFIGURATIONS, UNSTEMMED, configuration_of, searchable

# Of a text's words; in every language that has a list of them they are more.
STOP_WORDS_SHARE = 0.15

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
    """A language whose stop words are many in the text; empty where there is none."""
    configurations = {name: language for language, name in CONFIGURATIONS.items()}
    (left,) = _words_left([text], [*configurations, UNSTEMMED])
    best = min(left, key=lambda name: left[name])
    enough = left[best] <= (1 - STOP_WORDS_SHARE) * left[UNSTEMMED]
    return configurations[best] if enough and left[UNSTEMMED] else ""


def guess_among(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """For each text one of the languages; the first one where nothing tells."""
    configurations = [configuration_of(each) for each in languages]
    return [
        _guess_among(text, languages, left)
        for text, left in zip(texts, _words_left(texts, configurations), strict=True)
    ]


def _guess_among(text: str, languages: Sequence[str], left: dict[str, int]) -> str:
    foreign = not any("a" <= letter <= "z" for letter in text.casefold())

    def rank(language: str) -> tuple[int, bool]:
        # In a script of its own, a language without stop words is likelier than one with Latin's.
        return left[configuration_of(language)], foreign and base_of(language) in LATIN

    return min(languages, key=rank)


# Languages with stop words that are written in Latin letters.
LATIN = {*CONFIGURATIONS} - {"ar", "el", "hi", "hy", "ne", "ru", "sr", "ta", "yi"}


def _words_left(texts: Sequence[str], configurations: Sequence[str]) -> list[dict[str, int]]:
    left: list[dict[str, int]] = [{} for _ in texts]
    with connection.cursor() as cursor:
        cursor.execute(LEFT, [[searchable(text) for text in texts], list(set(configurations))])
        for number, configuration, words in cursor.fetchall():
            left[number - 1][configuration] = words
    return left
