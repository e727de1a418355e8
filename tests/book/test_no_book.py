"""Before a book is indexed."""

import pytest

from tests.helpers.commands import manage


@pytest.mark.parametrize("path", ["/book", "/book/search?q=nodes", "/book/sections/1"])
def test_the_calls_answer_404(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_search_in_the_terminal_says_what_to_do(environment, model):
    done = manage("search_book", "anything", **environment)

    assert done.returncode == 1
    assert done.stderr.strip().endswith("No book is indexed. Run manage.py index_book.")
