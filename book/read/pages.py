"""What reading a book gives, and what can go wrong with all of it."""

from dataclasses import dataclass
from hashlib import sha256

# Changes with the code that makes sections of a page: unchanged bytes are then read anew.
READER = "1"


@dataclass(frozen=True, slots=True)
class Validators:
    """How a later run notices that a page is the same.

    `etag` and `last_modified` are a server's, empty where there are none; `digest` is of the raw
    bytes, and of the code that read them.
    """

    etag: str = ""
    last_modified: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ReadSection:
    """A heading and what stands under it, up to the next heading.

    `heading_path` begins with the page's title and ends with the section's own heading, in plain
    text. `anchor` is the id in the page that the section begins at, empty for the page's start.
    `level` is the heading's, 1 to 6. `text` is Markdown, without the heading.
    """

    heading_path: tuple[str, ...]
    anchor: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page with its sections in their order.

    `url` is its public address, without a fragment; only a path (`/chapter-1`) where the book's own
    address is unknown. `language` is a BCP 47 tag, or empty.
    """

    url: str
    title: str
    language: str
    sections: tuple[ReadSection, ...]
    validators: Validators


@dataclass(frozen=True, slots=True)
class UnchangedPage:
    """A page that is as it was, or that could not be read this time and is kept."""

    url: str


class SourceError(Exception):
    """The book as a whole could not be read; the message is one sentence for a person."""


class PageError(Exception):
    """One page could not be read; the message is the end of a sentence: "it has no text"."""


def digest_of(raw: bytes) -> str:
    return f"{READER}-{sha256(raw).hexdigest()}"


def is_by_this_reader(validators: Validators) -> bool:
    return validators.digest.startswith(f"{READER}-")
