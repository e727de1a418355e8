from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.test import override_settings

from book import index as indexing
from book import question_vector
from tests.helpers.scripted_model import Reply
from tests.helpers.website import Website, website

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


BOOK_SETTINGS = {
    "EMBEDDING_MODEL": "word-vectors",
    "BOOK_QUESTIONS": 2,
    "BOOK_URL": "https://book.example/docs/",
}


class RecordingObserver:
    def __init__(self):
        self.notes, self.warnings, self.done = [], [], {}

    def note(self, sentence):
        self.notes.append(sentence)

    def warn(self, sentence):
        self.warnings.append(sentence)

    @contextmanager
    def progress(self, what, total):
        def advance(more):
            self.done[what] = self.done.get(what, 0) + more

        yield advance


@pytest.fixture(autouse=True)
def _no_remembered_questions():
    """Each test's questions are embedded, also those that an earlier one has asked."""
    question_vector._remembered.clear()


@pytest.fixture
def observer():
    return RecordingObserver()


@pytest.fixture
def book(tmp_path):
    """A folder of Markdown: two pages with five sections."""
    return written(tmp_path / "book")


def written(folder):
    folder.mkdir()
    (folder / "1-nodes.md").write_text(NODES)
    (folder / "2-topics.md").write_text(TOPICS)
    return folder


@pytest.fixture
def models(settings, ask_llm, model):
    """The scripted model writes questions and embeds."""
    for name, value in BOOK_SETTINGS.items():
        setattr(settings, name, value)
    model.decides(write_questions)
    return model


def write_questions(body):
    return Reply(questions_about(body["messages"][0]["content"]))


def questions_about(prompt):
    """Two questions that name the section's heading."""
    fence = prompt.splitlines()[-1]
    path = prompt.split(f"\n{fence}\n")[1].splitlines()[0]
    heading = path.rpartition(" > ")[2]
    return f"Here you are:\n1. What would a beginner ask about {heading}?\n- Why {heading}?\nBye."


@pytest.fixture
def index(book, models, observer, db):
    """Indexes the folder in this process; returns the run's result."""

    def run(source=None, **options):
        return indexing.run(str(source or book), observer, **options)

    return run


@pytest.fixture(scope="module")
def published(_model, django_db_setup, django_db_blocker, tmp_path_factory):
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


def empty_tables():
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE book_edition, book_section, book_question_set, book_lexeme CASCADE"
        )


@pytest.fixture
def command_environment(environment, models):
    """What commands run with."""
    return environment | {name: str(value) for name, value in BOOK_SETTINGS.items()}


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as running:
        yield running


@pytest.fixture
def problems() -> list[str]:
    """The sentences about what was left out or kept."""
    return []
