from collections.abc import Iterator

import pytest

from book import index as indexing
from tests.helpers.indexed_book import (
    BOOK_SETTINGS,
    RecordingObserver,
    write_questions,
    written,
)
from tests.helpers.website import Website, website


@pytest.fixture
def observer():
    return RecordingObserver()


@pytest.fixture
def book(tmp_path):
    """A folder of Markdown: two pages with five sections."""
    return written(tmp_path / "book")


@pytest.fixture
def models(settings, ask_llm, model):
    """The scripted model writes questions and embeds."""
    for name, value in BOOK_SETTINGS.items():
        setattr(settings, name, value)
    model.decides(write_questions)
    return model


@pytest.fixture
def index(book, models, observer, db):
    """Indexes the folder in this process; returns the run's result."""

    def run(source=None, **options):
        return indexing.run(str(source or book), observer, **options)

    return run


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
