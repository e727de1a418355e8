"""The reader's chat in a real Chromium: on the page of our own, and on a book of another origin."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from chat.models import Message
from chat.pages import widget
from tests.helpers.browser import elsewhere, overflow, serious_problems
from tests.helpers.reader import (
    ANSWER,
    PASSAGE,
    answered,
    expected,
    is_focused,
    ready,
    replies,
    say,
    select,
)
from tests.helpers.scripted_model import Reply, refusal

CHECKOUT = Path(__file__).resolve().parents[2]
ESBUILD = CHECKOUT / "node_modules" / ".bin" / "esbuild"
MOST_KILOBYTES = 60
SLOW = Reply("One two three four five six seven eight nine ten.", gap=0.2)
HELD = Reply("One two three four.", hold_after=2)


# One component, two homes -------------------------------------------------------------------
def test_the_page_of_our_own_answers(chat_page, model):
    page = chat_page()

    say(page, "What is a node?")

    expect(replies(page)).to_have_text(ANSWER)
    assert model.prompt[-1]["content"] == "What is a node?"


def test_one_script_tag_puts_the_chat_on_a_page_of_another_origin(open_book):
    page = open_book('data-title="Ask me" data-suggestions="Why?|What is a node?"')

    page.get_by_role("button", name="Ask me").click()
    page.get_by_role("button", name="What is a node?").click()

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.get_by_role("heading", name="Ask me")).to_be_visible()


def test_the_settings_of_the_script_tag_shape_the_chat(open_book):
    page = open_book(
        'data-accent="rgb(120, 0, 60)" data-position="left" data-lang="de" '
        'data-greeting="Hallo!" data-shortcut="Alt+K" data-theme="dark"'
    )

    page.keyboard.press("Alt+KeyK")

    expect(page.get_by_text("Hallo!")).to_be_visible()
    opener = page.get_by_role("button", name="Frag das Buch")
    assert opener.evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(120, 0, 60)"
    assert opener.evaluate("each => getComputedStyle(each).color") == "oklch(1 0 0)"
    assert opener.bounding_box()["x"] < 100
    panel = page.get_by_role("dialog")
    assert panel.evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(28, 29, 33)"


def test_a_script_tag_given_twice_makes_one_chat(open_book, reading):
    page = open_book()
    page.evaluate(
        """address => new Promise((resolve) => {
          const script = document.createElement("script");
          Object.assign(script, { src: address, onload: () => setTimeout(resolve, 300) });
          document.head.append(script);
        })""",
        f"{reading.base_url}/widget.js",
    )

    expect(page.locator("book-chat")).to_have_count(1)


def test_all_of_it_is_at_most_sixty_kilobytes():
    scripts = widget.scripts().values()

    assert sum(len(script.compressed) for script in scripts) <= MOST_KILOBYTES * 1024


@pytest.mark.skipif(not ESBUILD.exists(), reason="npm's packages are missing: npm ci")
def test_what_is_served_is_the_program_that_was_written():
    def program(text):
        return subprocess.run(
            [ESBUILD, "--minify", "--loader=js"], input=text, capture_output=True, check=True
        ).stdout

    for name, script in widget.scripts().items():
        source = (CHECKOUT / "widget" / name).read_bytes()
        assert program(script.content) == program(source)


def test_the_script_is_asked_for_anew_and_what_it_loads_is_kept_for_good(reading):
    client = reading.client
    loader = client.get("/widget.js")
    (address,) = re.findall(r'"(/widget/[^"]+/book-chat.js)"', loader.text)
    module = client.get(address)
    other = client.get("/widget/another/book-chat.js")
    again = client.get("/widget.js", headers={"If-None-Match": loader.headers["ETag"]})

    assert loader.headers["Cache-Control"] == "public, max-age=300"
    assert (again.status_code, again.content) == (304, b"")
    assert module.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert module.headers["Content-Encoding"] == "gzip"
    assert module.headers["Vary"].lower().startswith("accept-encoding")
    assert module.headers["Access-Control-Allow-Origin"] == "*"
    assert module.content == widget.scripts()["book-chat.js"].content
    assert other.headers["Cache-Control"] == "no-store"
    assert client.get(address, headers={"Accept-Encoding": "identity"}).content == module.content


@pytest.mark.parametrize("name", ["none.js", "loader.js", "../manage.py", "..%2Fmanage.py", ""])
def test_nothing_but_the_modules_is_served(reading, name):
    answer = reading.client.get(f"/widget/{widget.release()}/{name}")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_vendored_libraries_carry_version_and_licence():
    folders = [
        *(CHECKOUT / "widget" / "vendor").iterdir(),
        *(CHECKOUT / "review" / "static" / "review" / "vendor").iterdir(),
    ]
    dependencies = (CHECKOUT / "CONTRIBUTING.md").read_text().lower()

    assert len(folders) == 3
    for folder in folders:
        name, _, version = folder.name.rpartition("-")
        (script,) = (file for file in folder.iterdir() if file.suffix in (".js", ".mjs"))
        assert version in script.read_text()[:300]
        assert list(folder.glob("LICENSE*"))
        assert f"{name} {version}" in dependencies


# Asking about a passage ---------------------------------------------------------------------
def test_a_selected_passage_is_asked_about_and_the_answer_says_so(open_book, model, stored):
    page = open_book()

    select(page)
    page.get_by_role("button", name="Ask about this").click()
    expect(page.locator(".chip blockquote")).to_have_text(PASSAGE)
    assert is_focused(page, "Your question")
    say(page, "What does it mean?")

    expect(page.get_by_text("This answer rests on the selected passage alone.")).to_be_visible()
    expect(page.locator(".message.user blockquote")).to_have_text(PASSAGE)
    expect(page.locator(".chip")).to_be_hidden()
    assert PASSAGE in model.prompt[-1]["content"]
    question = elsewhere(lambda: Message.objects.questions().order_by("-id")[0])
    assert (question.selected_text, question.page_url) == (PASSAGE, page.url)


def test_a_passage_can_be_removed_again(open_book, model):
    page = open_book()
    select(page)
    page.get_by_role("button", name="Ask about this").click()

    page.get_by_role("button", name="Remove the passage").click()
    say(page, "What is a node?")

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.get_by_text("rests on the selected passage")).to_have_count(0)
    assert PASSAGE not in model.prompt[-1]["content"]


def test_the_keyboard_alone_asks_about_a_passage(open_book):
    page = open_book()

    select(page)
    page.keyboard.press("Alt+Shift+KeyA")
    page.keyboard.type("What does it mean?")
    page.keyboard.press("Enter")

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.locator(".message.user blockquote")).to_have_text(PASSAGE)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert is_focused(page, "Ask the book")


def test_a_finger_asks_about_a_passage(open_book):
    page = open_book(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)

    select(page)
    page.get_by_role("button", name="Ask about this").tap()

    expect(page.locator(".chip blockquote")).to_have_text(PASSAGE)
    box = page.get_by_role("dialog").bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 780)


def test_what_readers_write_on_the_page_is_not_offered(open_book):
    page = open_book()

    page.get_by_label("Notes").focus()
    page.keyboard.press("Control+KeyA")
    page.wait_for_timeout(500)

    expect(page.get_by_role("button", name="Ask about this")).to_be_hidden()


def test_a_question_that_is_too_long_is_not_cut_in_silence(open_book, model):
    page = open_book(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Ask the book").click()
    page.evaluate("navigator.clipboard.writeText('word '.repeat(1000))")

    page.keyboard.press("Control+KeyV")

    expect(page.get_by_text("A question has at most 4,000 characters.")).to_be_visible()
    page.keyboard.press("Enter")
    expect(replies(page)).to_have_text(ANSWER)


def test_a_finger_does_all_the_rest(open_book, model):
    model.says(HELD, Reply("Two."))
    page = open_book(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Ask the book").tap()
    page.get_by_label("Your question").fill("Count!")
    page.get_by_role("button", name="Send").tap()
    expect(replies(page)).to_contain_text("two")
    page.get_by_role("button", name="Stop the answer").tap()
    answered(page)
    page.get_by_role("button", name="Helpful", exact=True).tap()
    expect(page.get_by_role("status")).to_have_text("Thank you.")
    page.get_by_role("button", name="Delete my conversation").tap()
    page.get_by_role("button", name="Delete", exact=True).tap()
    expect(replies(page)).to_have_count(0)
    page.get_by_role("button", name="Close").tap()

    expect(page.get_by_role("heading", name="Chapter 1")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_passage_that_is_too_long_is_cut_and_the_reader_told(open_book, model):
    page = open_book()
    page.evaluate("document.querySelector('#passage').textContent = 'word '.repeat(5000)")

    select(page)
    page.get_by_role("button", name="Ask about this").click()
    expect(page.get_by_text("Only the first 20,000 characters")).to_be_visible()
    say(page, "What does it mean?")

    expect(replies(page)).to_have_text(ANSWER)


# Reading ------------------------------------------------------------------------------------
def test_words_appear_as_the_model_says_them(chat_page, model):
    model.says(Reply("One two three.", chunks=("One ", "two ", "three."), hold_after=2))
    page = chat_page()

    say(page, "Count!")

    expect(replies(page)).to_have_text("One two")
    model.release()
    expect(replies(page)).to_have_text("One two three.")


MARKDOWN = r"""A **node**:

