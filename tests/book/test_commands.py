"""manage.py index_book, search_book, evaluate_search."""

import json
import os
import signal
import subprocess
import sys

import pytest

from book.models import Edition
from tests.helpers import CHECKOUT
from tests.helpers.commands import manage
from tests.helpers.scripted_model import Reply

pytestmark = pytest.mark.usefixtures("stored")


@pytest.fixture
def command(command_environment):
    def run(*arguments):
        return manage(*map(str, arguments), **command_environment)

    return run


def test_a_run_that_is_killed_leaves_the_edition_and_the_next_one_goes_on(
    published, book, models, command, command_environment
):
    (book / "3-arm.md").write_text(
        "# Arm\n\nThe gripper at the end of an arm closes with a force that a motor gives it.\n"
    )
    models.decides(lambda body: Reply(hold=True))
    run = subprocess.Popen(
        [sys.executable, "manage.py", "index_book", book],
        cwd=CHECKOUT,
        env=os.environ | command_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    models.wait_for_requests(1)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()

    assert Edition.objects.current().get().number == 1
    models.decides(lambda body: Reply("What grips?\nWhat closes?"))
    done = command("index_book", book)
    assert done.returncode == 0, done.stderr
    assert "Edition 2 is current: 3 pages, 6 sections, 12 questions." in done.stdout
    assert Edition.objects.current().get().number == 2


def test_a_run_that_fails_says_so_in_a_sentence_and_by_its_status(command, tmp_path):
    done = command("index_book", tmp_path / "nowhere")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "nowhere" in done.stderr


def test_a_folder_that_is_not_the_configured_one_says_whose_address_it_gets(
    command_environment, book
):
    own = {"BOOK_URL": "https://book.example/", "BOOK_SOURCE": str(book)}
    sentence = "addresses begin with BOOK_URL: https://book.example/"

    def dry_run(source):
        return manage("index_book", str(source), "--dry-run", **command_environment | own).stdout

    assert sentence not in dry_run(book)
    assert sentence in dry_run(book / ".." / book.name)


def test_a_source_is_needed(command):
    done = command("index_book")

    assert done.returncode == 1
    assert "BOOK_SOURCE" in done.stderr


def test_search_book_says_what_was_found_by_which_ranking(published, command):
    done = command("search_book", "How do I give a unique name?", "--limit", "1")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1. Nodes: Names\n")
    assert "words 1. (" in done.stdout
    assert "texts 1. (" in done.stdout
    assert "sureness" in done.stdout


def test_evaluate_search_says_which_sections_the_book_does_not_have(published, command, tmp_path):
    questions = tmp_path / "questions.jsonl"
    cases = [
        {"question": "unique name in the graph", "url": "/moved/away"},
        {"question": "best effort drops lost messages", "section": "Names"},
    ]
    questions.write_text("\n".join(map(json.dumps, cases)))

    done = command("evaluate_search", questions)

    assert "not in the book: unique name in the graph" in done.stdout
    assert "not in the book: best effort" not in done.stdout
    assert "not in this edition (1 of 2)" in done.stderr


def test_evaluate_search_gives_figures_and_compares_them(published, command, tmp_path):
    questions, figures = tmp_path / "questions.jsonl", tmp_path / "figures.json"
    cases = [
        {"question": "unique name in the graph", "section": "Names"},
        {"question": "best effort drops lost messages", "url": "#quality-of-service"},
        {"question": "declared with a type", "section": ["Topics"], "group": "wrong"},
        {"question": "How do I bake bread?", "group": "silent"},
    ]
    questions.write_text("\n".join(map(json.dumps, cases)))

    done = command("evaluate_search", questions, "--output", figures)

    assert done.returncode == 0, done.stderr
    assert "all (4 questions): recall@1 0.667" in done.stdout
    for group in ("- (2", "wrong (1", "all (4"):
        (line,) = (each for each in done.stdout.splitlines() if each.startswith(group))
        assert "AUC of sureness 1.000" in line
    assert json.loads(figures.read_text())["recall"]["1"] == pytest.approx(2 / 3)
    assert command("evaluate_search", questions, "--baseline", figures).returncode == 0
    figures.write_text(figures.read_text().replace('"mrr": 0.', '"mrr": 1.'))
    worse = command("evaluate_search", questions, "--baseline", figures)
    assert worse.returncode == 1
    assert "MRR is 0." in worse.stderr
