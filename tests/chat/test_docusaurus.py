"""The example book, built and served by Docusaurus' own tools (make docusaurus)."""

import os
import subprocess

import psutil
import pytest
from playwright.sync_api import expect

from tests.helpers.server import CHECKOUT
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.docusaurus
EXAMPLE = CHECKOUT / "examples" / "docusaurus"
BOOK = "http://localhost:3000"
ANSWER = "A node is one of a robot's programs, running on its own."


@pytest.fixture
def book(serve, tmp_path):
    """The built book on port 3000, with the chat of a server of ours."""
    server = serve()
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
    replies = page.locator(".message.assistant .text")
    expect(replies).to_have_text(ANSWER)

    # Another page, by the client's own navigation.
    page.locator("aside").get_by_role("link", name="Nodes").click()
    expect(page.get_by_role("heading", name="Nodes", exact=True)).to_be_visible()
    assert page.evaluate("window.first")
    expect(replies).to_have_text(ANSWER)

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
    expect(replies).to_have_text([ANSWER, ANSWER])
    expect(page.locator("book-chat")).to_have_count(1)
    panel = page.get_by_role("dialog", name="Ask the book")
    assert panel.evaluate("each => getComputedStyle(each).colorScheme") == "dark"  # as the book
    page.wait_for_load_state("networkidle")
    page.screenshot(path=CHECKOUT / "docs" / "screenshots" / "docusaurus.png")
