"""What an answer rests on, as readers get it."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol


class Grounded(Protocol):
    """An answer's evidence, or its stored row."""

    @property
    def grounding(self) -> str: ...
    @property
    def sources(self) -> Iterable[Mapping[str, Any]]: ...
    @property
    def nearest(self) -> Iterable[Mapping[str, Any]]: ...


def grounds(of: Grounded) -> dict[str, Any]:
    """`sources` and `grounding`; where the book is silent the `nearest` sections, too."""
    found = {"sources": [*map(_as_sent, of.sources)], "grounding": of.grounding or None}
    if of.grounding == "silent":
        found["nearest"] = [*map(_as_sent, of.nearest)]
    return found


def _as_sent(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without our own ids."""
    return {name: value for name, value in entry.items() if name != "section_id"}
