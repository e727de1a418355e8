"""The chat on a book that the server has read: from a question to the sentence, highlighted."""

import pytest
from django.test import override_settings
from playwright.sync_api import expect

from book import index as indexing
from tests.helpers.browser import elsewhere
from tests.helpers.indexed_book import RecordingObserver, empty_tables
from tests.helpers.marks import mark_of, silent_mark_of
from tests.helpers.reader import HOST_PAGE, answered, ready, replies, say
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.server import running_server

FILLER = "<p>" + "A robot has wheels, arms and cameras of all sizes. " * 60 + "</p>"
ONE = f"""<main><h1>Nodes</h1><p>A node is a process that does one job.</p>{FILLER}
<h2 id="names">Names</h2><p>Each <em>node</em> carries a name that is <strong>unique</strong> in
the graph &ndash; such as <code>camera_driver</code>. Others address it so.</p></main>"""
TWO = f"""<main><h1>Topics</h1><p>Publishers send messages over a topic.</p>{FILLER}
<h2 id="quality">Quality</h2><p>Reliable delivery repeats lost messages.</p></main>"""
HIGHLIGHTED = "() => [...CSS.highlights.get('book-chat')].map(String).join()"


def write(book, server):
    for name, body in (("one", ONE), ("two", TWO)):
        page = HOST_PAGE.format(server=server, settings="", lang="en", head="", body=body)
        (book.folder / f"{name}.html").write_text(page)


@pytest.fixture(scope="module")
def reading(book, environment, _model, django_db_blocker, tmp_path_factory):
    """A server that has read the book."""
    write(book, "")
    read = {"EMBEDDING_MODEL": "word-vectors", "BOOK_URL": f"{book.url}/"}
    model = {"OPENAI_BASE_URL": _model.base_url, "OPENAI_MODEL": "scripted", "BOOK_QUESTIONS": 0}
    _model.forget()
    log = tmp_path_factory.mktemp("server") / "log"
    with django_db_blocker.unblock(), override_settings(**read, **model):
        elsewhere(lambda: indexing.run(str(book.folder), RecordingObserver()))
    with running_server(log, **environment | read, FRONTEND_URL=book.url, CHAT_RATE="") as server:
        write(book, server.base_url)
        yield server
    with django_db_blocker.unblock():
        elsewhere(empty_tables)


@pytest.fixture
def open_page(visit, book, reading, model):
    def opening(**options):
        page = visit(**options)
        page.goto(f"{book.url}/one.html")
        ready(page).get_by_role("button", name="Ask the book").click()
        return page

    return opening


def test_a_question_is_answered_by_a_sentence_of_this_page_one_click_away(open_page, model):
    sentence = "Each node carries a name that is unique in the graph"
    model.decides(lambda body: Reply(f"{sentence} [{mark_of(body, 'Names')}]."))
    page = open_page()

    say(page, "How must a node be named?")
    answered(page)
    replies(page).locator("a.number").click()

    assert page.evaluate(HIGHLIGHTED).replace("\n", " ").startswith(sentence)
    expect(page.locator("#names + p")).to_be_in_viewport()


def test_a_sentence_of_another_page_is_one_click_away_after_a_reload_too(open_page, model, book):
    text = "Reliable delivery repeats lost messages"
    model.decides(lambda body: Reply(f"{text} [{mark_of(body, 'Quality')}]."))
    page = open_page()
    say(page, "What does reliable delivery do with lost messages?")
    answered(page)

    page.reload()
    expect(replies(page)).to_have_text(f"{text}[1].")
    replies(page).locator("a.number").click()

    page.wait_for_url(f"{book.url}/two.html#quality*")
    expect(page.locator("#quality + p")).to_be_in_viewport()
    expect(replies(page)).to_have_text(f"{text}[1].")


def test_a_silent_book_offers_what_comes_closest(open_page, model):
    model.decides(lambda body: Reply(f"[{silent_mark_of(body)}]"))
    page = open_page()

    say(page, "Which cheese do robots like?")

    expect(replies(page)).to_have_text("The book does not cover this.")
    closest = page.get_by_role("group", name="What comes closest in the book")
    expect(closest.get_by_role("link")).not_to_have_count(0)
    expect(page.get_by_text("The book does not cover this.")).to_have_count(1)  # said once


def test_excerpts_in_place_of_an_answer_are_marked(open_page, model):
    model.says(refusal(401))
    page = open_page()

    say(page, "How must a node be named?")

    expect(page.get_by_text("Excerpts from the book, not an answer.")).to_be_visible()
    expect(replies(page).locator("a.number")).not_to_have_count(0)
    expect(page.get_by_role("group", name="Sources")).to_be_visible()


def test_numbers_and_their_cards_are_there_while_the_answer_grows(open_page, model):
    def deciding(body):
        mark = f"[{mark_of(body, 'Names')}]. "
        return Reply(
            chunks=("Each node carries a unique name ", mark, "More. ", "End."), hold_after=3
        )

    model.decides(deciding)
    page = open_page()
    say(page, "How must a node be named?")
    number = replies(page).locator("a.number")

    expect(replies(page)).to_contain_text("unique name[1]. More.")
    number.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("Nodes")
    expect(page.get_by_role("tooltip").locator("blockquote")).to_have_count(0)
    model.release()

    expect(page.get_by_role("tooltip").locator("blockquote")).to_contain_text("carries a name")
