"""Docusaurus' rules: where a file's page is, and in which order its sidebar shows the pages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urljoin

from book.read.folder import bytes_of
from book.read.from_markdown import mapping_of
from book.read.markdown_files import INDEXES, MarkdownFile
from book.read.pages import PageError

# 01-intro and "2. Setup" are numbered; 7.0-foo and 2021-11-foo are a version and a date.
NO_PREFIX = re.compile(r"^\d+[-_.]\d+")
PREFIX = re.compile(r"^(\d+)\s*[-_.]+\s*([^-_.\s].*)$")
CATEGORY_FILES = ("_category_.json", "_category_.yml", "_category_.yaml")


def is_made_with(root: Path, files: Sequence[MarkdownFile]) -> bool:
    """If it or the folder it is in is a project of Docusaurus, or its files use what that knows."""
    return (
        any(is_project(folder) for folder in (root, root.resolve().parent))
        or any(file.path.suffix == ".mdx" or "sidebar_position" in file.matter for file in files)
        or any(
            (root / folder / name).is_file()
            for folder in _folders(files)
            for name in CATEGORY_FILES
        )
    )


def is_project(folder: Path) -> bool:
    return any(folder.glob("docusaurus.config.*"))


def _folders(files: Sequence[MarkdownFile]) -> set[PurePosixPath]:
    return {folder for file in files for folder in file.path.parents}


def is_published(file: MarkdownFile) -> bool:
    hidden = any(part.startswith("_") for part in file.path.parts)
    return not (hidden or file.matter.get("draft") or file.matter.get("unlisted"))


def address_of(file: MarkdownFile) -> str:
    """Relative to where the folder's pages are."""
    folders = [_without_prefix(part)[0] for part in file.path.parent.parts]
    folder = "".join(f"{each}/" for each in folders)
    slug = file.matter.get("slug")
    if isinstance(slug, str) and slug:
        found = urljoin(f"/{folder}", slug)
    elif _is_category_index(file):
        found = f"/{folder}"
    else:
        found = f"/{folder}{_id_of(file)}"
    return quote(found.lstrip("/"), safe="/%")


def _id_of(file: MarkdownFile) -> str:
    given = file.matter.get("id")
    return str(given) if given else _without_prefix(file.path.stem)[0]


def _is_category_index(file: MarkdownFile) -> bool:
    folder = file.path.parent.name.lower()
    return file.path.stem.lower() in (*INDEXES, *([folder] if folder else []))


def _without_prefix(name: str) -> tuple[str, float | None]:
    """A name, and the number in front of it."""
    found = None if NO_PREFIX.match(name) else PREFIX.match(name)
    return (found[2], float(found[1])) if found else (name, None)


@dataclass
class _Folder:
    name: str
    files: list[MarkdownFile]
    folders: dict[str, "_Folder"]


def in_order(root: Path, files: Sequence[MarkdownFile]) -> list[MarkdownFile]:
    top = _Folder("", [], {})
    for file in files:
        folder = top
        for part in file.path.parent.parts:
            folder = folder.folders.setdefault(part, _Folder(part, [], {}))
        folder.files.append(file)
    return _flat(root, PurePosixPath(), top)


def _flat(root: Path, path: PurePosixPath, folder: _Folder) -> list[MarkdownFile]:
    """By position, those without one last, else by name. A folder's own page comes first."""
    items: list[tuple[float, str, list[MarkdownFile]]] = []
    first: list[MarkdownFile] = []
    for file in folder.files:
        if folder.name and not first and _is_category_index(file):
            first = [file]
        else:
            items.append((_position(file), file.path.name, [file]))
    for name, inner in folder.folders.items():
        position = _position_of_folder(root, path / name, inner)
        items.append((position, name, _flat(root, path / name, inner)))
    items.sort(key=lambda item: item[:2])
    return [*first, *(file for item in items for file in item[2])]


def _position(file: MarkdownFile) -> float:
    return _number(file.matter.get("sidebar_position"), _without_prefix(file.path.stem)[1])


def _position_of_folder(root: Path, path: PurePosixPath, folder: _Folder) -> float:
    said = _category(root, path).get("position")
    index = next((file for file in folder.files if _is_category_index(file)), None)
    if index is not None and not isinstance(said, int | float):
        said = index.matter.get("sidebar_position")
    return _number(said, _without_prefix(folder.name)[1])


def _number(said: object, else_number: float | None) -> float:
    if isinstance(said, int | float):
        return float(said)
    return else_number if else_number is not None else float("inf")


def _category(root: Path, path: PurePosixPath) -> Mapping[str, Any]:
    for name in CATEGORY_FILES:
        if (root / path / name).is_file():
            try:
                return mapping_of(bytes_of(root, path / name).decode("utf-8", "replace"))
            except PageError:
                return {}
    return {}
