"""The files of a folder, none from outside of it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from book.read.html import MAX_PAGE_BYTES
from book.read.pages import PageError

MAX_FILES = 100_000


def files_in(
    root: Path, suffixes: tuple[str, ...], on_problem: Callable[[str], None]
) -> Iterator[PurePosixPath]:
    """The files with one of the suffixes, as paths relative to the folder, sorted by folder.

    Hidden ones are left out without a word; links that lead out of the folder with a sentence.
    """
    inside = root.resolve()
    found = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_own(Path(folder, name), on_problem))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or not name.lower().endswith(suffixes):
                continue
            relative = PurePosixPath(path.relative_to(root).as_posix())
            found += 1
            if found > MAX_FILES:
                on_problem(f"The folder has more than {MAX_FILES} pages; the others were left out.")
                return
            if path.resolve().is_relative_to(inside):
                yield relative
            else:
                on_problem(f"{relative} was left out, because it leads out of the folder.")


def _is_own(folder: Path, on_problem: Callable[[str], None]) -> bool:
    if folder.name.startswith(".") or folder.name == "node_modules":
        return False
    if folder.is_symlink():
        on_problem(f"{folder.name} was left out, because it is a link to another folder.")
        return False
    return True


def bytes_of(root: Path, relative: PurePosixPath) -> bytes:
    """A file's content. Raises PageError for what cannot be read, or is too much."""
    try:
        with (root / relative).open("rb") as file:
            raw = file.read(MAX_PAGE_BYTES + 1)
    except OSError as error:
        raise PageError(f"it could not be read ({error.strerror})") from error
    if len(raw) > MAX_PAGE_BYTES:
        raise PageError(f"it has more than {MAX_PAGE_BYTES >> 20} MB")
    return raw
