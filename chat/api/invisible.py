"""Characters that show nothing: a text of these alone is empty, whatever its length."""

import unicodedata
from functools import lru_cache

# Blanks, line ends, control characters and format characters (zero-width spaces, joiners, marks of
# direction, tags).
CATEGORIES = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
# What Unicode calls Default_Ignorable_Code_Point in other categories: joiners and fillers that are
# letters, variation selectors, places kept free for more of them. And two that are blank in every
# font: the empty Braille cell and the null notehead.
RANGES = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1D159, 0x1D159),
    (0xE0000, 0xE0FFF),
)


def is_blank(text: str) -> bool:
    """Whether no character of `text` shows anything."""
    # A refused request may have a hundred thousand characters, but few kinds of invisible ones.
    return all(map(is_invisible, set(text)))


@lru_cache(8192)
def is_invisible(character: str) -> bool:
    if unicodedata.category(character) in CATEGORIES:
        return True
    code = ord(character)
    return any(first <= code <= last for first, last in RANGES)