- computes

```python
node = Node('x')
```

| a | b |
|---|---|
| 1 | 2 |

Maths $x_1 + y_2 * z_1$ and \(a_1 * b_1\). [A link](https://example.org/a)
"""


def test_markdown_code_tables_and_maths_are_readable(chat_page, model):
    model.says(MARKDOWN)
    page = chat_page()

    say(page, "What is a node?")

    text = replies(page)
    expect(text.locator("strong")).to_have_text("node")
    expect(text.locator("li")).to_have_text("computes")
    expect(text.locator("td")).to_have_text(["1", "2"])
    expect(text).to_contain_text(r"Maths $x_1 + y_2 * z_1$ and \(a_1 * b_1\).")
    link = text.get_by_role("link")
    assert link.get_attribute("target") == "_blank"
    assert "noopener" in link.get_attribute("rel")


def test_code_and_answers_can_be_copied(chat_page, model):
    model.says(MARKDOWN)
    narrow = {"width": 320, "height": 600}
    page = chat_page(permissions=["clipboard-read", "clipboard-write"], viewport=narrow)
    say(page, "What is a node?")
    button = page.get_by_role("button", name="Copy the code")

    button.click()
    shown = replies(page).locator("pre").bounding_box()
    assert shown["x"] + shown["width"] <= button.bounding_box()["x"]  # beside the code
    expect(page.get_by_role("status")).to_have_text("Copied.")
    code = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Copy", exact=True).click()

    assert code == "node = Node('x')\n"
    page.wait_for_function(
        "text => navigator.clipboard.readText().then(t => t === text)", arg=MARKDOWN.strip()
    )


HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">
[run](javascript:window.hacked=1) ![seen](http://tracker.example/a.png)
<iframe src="http://tracker.example/"></iframe><style>* { display: none }</style>
<a href="data:text/html,<script>window.hacked=1</script>">data</a>
<svg onload="window.hacked=1"></svg> [x]: javascript:window.hacked=1
"""


def test_nothing_that_a_model_says_runs_or_loads(open_book, model):
    """Requests that would leave fail any test (`tests.helpers.browser`)."""
    model.says(HOSTILE)
    page = open_book()
    page.get_by_role("button", name="Ask the book").click()

    say(page, HOSTILE)
    answered(page)

    assert page.evaluate("window.hacked") is None
    hrefs = (
        replies(page).locator("a").evaluate_all("all => all.map(each => each.getAttribute('href'))")
    )
    assert set(hrefs) <= {None, "http://tracker.example/a.png"}
    assert replies(page).locator("img, iframe, script, style, svg:not(.icon svg)").count() == 0


def test_a_stopped_answer_keeps_its_text(chat_page, model):
    model.says(SLOW)
    page = chat_page()
    say(page, "Count!")
    expect(replies(page)).to_contain_text("two")

    page.get_by_role("button", name="Stop the answer").click()

    expect(page.locator(".note")).to_have_text("Stopped.")
    expect(replies(page)).to_contain_text("One two")
    assert "ten" not in replies(page).inner_text()
    assert is_focused(page, "Your question")
    model.says(ANSWER)
    say(page, "Go on.")
    answered(page, 2)


def test_a_failed_question_shows_the_servers_sentence_and_is_retried_once(
    chat_page, model, troubles, stored
):
    model.says(refusal(500), refusal(500), refusal(500), Reply(ANSWER))
    page = chat_page()

    say(page, "Does it fail first?")
    expect(page.locator(".failure")).to_have_text(
        "The language model could not answer just now; please try again."
    )
    page.get_by_role("button", name="Try again").click()

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.locator(".message.user")).to_have_count(1)
    asked = Message.objects.questions().filter(content="Does it fail first?")
    assert elsewhere(asked.count) == 1
    expected(troubles, "502")


