"""Clients that others wrote, as their users start them, against two workers (`make clients`).

The AI SDK and OpenAI's clients are in tests/chat: they are quick enough for `make test`.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.helpers import CHECKOUT
from tests.helpers.indexed_book import BOOK_SETTINGS
from tests.helpers.marks import mark_of
from tests.helpers.reader import Book, expected
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.server import running_server
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.doors

LLM = CHECKOUT / ".venv" / "clients" / "bin" / "llm"
DEEP_CHAT = CHECKOUT / "node_modules" / "deep-chat" / "dist" / "deepChat.bundle.js"
PASSAGE = "A node is an executable process that performs computation."
UNAVAILABLE = "The language model could not answer just now; please try again."
FONTS = "https://fonts.googleapis.com/**"  # deep-chat's own wish
# As its documentation has it, with another address.
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Book</title>
<link rel="icon" href="data:,"><script type="module" src="deepChat.bundle.js"></script></head>
<body><deep-chat style="width: 600px; height: 600px"
  directConnection='{"openAI": {"key": "none", "completions": {}}}'
  connect='CONNECT' errorMessages='{"displayServiceErrorMessages": true}'></deep-chat></body></html>
"""
USE_CHAT = Path(__file__).with_name("use_chat.jsx")
ESBUILD = CHECKOUT / "node_modules" / ".bin" / "esbuild"
USE_CHAT_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Book</title>
<link rel="icon" href="data:,"></head><body data-api="API"><div id="chat"></div>
<script type="module" src="use_chat.js"></script></body></html>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Book(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def book_server(environment, published, site, tmp_path_factory):
    settings = environment | {"EMBEDDING_MODEL": BOOK_SETTINGS["EMBEDDING_MODEL"]}
    settings |= {"CHAT_RATE": "", "BOOK_URL": BOOK_SETTINGS["BOOK_URL"], "FRONTEND_URL": site.url}
    settings |= {"CHAT_EXCERPTS_INSTEAD_OF_ERRORS": "false"}
    with running_server(tmp_path_factory.mktemp("server") / "log", **settings) as running:
        yield running


def citing(body):
    text = f"Each node has a name that is unique in the graph [{mark_of(body, 'Names')}]."
    return Reply(text)


# llm ----------------------------------------------------------------------------------------
@pytest.fixture
def llm(book_server, model, tmp_path):
    if not LLM.exists():
        pytest.skip("llm is missing: make clients installs it")
    extra = {"model_id": "book", "model_name": "book", "api_base": f"{book_server.base_url}/v1"}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([extra]))

    def run(*arguments):
        ran = subprocess.run(
            [LLM, "-m", "book", *arguments],
            cwd=tmp_path,
            env={**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "none"},
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return ran.stdout.strip(), ran.stderr.strip()

    return run


@pytest.mark.parametrize("options", [(), ("--no-stream",)], ids=["stream", "plain"])
def test_llm_prints_an_answer_with_its_sources_as_links(llm, model, options):
    model.decides(citing)

    text, error = llm("How must a node be named?", *options)

    assert error == ""
    assert text.startswith("Each node has a name that is unique in the graph [1].\n\n1. [Nodes")
    assert "(https://book.example/docs/" in text


def test_llm_asks_its_next_question_too(llm, model):
    llm("First?")

    text, _ = llm("-c", "Second?")

    assert text == "A scripted answer."
    assert model.prompt[-1]["content"].endswith("Second?")


def test_llm_prints_the_sentence_of_an_error(llm, model):
    model.says(*[refusal(500)] * 20)

    _, error = llm("Well?")

    assert UNAVAILABLE in error


# deep-chat ----------------------------------------------------------------------------------
@pytest.fixture
def deep_chat(book_server, site, visit, model):
    """Opens a page with deep-chat on it, with these fields of its `connect`."""
    if not DEEP_CHAT.exists():
        pytest.skip("deep-chat is missing: npm ci")

    def opening(**connect):
        connect = {"url": f"{book_server.base_url}/v1/chat/completions"} | connect
        (site.folder / DEEP_CHAT.name).write_bytes(DEEP_CHAT.read_bytes())
        (site.folder / "chat.html").write_text(PAGE.replace("CONNECT", json.dumps(connect)))
        page = visit()
        page.route(FONTS, lambda route: route.fulfill(content_type="text/css", body=""))
        page.goto(f"{site.url}/chat.html")
        return page

    return opening


def say(page, question):
    """As soon as deep-chat takes it, which is when the answer before has ended."""
    page.locator("#text-input").fill(question)

    def is_sent():
        page.keyboard.press("Enter")
        return page.locator("#text-input").inner_text() != question

    eventually(is_sent)


def replies(page):
    return page.locator(".ai-message-text")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_deep_chat_shows_an_answer_and_its_sources_as_links(deep_chat, model, stream):
    model.decides(citing)
    page = deep_chat(stream=stream)

    say(page, "How must a node be named?")

    expect(replies(page)).to_contain_text("unique in the graph [1].")
    link = replies(page).get_by_role("link")
    expect(link).to_contain_text("Nodes")
    assert link.get_attribute("href").startswith("https://book.example/docs/")


def test_deep_chat_continues_a_conversation_and_asks_about_a_passage(deep_chat, model):
    model.decides(lambda _body: Reply())
    session = {"user": "session_of_deep_chat_1"}
    page = deep_chat(stream=True, additionalBodyProps=session)
    say(page, "First?")
    expect(replies(page)).to_have_count(1)
    expect(replies(page).first).to_have_text("A scripted answer.")

    say(page, "Second?")

    expect(replies(page).nth(1)).to_have_text("A scripted answer.")
    assert [m["content"] for m in model.prompt[1:3]] == ["First?", "A scripted answer."]
    page = deep_chat(additionalBodyProps=session | {"selected_text": PASSAGE})
    say(page, "What is that?")
    expect(replies(page)).to_have_text("A scripted answer.")
    assert PASSAGE in model.prompt[-1]["content"]


def test_deep_chat_keeps_what_a_stopped_answer_has(deep_chat, book_server, model):
    session = "session_of_deep_chat_2"
    model.says(Reply("One two three.", hold_after=2))
    page = deep_chat(stream=True, additionalBodyProps={"user": session})
    say(page, "Stop?")
    expect(replies(page)).to_have_text("One two")

    assert book_server.client.post(f"/chat/{session}/stop").status_code == 202

    expect(page.locator("#submit-icon")).to_be_visible()
    expect(replies(page)).to_have_text("One two")


def test_deep_chat_shows_the_sentence_of_an_error(deep_chat, model, troubles):
    model.says(*[refusal(500)] * 20)
    page = deep_chat()

    say(page, "Well?")

    expect(page.locator(".deep-chat-error-message, .error-message-text")).to_contain_text(
        UNAVAILABLE
    )
    expected(troubles, "502", UNAVAILABLE)


# useChat ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bundle(site):
    """The page's script, as a book's own build would make it."""
    if not ESBUILD.exists():
        pytest.skip("esbuild is missing: npm ci")
    target = ("--bundle", "--format=esm", "--jsx=automatic", "--target=es2022", "--log-level=error")
    production = """--define:process.env.NODE_ENV="production\""""
    command = [ESBUILD, USE_CHAT, *target, production, f"--outfile={site.folder / 'use_chat.js'}"]
    subprocess.run(command, check=True, timeout=120)


@pytest.fixture
def use_chat(bundle, book_server, site, visit, model, troubles):
    """Opens a page with useChat on it."""
    (site.folder / "use_chat.html").write_text(
        USE_CHAT_PAGE.replace("API", f"{book_server.base_url}/chat")
    )
    page = visit()
    page.goto(f"{site.url}/use_chat.html")
    expect(page.get_by_label("Question")).to_be_visible()
    expected(troubles, "404")  # of a conversation that has not begun, and so has no history
    return page


def put(page, question):
    page.get_by_label("Question").fill(question)
    page.keyboard.press("Enter")


def shown(page):
    return page.locator("article.assistant")


def expect_ready(page):
    expect(page.locator("output")).to_have_text("ready")


def stored(page, book_server):
    session = page.evaluate("localStorage.chat")
    return book_server.client.get(f"/chat/{session}").json()["messages"]


def test_useChat_shows_an_answer_with_its_sources_and_asks_on(use_chat, model):  # noqa: N802
    model.decides(citing)
    put(use_chat, "How must a node be named?")

    expect(shown(use_chat).locator("p")).to_have_text(
        "Each node has a name that is unique in the graph [1]."
    )
    source = shown(use_chat).get_by_role("link")
    expect(source).to_have_text("[1] Nodes")
    assert source.get_attribute("href").startswith("https://book.example/docs/")
    expect_ready(use_chat)

    put(use_chat, "And a topic?")

    expect(shown(use_chat)).to_have_count(2)
    expect_ready(use_chat)
    assert [m["role"] for m in model.prompt] == ["system", "user", "assistant", "user"]
    assert model.prompt[1]["content"] == "How must a node be named?"


def test_useChat_regenerates_an_answer_in_its_place(use_chat, book_server, model):  # noqa: N802
    model.says("One.", "Another.")
    put(use_chat, "First?")
    expect(shown(use_chat)).to_have_text("One.")
    expect_ready(use_chat)

    use_chat.get_by_role("button", name="Another answer").click()

    expect(shown(use_chat)).to_have_text("Another.")
    expect(shown(use_chat)).to_have_count(1)
    expect_ready(use_chat)
    assert [m["replaced"] for m in stored(use_chat, book_server)] == [True] * 2 + [False] * 2


@pytest.mark.parametrize(("button", "status"), [("Stop", "stopped"), ("Stop reading", "complete")])
def test_useChat_keeps_what_a_stopped_answer_has(  # noqa: N802
    use_chat, book_server, model, troubles, button, status
):
    model.says(Reply("One two three.", hold_after=2))
    put(use_chat, "Stop?")
    expect(shown(use_chat)).to_have_text("One two ")

    use_chat.get_by_role("button", name=button, exact=True).click()

    expect_ready(use_chat)
    expect(shown(use_chat)).to_have_text("One two ")
    model.release()
    eventually(lambda: stored(use_chat, book_server)[1]["status"] == status)
    text = {"stopped": "One two ", "complete": "One two three."}[status]
    assert stored(use_chat, book_server)[1]["content"] == text
    if status == "complete":
        expected(troubles, "ERR_ABORTED")  # its own stop closes the request


def test_useChat_resumes_an_answer_after_a_reload(use_chat, model, troubles):  # noqa: N802
    model.says("An answer.", Reply("One two three.", hold_after=2))
    put(use_chat, "First?")
    expect_ready(use_chat)
    put(use_chat, "Second?")
    expect(shown(use_chat).nth(1)).to_have_text("One two ")

    use_chat.reload()
    expected(troubles, "ERR_ABORTED")  # and a reload, too

    expect(shown(use_chat).first).to_have_text("An answer.")
    expect(shown(use_chat).nth(1)).to_have_text("One two ")
    model.release()
    expect(shown(use_chat).nth(1)).to_have_text("One two three.")
    expect(shown(use_chat)).to_have_count(2)
    expect_ready(use_chat)


def test_useChat_shows_the_sentence_of_an_error(use_chat, model, troubles):  # noqa: N802
    model.says(*[refusal(500)] * 20)

    put(use_chat, "Well?")

    expect(use_chat.get_by_role("alert")).to_have_text(UNAVAILABLE)
    expected(troubles, "502", UNAVAILABLE)
