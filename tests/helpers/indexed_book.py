"""A small book that is indexed for servers and commands: two pages with five sections."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from book import index as indexing
from tests.helpers.scripted_model import Reply, ScriptedModel
from tests.helpers.server import Server, running_server

NODES = """# Nodes

A node is a process that does one job. Several nodes together make up the software of a robot.

## Names

Each node carries a name that is unique in the graph, such as `camera_driver`, so that others can
address it.

## Parameters

Parameters configure a node while it runs. They are declared with a type and a default value.
"""
TOPICS = """# Topics

Publishers send messages over a topic, and every subscriber of that topic receives each of them.

## Quality of service

Reliable delivery repeats lost messages; best effort drops them, which suits a camera's frames.
"""


BOOK_SETTINGS: dict[str, Any] = {
    "EMBEDDING_MODEL": "word-vectors",
    "BOOK_QUESTIONS": 2,
    "BOOK_URL": "https://book.example/docs/",
}


class RecordingObserver:
    """Keeps what a run of indexing says."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.done: dict[str, int] = {}

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def warn(self, sentence: str) -> None:
        self.warnings.append(sentence)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        def advance(more: int) -> None:
            self.done[what] = self.done.get(what, 0) + more

        yield advance


def written(folder: Path) -> Path:
    """The book as a new folder of Markdown."""
    folder.mkdir()
    (folder / "1-nodes.md").write_text(NODES)
    (folder / "2-topics.md").write_text(TOPICS)
    return folder


def write_questions(body: dict[str, Any]) -> Reply:
    return Reply(questions_about(body["messages"][0]["content"]))


def questions_about(prompt: str) -> str:
    """Two questions that name the section's heading."""
    fence = prompt.splitlines()[-1]
    path = prompt.split(f"\n{fence}\n")[1].splitlines()[0]
    heading = path.rpartition(" > ")[2]
    return f"Here you are:\n1. What would a beginner ask about {heading}?\n- Why {heading}?\nBye."


def empty_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE book_edition, book_section, book_question_set, book_lexeme CASCADE"
        )


@pytest.fixture(scope="module")
def published(
    _model: ScriptedModel,
    django_db_setup: None,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The folder, indexed for servers and commands. All that is stored is deleted in the end."""
    folder = written(tmp_path_factory.mktemp("published") / "book")
    of_model = {"OPENAI_BASE_URL": _model.base_url, "OPENAI_MODEL": "scripted"}
    with django_db_blocker.unblock():
        try:
            with override_settings(**BOOK_SETTINGS, **of_model):
                _model.forget()
                _model.decides(write_questions)
                indexing.run(str(folder), RecordingObserver())
            yield folder
        finally:
            empty_tables()


@pytest.fixture(scope="module")
def book_server(
    environment: dict[str, str], published: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves the folder, without a limit of questions."""
    settings = environment | {"EMBEDDING_MODEL": BOOK_SETTINGS["EMBEDDING_MODEL"]}
    settings |= {"CHAT_RATE": "", "BOOK_URL": BOOK_SETTINGS["BOOK_URL"]}
    with running_server(tmp_path_factory.mktemp("server") / "log", **settings) as running:
        yield running