def test_an_answer_that_breaks_off_says_so_and_is_retried(chat_page, model):
    model.says(Reply("One two three.", cut=2), Reply(ANSWER))
    page = chat_page()

    say(page, "Is it cut?")
    expect(page.locator(".failure")).to_be_visible()
    expect(replies(page)).to_contain_text("One")
    page.get_by_role("button", name="Try again").click()

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.locator(".failure")).to_have_count(0)


def test_a_reader_over_the_rate_sees_when_to_ask_again(visit, serve, model, troubles):
    server = serve(CHAT_RATE="1/s", EMBEDDED="true")
    page = visit(base_url=server.base_url)
    page.goto("/")
    model.says(ANSWER)

    say(page, "First?")
    expect(replies(page)).to_have_text(ANSWER)
    for _ in range(8):  # until two fall into the same second
        say(page, "Second?")
        page.wait_for_timeout(150)
        if page.locator(".failure").count():
            break

    expect(page.locator(".failure").last).to_contain_text("faster than this chat allows")
    page.get_by_role("button", name="Try again").click()
    expect(replies(page).last).to_have_text(ANSWER)
    expected(troubles, "429")


def test_thumbs_and_a_note_reach_the_authors(chat_page, stored):
    page = chat_page()
    say(page, "Is this judged?")
    answered(page)
    page.clock.install()

    page.get_by_role("button", name="Not helpful").click()
    page.get_by_label("Would you like to say why?").fill("Chapter 3 says otherwise.")
    page.get_by_role("button", name="Send", exact=True).first.click()

    expect(page.get_by_label("Would you like to say why?")).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("Thank you.")
    page.clock.fast_forward(10_000)
    expect(page.get_by_role("status")).to_be_hidden()
    expect(page.get_by_role("button", name="Not helpful")).to_have_attribute("aria-pressed", "true")
    reply = elsewhere(lambda: Message.objects.get(reply_to__content="Is this judged?"))
    assert (reply.feedback, reply.feedback_comment) == ("down", "Chapter 3 says otherwise.")

    page.get_by_role("button", name="Not helpful").click()
    expect(page.get_by_role("button", name="Not helpful")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_a_new_conversation_begins_without_the_old(chat_page, model):
    page = chat_page()
    say(page, "The first question")
    expect(replies(page)).to_have_text(ANSWER)

    page.get_by_role("button", name="New conversation").click()
    expect(replies(page)).to_have_count(0)
    say(page, "The second question")
    expect(replies(page)).to_have_text(ANSWER)

    assert "The first question" not in str(model.prompt)


def test_a_conversation_is_deleted_after_a_second_thought(chat_page, stored):
    page = chat_page()
    say(page, "Shall this go?")
    expect(replies(page)).to_have_text(ANSWER)
    asked = Message.objects.filter(content="Shall this go?")

    page.get_by_role("button", name="Delete my conversation").click()
    page.get_by_role("button", name="Cancel").click()
    assert elsewhere(asked.count) == 1
    page.get_by_role("button", name="Delete my conversation").click()
    page.get_by_role("button", name="Delete", exact=True).click()

    expect(page.get_by_role("status")).to_have_text("Your conversation was deleted.")
    expect(replies(page)).to_have_count(0)
    assert elsewhere(asked.count) == 0


def test_a_correction_by_the_authors_appears_at_the_reply(chat_page, stored):
    from django.utils import timezone

    page = chat_page()
    say(page, "Is this corrected?")
    expect(replies(page)).to_have_text(ANSWER)
    told = Message.objects.filter(reply_to__content="Is this corrected?")
    elsewhere(lambda: told.update(correction="Better **so**.", corrected_at=timezone.now()))

    page.reload()

    expect(page.get_by_text("Correction by the authors")).to_be_visible()
    expect(page.locator(".correction strong")).to_have_text("so")
    expect(page.get_by_text("What was answered first")).to_be_visible()


# Coming back --------------------------------------------------------------------------------
def test_a_reload_and_another_page_of_the_book_go_on(open_book, model):
    page = open_book()
    page.get_by_role("button", name="Ask the book").click()
    say(page, "What is a node?")
    expect(replies(page)).to_have_text(ANSWER)

    page.reload()
    expect(replies(page)).to_have_text(ANSWER)
    page.get_by_role("link", name="Chapter 2").click()
    expect(replies(page)).to_have_text(ANSWER)
    say(page, "And a topic?")
    answered(page, 2)

    assert [message["content"] for message in model.prompt[1:]] == [
        "What is a node?",
        ANSWER,
        "And a topic?",
    ]


def test_an_answer_that_was_being_written_is_awaited_after_a_reload(chat_page, model, troubles):
    model.says(HELD)
    page = chat_page()
    say(page, "Count!")
    expect(replies(page)).to_contain_text("two")

    page.reload()

    expect(replies(page)).to_contain_text("One two")
    expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    model.release()
    expect(replies(page)).to_have_text(HELD.text)
    answered(page)
    assert len(model.requests) == 1
    expected(troubles, "ERR_ABORTED")  # the stream that the reload ended


def test_a_lost_connection_is_taken_up_again_and_nothing_is_asked_twice(
    visit, wire, model, troubles
):
    model.says(SLOW)
    page = visit(base_url=wire.url)
    page.goto("/")
    say(page, "Count!")
    expect(replies(page)).to_contain_text("two")

    wire.cut()
    expect(page.get_by_text("Connection lost. Trying again…")).to_be_visible()
    page.wait_for_timeout(500)
    wire.mend()

    expect(replies(page)).to_have_text(SLOW.text)
    answered(page)
    expect(page.locator(".note")).to_have_count(0)
    assert len(model.requests) == 1
    expected(troubles, "ERR_", "409")


def test_a_question_that_never_arrived_is_kept_and_asked_after_a_reload(
    visit, wire, model, troubles
):
    page = visit(base_url=wire.url)
    page.goto("/")
    ready(page)
    wire.cut()
    say(page, "Did you hear me?")
    expect(page.get_by_text("Connection lost. Trying again…")).to_be_visible()
    assert model.requests == []

    wire.mend()
    page.reload()

    expect(replies(page)).to_have_text(ANSWER)
    assert len(model.requests) == 1
    expected(troubles, "ERR_", "404")


HURRIED = (
    "() => { const wait = setTimeout; window.setTimeout = (work, ms) => wait(work, ms / 100) }"
)


def test_an_unreachable_server_is_reported_and_the_question_is_kept(visit, wire, model, troubles):
    page = visit(base_url=wire.url)
    page.goto("/")
    ready(page)
    page.evaluate(HURRIED)
    wire.cut()
    say(page, "Did you hear me?")
    expect(page.locator(".failure")).to_contain_text("The server could not be reached.")

    wire.mend()
    page.get_by_role("button", name="Try again").click()

    expect(replies(page)).to_have_text(ANSWER)
    expected(troubles, "ERR_")


def test_a_connection_that_dies_without_a_word_is_given_up(visit, wire, model, troubles):
    model.says(HELD)
    page = visit(base_url=wire.url)
    page.goto("/")
    ready(page).evaluate(HURRIED)
    say(page, "Count!")
    expect(replies(page)).to_contain_text("two")

    wire.freeze()
    model.release()

    expect(replies(page)).to_have_text(HELD.text)
    answered(page)
    assert len(model.requests) == 1
    page.close()  # what it still reads may end with the frozen connection
    expected(troubles, "ERR_", "409")


BLOCKED = """for (const kind of ["localStorage", "sessionStorage"]) {
  const get = () => { throw new DOMException("Blocked", "SecurityError"); };
  Object.defineProperty(window, kind, { get });
}"""


def test_where_the_browser_keeps_nothing_a_conversation_lasts_as_long_as_its_page(
    visit, reading, model
):
    page = visit(base_url=reading.base_url)
    page.add_init_script(BLOCKED)
    page.goto("/")

    say(page, "What is a node?")
    answered(page)
    say(page, "And a topic?")
    answered(page, 2)
    assert len(model.prompt) == 4

    page.reload()
    expect(page.get_by_text("Ask anything about the book")).to_be_visible()


def test_long_conversations_are_read_page_by_page(chat_page, reading, model):
    page = chat_page()
    say(page, "Question 0")
    expect(replies(page)).to_have_text(ANSWER)
    session = page.evaluate("JSON.parse(localStorage[`book-chat ${origin} session`])")
    for number in range(1, 30):
        reading.client.post("/chat", json={"message": f"Question {number}", "session_id": session})

    page.reload()
    expect(replies(page)).to_have_count(25)
    page.get_by_role("button", name="Earlier messages").click()

    expect(replies(page)).to_have_count(30)
    expect(page.locator(".message.user").first).to_have_text(re.compile("Question 0"))
    expect(page.get_by_role("button", name="Earlier messages")).to_be_hidden()


def test_another_tab_sees_the_same_conversation(chat_page):
    page = chat_page()
    other = page.context.new_page()
    other.goto(page.url, wait_until="networkidle")

    say(page, "What is a node?")
    expect(replies(page)).to_have_text(ANSWER)

    expect(replies(other)).to_have_text(ANSWER)


def test_what_one_tab_deletes_is_gone_from_the_other(chat_page):
    page = chat_page()
    say(page, "What is a node?")
    answered(page)
    other = page.context.new_page()
    other.goto(page.url)
    answered(other)

    page.get_by_role("button", name="Delete my conversation").click()
    page.get_by_role("button", name="Delete", exact=True).click()

    expect(replies(other)).to_have_count(0)
    say(other, "And now?")
    answered(other)
    answered(page)  # the new one is both's


def test_deleting_while_an_answer_is_written_ends_it(chat_page, model, stored, troubles):
    model.says(HELD, Reply(ANSWER))
    page = chat_page()
    say(page, "Is this deleted in between?")
    expect(replies(page)).to_contain_text("two")

    page.get_by_role("button", name="Delete my conversation").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Your conversation was deleted.")
    expect(replies(page)).to_have_count(0)

    assert elsewhere(Message.objects.filter(content="Is this deleted in between?").count) == 0
    say(page, "And now?")
    answered(page)
    troubles[:] = [trouble for trouble in troubles if "ERR_ABORTED" not in trouble]  # as it should


# Everyone -----------------------------------------------------------------------------------
HEARD = """() => {
  window.heard = [];
  const chat = document.querySelector("book-chat").shadowRoot;
  const status = chat.querySelector("[role=status]");
  const hear = () => status.textContent && heard.push(status.textContent);
  new MutationObserver(hear).observe(status, { childList: true });
}"""


def test_screen_readers_hear_of_an_answers_start_and_end_and_not_every_word(chat_page, model):
    model.says(SLOW)
    page = chat_page()
    page.evaluate(HEARD)

    say(page, "Count!")
    answered(page)
    expect(page.get_by_role("status")).to_have_text("The answer is finished.")

    assert page.evaluate("heard") == ["The answer has started.", "The answer is finished."]
    assert page.get_by_role("log").get_attribute("aria-live") == "off"


@pytest.mark.parametrize(
    ("lang", "title", "direction"),
    [
        ("ur", "کتاب سے پوچھیں", "rtl"),
        ("es-MX", "Pregunta al libro", "ltr"),
        ("de", "Frag das Buch", "ltr"),
        ("fr", "Ask the book", "ltr"),
    ],
)
def test_the_chat_speaks_the_pages_language(open_book, lang, title, direction):
    page = open_book(lang=lang)

    page.get_by_role("button", name=title).click()

    assert (
        page.get_by_role("dialog").evaluate("each => getComputedStyle(each).direction") == direction
    )


def test_each_language_has_every_word():
    source = (CHECKOUT / "widget" / "words.js").read_text()
    languages = re.findall(r"const (\w\w) = \{(.*?)\n\};", source, re.DOTALL)
    words = {name: re.findall(r"^  (\w+): ", body, re.MULTILINE) for name, body in languages}

    assert set(words) == {"en", "de", "es", "ur"}
    assert all(each == words["en"] for each in words.values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("contrast", ["no-preference", "more"])
def test_the_chat_keeps_nobody_out(open_book, model, scheme, contrast):
    model.says(MARKDOWN, Reply(MARKDOWN))
    page = open_book('data-theme="light dark"', color_scheme=scheme, contrast=contrast)
    select(page)
    page.get_by_role("button", name="Ask about this").click()
    say(page, "What is a node?")
    page.get_by_role("button", name="Not helpful").click()
    page.get_by_role("button", name="Delete my conversation").click()
    select(page)
    expect(page.get_by_role("button", name="Ask about this")).to_be_visible()

    assert serious_problems(page) == []


@pytest.mark.parametrize("width", [320, 390, 768, 1920])
def test_the_chat_fits_every_width(open_book, chat_page, model, width):
    model.says(MARKDOWN)
    for page in (
        open_book(viewport={"width": width, "height": 640}),
        chat_page(viewport={"width": width, "height": 640}),
    ):
        if page.get_by_role("button", name="Ask the book").count():
            page.get_by_role("button", name="Ask the book").click()
        say(page, "W" * 200)
        expect(replies(page)).to_contain_text("node")
        scroller = page.locator(".scroller")

        assert overflow(page) <= 0
        assert scroller.evaluate("each => each.scrollWidth - each.clientWidth") <= 0
        assert page.get_by_label("Your question").bounding_box()["width"] > 150


# Safe ---------------------------------------------------------------------------------------
def test_our_pages_allow_no_inline_script_and_no_other_host(reading):
    for path in ("/", "/docs", "/admin/login/"):
        policy = reading.client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy


def test_the_documentation_works_under_that_policy(visit, reading):
    page = visit(base_url=reading.base_url)
    page.goto("/docs")

    expect(page.get_by_text("Ask a question").first).to_be_visible()


def test_a_line_says_when_the_demonstration_model_answers(visit, serve, book):
    server = serve(EMBEDDED="true", OPENAI_BASE_URL="", OPENAI_API_KEY="", OPENAI_MODEL="")
    page = visit()

    page.goto(server.base_url)
    ready(page)
    expect(page.get_by_text("a small demonstration model and are often wrong")).to_be_visible()
    expect(page.get_by_text("OPENAI_API_KEY")).to_be_visible()
    page.goto(book.write(server.base_url))
    page.get_by_role("button", name="Ask the book").click()
    expect(page.get_by_text("A small demonstration model is answering.")).to_be_visible()
