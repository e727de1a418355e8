"""The example book, built and served by Docusaurus' own tools (make docusaurus)."""

import os
import subprocess

import psutil
import pytest
from django.test import override_settings
from playwright.sync_api import expect

from book import index as indexing
from tests.helpers.browser import elsewhere
from tests.helpers.indexed_book import RecordingObserver, empty_tables
from tests.helpers.marks import mark_of
from tests.helpers.reader import answered, replies, say
from tests.helpers.scripted_model import Reply
from tests.helpers.server import CHECKOUT
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.docusaurus
EXAMPLE = CHECKOUT / "examples" / "docusaurus"
BOOK = "http://localhost:3000"
READ = {"EMBEDDING_MODEL": "word-vectors", "BOOK_URL": f"{BOOK}/", "BOOK_QUESTIONS": 0}
ANSWER = "A node is one of a robot's programs, running on its own."


@pytest.fixture
def server(serve):
    return serve(EMBEDDING_MODEL=READ["EMBEDDING_MODEL"], BOOK_URL=READ["BOOK_URL"])


@pytest.fixture
def book(server, tmp_path):
    """The built book on port 3000, with the chat of a server of ours."""
    environment = os.environ | {"CHAT_URL": server.base_url}
    built = str(tmp_path / "book")
    subprocess.run(
        ["npm", "run", "build", "--", "--out-dir", built], cwd=EXAMPLE, env=environment, check=True
    )
    serving = ["npm", "run", "serve", "--", "--dir", built, "--port", "3000", "--no-open"]
    process = subprocess.Popen(serving, cwd=EXAMPLE)
    try:
        eventually(lambda: is_up(process), seconds=60)
        yield BOOK
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.terminate()
        process.wait(30)


def is_up(process):
    assert process.poll() is None, "port 3000 is taken"
    ours = [process.pid, *(each.pid for each in psutil.Process(process.pid).children(True))]
    listening = [each for each in psutil.net_connections("tcp") if each.status == "LISTEN"]
    return any(each.laddr.port == 3000 and each.pid in ours for each in listening)


def test_a_docusaurus_book_has_the_chat_on_all_its_pages(visit, book, model):
    model.says(ANSWER)
    page = visit(color_scheme="dark", viewport={"width": 1100, "height": 640})
    page.goto(book)
    page.evaluate("window.first = true")

    page.get_by_role("button", name="Ask the book").click()
    page.get_by_role("button", name="What is a node?").click()
    expect(replies(page)).to_have_text(ANSWER)

    # Another page, by the client's own navigation.
    page.locator("aside").get_by_role("link", name="Nodes").click()
    expect(page.get_by_role("heading", name="Nodes", exact=True)).to_be_visible()
    assert page.evaluate("window.first")
    expect(replies(page)).to_have_text(ANSWER)

    passage = page.locator("article p").first
    passage.evaluate("each => getSelection().selectAllChildren(each)")
    page.get_by_role("button", name="Ask about this").click()
    page.get_by_label("Your question").fill("What does it mean?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This answer rests on the selected passage alone.")).to_be_visible()
    assert "A node is an executable process" in model.prompt[-1]["content"]

    page.go_back()
    expect(page.get_by_role("heading", name="What this book is about")).to_be_visible()
    assert page.evaluate("window.first")
    page.go_forward()
    page.reload()
    expect(replies(page)).to_have_text([ANSWER, ANSWER])
    expect(page.locator("book-chat")).to_have_count(1)
    panel = page.get_by_role("dialog", name="Ask the book")
    assert panel.evaluate("each => getComputedStyle(each).colorScheme") == "dark"  # as the book
    page.wait_for_load_state("networkidle")
    page.screenshot(path=CHECKOUT / "docs" / "screenshots" / "docusaurus.png")


@pytest.fixture
def indexed(book, model, tmp_path, django_db_blocker):
    """The server has read the built book."""
    of_model = {"OPENAI_BASE_URL": model.base_url, "OPENAI_MODEL": "scripted"}
    with django_db_blocker.unblock(), override_settings(**READ, **of_model):
        elsewhere(lambda: indexing.run(str(tmp_path / "book"), RecordingObserver()))
    yield book
    with django_db_blocker.unblock():
        elsewhere(empty_tables)


def test_a_cited_sentence_of_a_docusaurus_book_is_one_click_away(visit, indexed, model):
    sentence = "each new terminal has to learn where ROS 2 is installed"
    model.decides(lambda body: Reply(f"First, {sentence} [{mark_of(body, 'Starting a node')}]."))
    page = visit(color_scheme="dark", viewport={"width": 1300, "height": 720})
    page.goto(indexed)
    page.get_by_role("button", name="Ask the book").click()
    say(page, "What does each new terminal have to learn?")
    answered(page)

    replies(page).locator("a.number").click()  # on another page
    page.wait_for_url("**/nodes*")
    expect(page.locator("article").get_by_text(sentence)).to_be_in_viewport()
    eventually(lambda: sentence in highlighted(page))
    page.evaluate("scrollTo(0, 0); CSS.highlights.clear()")
    replies(page).locator("a.number").click()  # without loading the page again

    assert sentence in highlighted(page)
    expect(page.locator("article").get_by_text(sentence)).to_be_in_viewport()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=CHECKOUT / "docs" / "screenshots" / "docusaurus-sources.png")


def test_a_cited_line_of_code_is_highlighted_although_docusaurus_makes_it_anew(visit, book):
    page = visit()

    page.goto(f"{book}/nodes#a-node-in-python:~:text=rclpy.init%28%29,-node%20%3D%20Camera%28%29")
    page.wait_for_load_state("networkidle")
    eventually(lambda: highlighted(page) == "rclpy.init()")

    expect(page.locator("article").get_by_text("rclpy.init()").last).to_be_in_viewport()


def highlighted(page):
    words = page.evaluate("[...CSS.highlights.get('book-chat') ?? []].join()")
    return words.replace("\n", " ")
