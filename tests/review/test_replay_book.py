"""manage.py replay with a book: its excerpts, and what both answers rest on, side by side."""

import pytest
from django.core.management import CommandError, call_command

from book import index as indexing
from book.models import Edition, Section
from review import replay
from review.management.commands import replay as command
from tests.helpers.indexed_book import BOOK_SETTINGS, RecordingObserver, write_questions
from tests.helpers.marks import mark_of
from tests.helpers.scripted_model import Reply
from tests.review.book import source
from tests.review.test_replay import (  # noqa: F401 - fixtures
    exchange,
    quick,
    report,
    session,
    summary_of,
)

pytestmark = pytest.mark.usefixtures("ask_llm", "published")
QUESTION = "How must a node be named?"


@pytest.fixture(autouse=True)
def of_the_book(settings):
    for name, value in BOOK_SETTINGS.items():
        setattr(settings, name, value)


def names():
    return Section.objects.filter(heading_path__1="Names").latest("pk")


def current():
    return Edition.objects.current().get().number


def cites_names(body):
    return Reply(f"Each node has a name that is unique in the graph [{mark_of(body, 'Names')}].")


def test_both_answers_stand_with_their_sources_and_support(session, model, report):  # noqa: F811
    columns = {"grounding": "book", "support": 0.4, "misquotes": 1, "edition": current()}
    exchange(session, QUESTION, "By hand [1].", sources=[source(names(), text="Old.")], **columns)
    model.decides(cites_names)

    (line,), page, printed = report()

    assert line["stored"]["sources"][0]["text"] == "Old."
    (cited,) = line["replayed"]["sources"]
    assert line["replayed"]["answer"] == "Each node has a name that is unique in the graph [1]."
    assert (cited["section_id"], cited["number"]) == (names().pk, 1)
    assert cited["text"] in names().text
    assert (line["replayed"]["grounding"], line["replayed"]["edition"]) == ("book", current())
    assert cited["text"] in page
    assert "40\u00a0% supported" in page
    assert f"book: edition {current()}" in page
    assert summary_of(printed)["Rest on"] == ("book (1)", "book (1)")
    assert summary_of(printed)["With a misquote"] == ("1", "0")


def test_a_former_edition_gives_the_excerpts_that_were_given_then(
    session, model, report, published, tmp_path  # noqa: F811
):
    former, given = current(), names()
    exchange(session, QUESTION, "By hand.", edition=former, found=[given.pk])
    exchange(session, "Unknown then?", "No.")
    changed = tmp_path / "book"
    changed.mkdir()
    text = (published / "1-nodes.md").read_text()
    (changed / "1-nodes.md").write_text(text.replace("unique", "rare"))
    model.decides(write_questions)
    indexing.run(str(changed), RecordingObserver())
    model.forget()
    model.decides(cites_names)

    (line,), page, _ = report("--edition", str(former))

    (request,) = model.requests
    assert given.text in request["messages"][-1]["content"]
    assert "rare in the graph" not in request["messages"][-1]["content"]
    assert line["question"] == QUESTION
    assert line["replayed"]["sources"][0]["section_id"] == given.pk
    assert f"book: edition {former}, with the excerpts of then" in page


def test_an_edition_that_never_was_is_refused_with_a_sentence(session, model):  # noqa: F811
    exchange(session)

    with pytest.raises(CommandError, match="There is no edition 99; the current one is"):
        call_command("replay", "--since", "2020-01-01", "--edition", "99")

    assert model.requests == []


def test_the_demonstration_model_comes_with_a_warning_and_under_its_own_name(
    session, model, monkeypatch, tmp_path, capsys  # noqa: F811
):
    exchange(session)
    for module in (command, replay):
        monkeypatch.setattr(module, "is_demonstration", lambda: True)

    output = str(tmp_path / "out")
    call_command("replay", "--since", "2020-01-01", "--model", "gpt-x", "--output", output)

    assert "small demonstration model, whatever --model says" in capsys.readouterr().err
    assert model.requests[-1]["model"] == "scripted"
