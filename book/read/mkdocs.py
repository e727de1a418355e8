"""MkDocs' rules: where a file's page is, and in which order the navigation shows the pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import yaml

from book.read.folder import bytes_of
from book.read.markdown_files import MarkdownFile
from book.read.pages import PageError, SourceError

CONFIGS = ("mkdocs.yml", "mkdocs.yaml")


class _Loader(yaml.SafeLoader):
    """Lets the tags pass by which mkdocs.yml names Python objects."""


_Loader.add_multi_constructor("", lambda loader, suffix, node: None)


@dataclass(frozen=True)
class MkDocs:
    docs: Path  # the folder of the texts
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, root: Path) -> "MkDocs | None":
        """If the folder, or the one that it is in, has a configuration of MkDocs."""
        for folder in (root, root.resolve().parent):
            for name in CONFIGS:
                if (folder / name).is_file():
                    settings = _settings(folder, name)
                    docs = (folder / str(settings.get("docs_dir", "docs"))).resolve()
                    if not docs.is_relative_to(folder.resolve()) or not docs.is_dir():
                        raise SourceError(f"{name} names a folder of texts that is not there.")
                    if folder == root or docs == root.resolve():
                        return cls(docs, settings)
        return None

    @property
    def site_url(self) -> str:
        said = self.settings.get("site_url")
        return said if isinstance(said, str) else ""

    @property
    def language(self) -> str:
        theme = self.settings.get("theme")
        said = theme.get("language") if isinstance(theme, dict) else None
        return said if isinstance(said, str) else ""

    def address_of(self, file: MarkdownFile) -> str:
        """Relative to the book's address."""
        folder = "".join(f"{part}/" for part in file.path.parent.parts)
        if file.is_index:
            return quote(folder if self._directories else f"{folder}index.html")
        return quote(f"{folder}{file.path.stem}{'/' if self._directories else '.html'}")

    @property
    def _directories(self) -> bool:
        return self.settings.get("use_directory_urls", True) is not False

    def in_order(self, files: Sequence[MarkdownFile]) -> list[MarkdownFile]:
        """As `nav` says; what it does not name follows, by folder, each folder's own page first."""
        waiting = {file.path: file for file in sorted(files, key=_by_folder)}
        listed = [waiting.pop(path) for path in self._navigation() if path in waiting]
        return [*listed, *waiting.values()]

    def _navigation(self) -> Iterator[PurePosixPath]:
        waiting: list[object] = [self.settings.get("nav")]
        for _ in range(100_000):  # YAML may refer to itself
            if not waiting:
                return
            item = waiting.pop()
            if isinstance(item, str):
                yield PurePosixPath(item)
            elif isinstance(item, list):
                waiting += item[::-1]
            elif isinstance(item, dict):
                waiting += [*item.values()][::-1]


def _by_folder(file: MarkdownFile) -> tuple[object, ...]:
    return (len(file.path.parts) > 1, file.path.parent.as_posix(), not file.is_index, file.path)


def _settings(folder: Path, name: str) -> Mapping[str, Any]:
    try:
        found = yaml.load(bytes_of(folder, PurePosixPath(name)), _Loader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError, PageError) as error:
        raise SourceError(f"{name} could not be read.") from error
    return found if isinstance(found, dict) else {}
