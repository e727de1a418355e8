"""What the rules of every generator need of a folder of Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

SUFFIXES = (".md", ".mdx", ".markdown")
INDEXES = ("index", "readme")


@dataclass(frozen=True)
class MarkdownFile:
    path: PurePosixPath  # relative to the folder of the texts
    matter: Mapping[str, Any]  # what stands in YAML before its text

    @property
    def is_index(self) -> bool:
        return self.path.stem.lower() in INDEXES


def in_natural_order(text: str) -> list[tuple[int, int | str]]:
    """A key by which chapter-2 comes before chapter-10."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for each in f"{text.lower()}\0":
        if each.isdecimal() and len(digits) < 18:
            digits += each
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, each))
    return parts
