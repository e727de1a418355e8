"""What reading a book gives: pages with their sections."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Validators:
    etag: str
    last_modified: str
    digest: str


@dataclass(frozen=True, slots=True)
class ReadSection:
    heading_path: tuple[str, ...]
    anchor: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class ReadPage:
    url: str
    title: str
    language: str
    sections: tuple[ReadSection, ...]
    validators: Validators


@dataclass(frozen=True, slots=True)
class UnchangedPage:
    url: str


class SourceError(Exception):
    """The whole reading failed; one sentence."""


def read_book(
    source: str,
    *,
    book_url: str = "",
    known: Mapping[str, Validators] = {},
    on_problem: Callable[[str], None],
) -> Iterator[ReadPage | UnchangedPage]:
    raise NotImplementedError
