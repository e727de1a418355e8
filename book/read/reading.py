"""One run over a book: what an earlier run knew of it, and what went wrong."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from book.read.pages import UnchangedPage, Validators, digest_of, is_by_this_reader


@dataclass(frozen=True)
class Reading:
    """`known` maps the addresses of the pages of an earlier run, in their order, to validators."""

    known: Mapping[str, Validators]
    on_problem: Callable[[str], None]

    def validators(self, url: str) -> Validators | None:
        """What the server may be asked about; None: the page is to be read in any case."""
        found = self.known.get(url)
        return found if found and is_by_this_reader(found) else None

    def is_unchanged(self, url: str, raw: bytes) -> bool:
        found = self.known.get(url)
        return found is not None and found.digest == digest_of(raw)

    def failed(self, url: str, why: object, name: str = "") -> Iterator[UnchangedPage]:
        """Reports it; the page as it was, where an earlier run knew it."""
        if url in self.known:
            self.on_problem(f"{name or url} stays as it was, because {why}.")
            yield UnchangedPage(url)
        else:
            self.on_problem(f"{name or url} was left out, because {why}.")
