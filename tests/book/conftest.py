from collections.abc import Iterator

import pytest

from tests.helpers.website import Website, website


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as running:
        yield running


@pytest.fixture
def problems() -> list[str]:
    """The sentences about what was left out or kept."""
    return []
