"""In which order pages are read: each leads to the next, as far as they say so."""


class PagesToRead:
    """Addresses or paths that are still to be read, each once.

    What a page names as the next is taken next; where that is read, or unknown, the first of the
    others follows.
    """

    def __init__(self, listed: list[str]) -> None:
        self._waiting = dict.fromkeys(listed)
        self._seen = set(listed)
        self._next = ""

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, page: str) -> None:
        if page not in self._seen:
            self._seen.add(page)
            self._waiting[page] = None

    def suggest(self, page: str) -> None:
        self._next = page

    def take(self, page: str) -> bool:
        """Whether it was not read before; from now on it was."""
        is_new = page in self._waiting or page not in self._seen
        self._seen.add(page)
        self._waiting.pop(page, None)
        return is_new

    def pop(self) -> str | None:
        page = self._next if self._next in self._waiting else next(iter(self._waiting), None)
        self._next = ""
        if page is not None:
            del self._waiting[page]
        return page
