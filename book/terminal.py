"""Text from outside as a terminal may show it."""

import re

# Controls (a terminal obeys ESC and CSI, and CR overwrites the line), line separators, and marks
# that change the direction of writing, by which a line can be made to read differently.
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str) -> str:
    r"""`text` with what a terminal would obey written out (`\x1b`); tabs and line feeds stay."""
    if text.isprintable():  # far cheaper, and usually so
        return text
    return HARMFUL.sub(lambda found: ascii(found[0])[1:-1], text)
