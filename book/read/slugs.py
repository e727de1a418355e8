"""The ids that generators give to headings."""

import re
import unicodedata
from collections.abc import Callable

KEPT_BY_GITHUB = ("L", "M", "Nd", "Nl", "Pc")  # Unicode's categories: letters, marks, digits, "_"


def github_slug(text: str) -> str:
    """As Docusaurus makes them, and most others, after github-slugger."""
    kept = (each for each in text.lower() if each in " -" or _is_kept(each))
    return "".join(kept).replace(" ", "-")


def python_markdown_slug(text: str) -> str:
    """As MkDocs makes them, after Python-Markdown: ASCII alone."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = re.sub(r"[^\w\s-]", "", ascii_text).strip().lower()
    return re.sub(r"[-\s]+", "-", kept)


def _is_kept(each: str) -> bool:
    return unicodedata.category(each).startswith(KEPT_BY_GITHUB)


class Ids:
    """The ids of one page, each once; a repeated one gets a number after the separator."""

    def __init__(self, slug: Callable[[str], str], separator: str) -> None:
        self._slug, self._separator = slug, separator
        self._taken: dict[str, int] = {}

    def take(self, name: str) -> str:
        """One that the author gave."""
        self._taken.setdefault(name, 0)
        return name

    def of(self, heading: str) -> str:
        slug = found = self._slug(heading)
        while found in self._taken or not found:
            self._taken[slug] = self._taken.get(slug, 0) + 1
            found = f"{slug}{self._separator}{self._taken[slug]}"
        return self.take(found)
