"""The chat where it is hard: other people's styles, policies and shortcuts, odd texts, odd eyes."""

import re
from uuid import uuid4

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from chat.models import Message
from tests.helpers.browser import CHROMIUM, OPTIONS, elsewhere, overflow, serious_problems, watch
from tests.helpers.reader import (
    ANSWER,
    BODY,
    PASSAGE,
    POLICY,
    answered,
    is_focused,
    ready,
    replies,
    say,
    select,
)
from tests.helpers.scripted_model import Reply

OPENER = "Ask the book"


def opened(page):
    page.get_by_role("button", name=OPENER).click()
    return page


def style(locator, name):
    return locator.evaluate("(each, name) => getComputedStyle(each)[name]", name)


# Styles -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "css",
    [
        "* { all: unset !important }",
        "* { font: 40px/3 fantasy !important; color: red !important; cursor: none;"
        " letter-spacing: 9px !important; text-transform: uppercase !important }",
        "html { font-size: 62.5% } body > * { max-width: 10px; margin: 9px; color: red }",
        "html { font-size: 150% } body { font-size: .5rem }",
    ],
)
def test_the_styles_of_a_page_do_not_reach_the_chat(open_book, css):
    page = opened(open_book(head=f"<style>{css}</style>"))
    say(page, "What is a node?")
    answered(page)

    reply = replies(page)
    assert style(reply, "fontSize") == "16px"
    assert style(reply, "letterSpacing") == "normal"
    assert style(reply, "textTransform") == "none"
    assert style(reply, "color") == "rgb(29, 31, 35)"
    assert "system-ui" in style(reply, "fontFamily")
    expect(reply).to_be_visible()
    box = page.get_by_role("dialog").bounding_box()
    assert (box["width"], box["y"] > 0) == (416, True)
    opener = page.locator(".opener").bounding_box()
    assert (opener["width"], opener["height"]) == (56, 56)
    select(page)
    assert style(page.get_by_role("button", name="Ask about this"), "fontSize") == "16px"


def test_a_page_may_hide_the_chat_where_it_is_not_wanted(open_book):
    page = open_book(head="<style>book-chat { display: none }</style>")

    expect(page.get_by_role("button", name=OPENER)).to_be_hidden()


def test_an_accent_of_the_page_s_own_colours_is_followed(open_book):
    page = open_book(
        'data-accent="var(--brand)"', head="<style>:root { --brand: rgb(0, 80, 0) }</style>"
    )

    button = page.get_by_role("button", name=OPENER)
    assert style(button, "backgroundColor") == "rgb(0, 80, 0)"


# Scripts ------------------------------------------------------------------------------------
def test_what_readers_type_is_no_shortcut_of_the_page(open_book):
    listening = """() => {
      const hear = (event) => (window.heard = event.type);
      for (const kind of ["keydown", "keypress", "keyup"]) addEventListener(kind, hear);
    }"""
    page = opened(open_book())
    page.evaluate(listening)

    page.keyboard.type("next /page?")
    page.keyboard.press("Enter")
    expect(replies(page)).to_have_text(ANSWER)
    assert page.evaluate("window.heard") is None

    page.keyboard.press("Alt+Shift+KeyA")  # our own still closes
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_shortcuts_of_the_page_still_work_outside_the_chat(open_book):
    page = open_book()
    page.evaluate("addEventListener('keydown', (event) => window.heard = event.key)")

    page.keyboard.press("n")

    assert page.evaluate("window.heard") == "n"


POLLUTED = """<script>
Object.prototype.extra = function () {};
Object.prototype.notice = "extra";
Array.prototype.last = function () {};
String.prototype.hidden = true;
Function.prototype.title = "title";
</script>"""


def test_prototypes_that_a_page_extends_do_no_harm(open_book, model):
    model.says(Reply("A **node** and\n\n| a |\n|---|\n| 1 |\n\n```\ncode\n```"))
    page = opened(open_book(head=POLLUTED))

    say(page, "What is a node?")

    expect(replies(page).locator("strong")).to_have_text("node")
    answered(page)


def test_a_base_address_leads_nothing_astray(open_book):
    page = opened(open_book(head='<base href="http://tracker.example/">'))

    say(page, "What is a node?")

    expect(replies(page)).to_have_text(ANSWER)


@pytest.mark.parametrize(
    "types", ["", "; trusted-types book-chat", "; trusted-types dompurify book-chat"]
)
def test_trusted_types_let_it_pass(open_book, model, types):
    model.says(Reply("A **node**."))
    policy = POLICY.replace(
        '{server}">', "{server}; require-trusted-types-for 'script'" + types + '">'
    )
    page = opened(open_book(head=policy))

    say(page, "What is a node?")

    expect(replies(page).locator("strong")).to_have_text("node")


@pytest.mark.parametrize(
    "settings",
    [
        'data-lang="constructor" data-theme="url(x)" data-accent="red; background: url(//e.test)"',
        'data-lang="__proto__" data-position="__proto__" data-shortcut="+++" data-accent="none"',
        'data-lang="" data-title="" data-shortcut="" data-accent="" data-suggestions=" | |"',
        'data-title="&lt;img src=x onerror=alert(1)&gt;" data-greeting="&lt;script&gt;alert(1)"',
    ],
)
def test_strange_settings_are_passed_over(open_book, settings):
    page = open_book(settings)

    page.locator(".opener").click()
    say(page, "What is a node?")

    expect(replies(page)).to_have_text(ANSWER)


# Selections ---------------------------------------------------------------------------------
def test_a_passage_is_cut_between_letters_and_never_within_one(open_book, model, stored):
    page = open_book()
    page.evaluate("document.querySelector('#passage').textContent = 'a' + '🤖'.repeat(25000)")
    select(page)
    page.get_by_role("button", name="Ask about this").click()
    say(page, "Cut?")

    expect(replies(page)).to_have_text(ANSWER)
    question = elsewhere(lambda: Message.objects.questions().get(content="Cut?"))
    assert question.selected_text == "a" + "🤖" * 19999


def test_letters_that_are_none_are_asked_about_all_the_same(open_book):
    page = open_book()
    page.evaluate("document.querySelector('#passage').textContent = 'half \\ud83d and \\0 nil'")
    select(page)
    page.get_by_role("button", name="Ask about this").click()
    page.evaluate("""() => {
      const chat = document.querySelector("book-chat").shadowRoot;
      chat.querySelector(".composer textarea").value = "What \\ud83d?";
    }""")
    page.keyboard.press("Enter")

    expect(replies(page)).to_have_text(ANSWER)


def test_what_the_chat_says_is_no_passage_of_the_book(open_book):
    page = opened(open_book())
    say(page, "What is a node?")
    answered(page)

    replies(page).click(click_count=3)
    page.wait_for_timeout(500)

    expect(page.get_by_role("button", name="Ask about this")).to_be_hidden()


def test_a_selection_across_forms_and_frames_is_the_text_between_them(open_book, model):
    body = f"""<main id="all"><p>Before.</p><input value="secret 1"><textarea>secret 2</textarea>
      <iframe srcdoc="secret 3"></iframe><p>{PASSAGE}</p></main>"""
    page = open_book(head="", body=body)

    select(page, "#all")
    page.get_by_role("button", name="Ask about this").click()
    say(page, "What is it?")
    expect(replies(page)).to_have_text(ANSWER)

    assert PASSAGE in model.prompt[-1]["content"]
    assert "secret" not in str(model.prompt)


def test_a_finger_that_clears_the_selection_still_asks_about_it(open_book):
    """Some phones do so before the page hears of the tap."""
    page = open_book(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    select(page)
    button = page.get_by_role("button", name="Ask about this")
    expect(button).to_be_visible()

    button.evaluate("(each) => { getSelection().removeAllRanges(); each.click(); }")

    expect(page.locator(".chip blockquote")).to_have_text(PASSAGE)


# Texts --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        ">" * 20000,
        "[" * 20000,
        "*_" * 10000,
        "- " * 10000,
        "`" * 9999 + " " + "`" * 9998,
        "$a" * 10000,
        "\\(" * 10000,
        "| " * 5000 + "\n" + "|-" * 5000,
        "<a " * 5000,
        "![" * 5000 + "](" * 5000,
    ],
    ids=lambda text: text[:4].strip(),
)
def test_markdown_made_to_take_for_ever_is_read_all_the_same(chat_page, model, text):
    model.says(Reply(text, chunks=(text,)), Reply("Next."))
    page = chat_page()

    say(page, "Is it hard?")
    answered(page)
    say(page, "And now?")

    expect(replies(page).last).to_have_text("Next.")


HOSTILE = """<img src=x onerror="window.hacked = 1"><a href="javascript:window.hacked=1" id=x>x</a>
[a](javas&#99;ript:window.hacked=1) [b](\x01javascript:window.hacked=1)
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=h=1&gt;">
<form action=//tracker.example><input name=children></form>
[c]: data:text/html,x\n\n[c] <https://tracker.example/?q=1> <book-chat></book-chat> <slot name=x>
"""


def test_corrections_are_as_harmless_as_replies(chat_page, stored):
    page = chat_page()
    say(page, "Is this hostile?")
    answered(page)
    told = Message.objects.filter(reply_to__content="Is this hostile?")
    elsewhere(lambda: told.update(correction=HOSTILE, corrected_at=timezone.now()))

    page.reload()
    expect(page.get_by_text("Correction by the authors")).to_be_visible()

    inside = page.locator(".correction")
    assert inside.locator("img, form, style, math, book-chat, slot, [id], [name]").count() == 0
    hrefs = inside.locator("a").evaluate_all("all => all.map(each => each.getAttribute('href'))")
    assert set(hrefs) <= {None, "https://tracker.example/?q=1"}
    for link in inside.locator("a").all():
        link.evaluate("each => each.removeAttribute('target')")
    assert page.evaluate("window.hacked") is None


# Coming and going ---------------------------------------------------------------------------
def test_a_question_asked_while_the_past_is_read_is_answered_in_sight(visit, reading, model):
    page = visit(base_url=reading.base_url)
    page.goto("/")
    say(page, "The first question")
    answered(page)
    page.route("**/chat/*?limit=*", lambda route: (page.wait_for_timeout(1500), route.continue_()))
    page.reload()
    model.says(Reply("The second answer.", hold_after=2))

    say(page, "The second question")
    page.wait_for_timeout(2500)
    expect(replies(page).last).to_have_text("The second")
    model.release()

    expect(replies(page).last).to_have_text("The second answer.")
    asked = page.locator(".message.user .text")
    expect(asked).to_have_text(["The first question", "The second question"])


def test_earlier_messages_leave_the_reader_where_they_were(chat_page, reading):
    page = chat_page()
    say(page, "Question 0")
    answered(page)
    session = page.evaluate("JSON.parse(localStorage[`book-chat ${origin} session`])")
    for number in range(1, 30):
        reading.client.post("/chat", json={"message": f"Question {number}", "session_id": session})
    page.reload()
    first = page.locator(".message.user", has_text="Question 5")
    page.get_by_role("button", name="Earlier messages").scroll_into_view_if_needed()
    before = first.bounding_box()["y"]

    page.get_by_role("button", name="Earlier messages").press("Enter")
    expect(replies(page)).to_have_count(30)

    assert abs(first.bounding_box()["y"] - before) < 60  # the button above is gone
    assert page.evaluate("document.activeElement.localName") == "book-chat"


def test_going_back_shows_what_was_answered_meanwhile(
    page_with_cache, troubles, book, reading, model
):
    page = page_with_cache
    page.goto(book.write(reading.base_url, head="", body=BODY))
    opened(ready(page))
    say(page, "On page one")
    answered(page)
    page.evaluate("window.kept = true")
    page.get_by_role("link", name="Chapter 2").click()
    ready(page)
    say(page, "On page two")
    answered(page, 2)

    page.go_back(wait_until="commit")

    assert page.evaluate("window.kept") is True
    answered(page, 2)
    # Chromium also delivers what the storage told meanwhile: one look too many, begun too early.
    page.wait_for_timeout(500)
    troubles[:] = [trouble for trouble in troubles if "ERR_ABORTED" not in trouble]


@pytest.fixture
def page_with_cache(browser, troubles):
    """A page in a browser that keeps pages for the way back, as readers' do."""
    own = browser.browser_type.launch(
        executable_path=CHROMIUM, args=OPTIONS, ignore_default_args=["--disable-back-forward-cache"]
    )
    context = own.new_context()
    watch(context, troubles)
    yield context.new_page()
    own.close()


# Eyes, hands and windows --------------------------------------------------------------------
def test_high_contrast_and_calm_are_heeded(open_book, model):
    model.says(Reply("One two three.", hold_after=0), Reply("Two."))
    page = open_book(forced_colors="active", reduced_motion="reduce")
    opened(page)
    say(page, "Is it seen?")

    waiting = page.locator(".waiting")
    assert style(waiting, "animationName") == "none"
    ground = style(page.get_by_role("dialog"), "backgroundColor")
    assert style(waiting, "backgroundColor") != ground
    model.release()
    answered(page)

    page.get_by_role("button", name="Not helpful").click()
    pressed = page.get_by_role("button", name="Not helpful")
    expect(pressed).to_have_attribute("aria-pressed", "true")
    other = page.get_by_role("button", name="Helpful", exact=True)
    assert style(pressed, "borderWidth") != style(other, "borderWidth")
    for name in ("Close", "New conversation", "Delete my conversation", "Send"):
        assert style(page.get_by_role("button", name=name).first, "borderStyle") == "solid"
    assert style(page.get_by_role("dialog"), "borderStyle") == "solid"
    assert serious_problems(page) == []


@pytest.fixture
def visit_with_large_letters(browser, troubles):
    """A new page in a browser whose reader has set letters to be twice as large."""
    large = browser.browser_type.launch(
        executable_path=CHROMIUM, args=[*OPTIONS, "--blink-settings=defaultFontSize=32"]
    )

    def visiting(**options):
        context = large.new_context(**options)
        watch(context, troubles)
        return context.new_page()

    yield visiting
    large.close()


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_letters_twice_as_large_fit(visit_with_large_letters, book, reading, model, width):
    model.says(Reply("A **node**:\n\n```\n" + "code " * 30 + "\n```"))
    page = visit_with_large_letters(viewport={"width": width, "height": 720})
    page.goto(book.write(reading.base_url, body=f"<p>{PASSAGE}</p>"))
    opened(ready(page))
    say(page, "What is a node?")
    answered(page)

    assert style(replies(page), "fontSize") == "32px"
    assert overflow(page) <= 0
    box = page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= width
    for name in ("Close", "Send"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_in_viewport(ratio=1)
    assert page.locator(".scroller").bounding_box()["height"] > 200


def test_a_browser_at_its_largest_zoom_can_still_ask(open_book):
    """1280 by 720 pixels at 400 % are 320 by 180."""
    page = opened(open_book(viewport={"width": 320, "height": 180}))

    say(page, "What is a node?")

    expect(replies(page)).to_have_text(ANSWER)
    expect(page.get_by_label("Your question")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)


def test_from_right_to_left_everything_is_mirrored(open_book, model):
    model.says(Reply("ایک **نوڈ**:\n\n- پہلا\n\n```\nnode = 1\n```"))
    page = open_book(lang="ur", viewport={"width": 320, "height": 640})
    page.locator(".opener").click()
    page.get_by_label("آپ کا سوال").fill("نوڈ کیا ہے؟")
    page.keyboard.press("Enter")
    expect(replies(page).locator("strong")).to_be_visible()

    assert (
        page.locator("h2").bounding_box()["x"] > page.locator("header .close").bounding_box()["x"]
    )
    assert page.locator(".line textarea").bounding_box()["x"] > 40  # the sender is on its left
    question = page.locator(".user .text").bounding_box()
    assert question["x"] < 100
    assert style(replies(page).locator("pre"), "direction") == "ltr"
    assert overflow(page) <= 0


def test_turning_a_phone_keeps_the_words_and_the_place_to_write(open_book):
    page = opened(open_book(viewport={"width": 390, "height": 780}))
    page.keyboard.type("What is")

    page.set_viewport_size({"width": 780, "height": 390})
    page.keyboard.type(" a node?")
    page.set_viewport_size({"width": 390, "height": 780})
    page.wait_for_timeout(100)
    assert is_focused(page, "Your question")
    page.keyboard.press("Enter")

    expect(page.locator(".message.user .text")).to_have_text("What is a node?")


def test_the_keyboard_alone_reaches_everything(open_book, model):
    model.says(Reply("A [link](https://example.org/) and\n\n```\ncode\n```"))
    page = open_book()
    page.keyboard.press("Alt+Shift+KeyA")
    page.keyboard.type("What is a node?")
    page.keyboard.press("Enter")
    answered(page)
    focused = "document.querySelector('book-chat').shadowRoot.activeElement"

    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        name = f"{focused} && ({focused}.ariaLabel ?? {focused}.textContent)"
        reached.append(page.evaluate(name))

    wanted = {
        "New conversation", "Delete my conversation", "Close", "link", "Copy the code", "Copy",
        "Helpful", "Not helpful", "Your question", "Send", OPENER,
    }  # fmt: skip
    assert wanted <= set(reached)


def test_escape_takes_back_one_step_at_a_time(open_book):
    page = opened(open_book())
    page.get_by_role("button", name="Delete my conversation").press("Enter")
    assert page.get_by_role("button", name="Cancel").evaluate("each => each.matches(':focus')")

    page.keyboard.press("Escape")
    expect(page.get_by_text("Delete this conversation for good?")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()


# Input methods ------------------------------------------------------------------------------
def press_while_composing(page, key):
    """As Safari does: the key that ends a composition comes after it, as key code 229."""
    keyboard = page.context.new_cdp_session(page)
    codes = {"key": key, "code": key, "windowsVirtualKeyCode": 229, "nativeVirtualKeyCode": 229}
    keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **codes})
    keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **codes})


@pytest.mark.parametrize("width", [390, 1280])
def test_keys_of_an_input_method_neither_send_nor_close(open_book, model, width):
    page = opened(open_book(viewport={"width": width, "height": 780}))
    page.get_by_label("Your question").fill("ノードとは")

    press_while_composing(page, "Enter")
    press_while_composing(page, "Escape")
    page.wait_for_timeout(300)

    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("ノードとは")
    assert model.requests == []
    page.get_by_label("Your question").press("Enter")
    expect(replies(page)).to_have_text(ANSWER)


def test_escape_takes_back_one_step_at_a_time_on_a_phone_too(open_book):
    page = opened(open_book(viewport={"width": 390, "height": 780}))
    page.get_by_role("button", name="Delete my conversation").press("Enter")

    page.keyboard.press("Escape")
    expect(page.get_by_text("Delete this conversation for good?")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()


EMPTY = [
    "\u200b",
    "\u200b \u200d\n\u2060",
    "\ufeff",
    "\u00ad",
    "\u3164",
    "\u2800",
    "\u202e\u202c",
    "\x01",
]


@pytest.mark.parametrize("text", EMPTY, ids=ascii)
def test_a_question_that_shows_nothing_is_not_sent(open_book, model, text):
    page = opened(open_book())
    page.get_by_label("Your question").fill(text)

    page.keyboard.press("Enter")
    page.get_by_role("button", name="Send").click()
    page.wait_for_timeout(300)

    expect(page.locator(".message")).to_have_count(0)
    assert model.requests == []


def test_a_selection_that_shows_nothing_is_no_passage(open_book):
    page = open_book()
    page.evaluate("document.querySelector('#passage').textContent = '\\u200b\\u2060 \\u200b'")

    select(page)
    page.wait_for_timeout(500)

    expect(page.get_by_role("button", name="Ask about this")).to_be_hidden()


# Directions ---------------------------------------------------------------------------------
BOTH_WAYS = """An English line.

ایک اردو سطر

- `node` ایک پروگرام ہے
- 2025
- An English item

> ایک اقتباس

## سرخی

1. One

| نام | Name |
|---|---|
| نوڈ | node |

`code`
"""


def test_each_block_of_a_reply_has_its_own_direction(chat_page, model):
    model.says(BOTH_WAYS)
    page = chat_page()
    say(page, "What is a node?")
    text = replies(page)
    expect(text.locator("td")).to_have_count(2)

    def directions(selector):
        each = "all => all.map(each => getComputedStyle(each).direction)"
        return text.locator(selector).evaluate_all(each)

    assert directions(":scope > p") == ["ltr", "rtl", "ltr"]
    assert directions("ul, ul > li") == ["rtl", "rtl", "rtl", "ltr"]
    assert directions("blockquote, blockquote p, h2") == ["rtl", "rtl", "rtl"]
    assert directions("ol, ol > li") == ["ltr", "ltr"]
    assert directions("table, th, td") == ["rtl", "rtl", "ltr", "rtl", "ltr"]
    urdu, english = text.locator(":scope > p").nth(1), text.locator(":scope > p").nth(0)
    assert left_of_text(urdu) > left_of_text(english) + 100
    assert (
        left_of_text(text.locator("ul > li").nth(0)) > left_of_text(text.locator("ol > li")) + 100
    )


def test_each_line_of_a_question_has_its_own_direction(chat_page, model):
    page = chat_page()
    page.get_by_label("Your question").fill("A long English line before it:\nنوڈ کیا ہے؟")
    page.keyboard.press("Enter")

    lines = page.locator(".user .text p").evaluate(LINES)

    assert lines[1]["right"] == pytest.approx(lines[0]["right"], abs=20)
    assert lines[1]["left"] > lines[0]["left"] + 50


LINES = """(each) => {
  const range = document.createRange();
  range.selectNodeContents(each);
  const lines = {};
  for (const { top, left, right, width } of range.getClientRects()) {
    if (width < 2) continue;
    const line = (lines[Math.round(top)] ??= { left, right });
    Object.assign(line, { left: Math.min(line.left, left), right: Math.max(line.right, right) });
  }
  return Object.values(lines);
}"""


def left_of_text(locator):
    return locator.evaluate(LINES)[0]["left"]


# The page's layout --------------------------------------------------------------------------
LAYOUTS = [
    "body { display: flex; gap: 40px; justify-content: space-between }",
    "body { display: flex; flex-direction: column; gap: 40px }",
    "body { display: grid; gap: 40px; grid-auto-rows: 100px }",
    "body { display: flex; gap: 40px } body > * { flex: 1; min-width: 100px; padding: 9px }",
    "body { display: grid; gap: 40px } "
    "body > * { display: block; position: static; min-height: 90px }",
    "body { display: flex; gap: 40px } * { all: unset !important }",
    "body > * { transform: scale(.5); filter: blur(1px); contain: strict; margin-top: 90px }",
]


@pytest.mark.parametrize("css", LAYOUTS)
def test_the_chat_takes_no_place_in_the_page_s_layout(open_book, css):
    body = "<main>A chapter.</main><footer>The end.</footer>"
    page = open_book(head=f"<style>{css}</style>", body=body)
    opener = page.locator(".opener")
    expect(opener).to_be_visible()
    measure = """() => [
      ...[...document.querySelectorAll("body, main, footer")]
        .map((each) => each.getBoundingClientRect()),
      document.documentElement.scrollHeight, document.documentElement.scrollWidth,
    ].map((each) => JSON.stringify(each))"""
    with_chat = page.evaluate(measure)
    box = opener.bounding_box()

    page.evaluate("""() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync("book-chat { display: none !important }");
      document.adoptedStyleSheets = [sheet];
    }""")
    expect(opener).to_be_hidden()

    assert page.evaluate(measure) == with_chat
    assert (box["width"], box["height"]) == (56, 56)
    assert box["x"] + box["width"] == page.viewport_size["width"] - 20
    assert box["y"] + box["height"] == page.viewport_size["height"] - 20


# Shadow trees of the page's own -------------------------------------------------------------
SHADOWED = f"""<script>
customElements.define("book-page", class extends HTMLElement {{
  connectedCallback() {{
    this.attachShadow({{ mode: "open" }}).innerHTML = this.content;
  }}
  content = `<h2>Nodes</h2><p id="inner">{PASSAGE}</p><textarea>my notes</textarea>
    <book-part></book-part><slot></slot>`;
}});
customElements.define("book-part", class extends HTMLElement {{
  connectedCallback() {{
    this.attachShadow({{ mode: "open" }}).innerHTML = "<p id=deep>A passage further down.</p>";
  }}
}});
</script>"""
SHADOWED_BODY = "<main><p>Before.</p><book-page><p id=slotted>Slotted text.</p></book-page></main>"


OLDER = "<script>delete Selection.prototype.getComposedRanges</script>"


@pytest.mark.parametrize("browser_age", ["", OLDER], ids=["new", "of 2024"])
@pytest.mark.parametrize(
    ("selector", "text"),
    [("#inner", PASSAGE), ("#deep", "A passage further down."), ("#slotted", "Slotted text.")],
)
def test_a_passage_in_a_shadow_tree_of_the_page_is_asked_about(
    open_book, model, stored, selector, text, browser_age
):
    page = open_book(head=SHADOWED + browser_age, body=SHADOWED_BODY)

    page.locator(selector).click(click_count=3)
    button = page.get_by_role("button", name="Ask about this")
    expect(button).to_be_visible()
    box = page.locator(selector).bounding_box()
    assert 0 <= button.bounding_box()["y"] - (box["y"] + box["height"]) < 40
    button.click()
    say(page, "What is it?")
    answered(page)

    question = elsewhere(lambda: Message.objects.questions().order_by("-id")[0])
    assert question.selected_text == text


def test_the_shortcut_asks_about_a_passage_in_a_shadow_tree(open_book):
    page = open_book(head=SHADOWED, body=SHADOWED_BODY)
    page.locator("#inner").click(click_count=3)

    page.keyboard.press("Alt+Shift+KeyA")

    expect(page.locator(".chip blockquote")).to_have_text(PASSAGE)


def test_what_readers_write_in_a_shadow_tree_is_not_offered(open_book):
    page = open_book(head=SHADOWED, body=SHADOWED_BODY)

    page.locator("book-page textarea").click()
    page.keyboard.press("Control+KeyA")
    page.wait_for_timeout(500)

    expect(page.get_by_role("button", name="Ask about this")).to_be_hidden()


# On paper -----------------------------------------------------------------------------------
CUT = """() => [...document.querySelector("book-chat").shadowRoot.querySelectorAll("*")]
  .filter((each) => getComputedStyle(each).overflow !== "visible" && each.getClientRects().length)
  .filter((each) =>
    each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1)
  .filter((each) => !each.matches(".hidden"))
  .map((each) => each.outerHTML.slice(0, 80))"""


def test_printing_our_own_page_prints_all_of_the_conversation(visit, reading, model):
    session = str(uuid4())
    long = f"```\n{'code ' * 60}\n```\n\n" + "A line.\n\n" * 3
    for number in range(30):
        model.says(f"Answer {number}.\n\n{long}")
        body = {
            "message": f"Question {number}?",
            "session_id": session,
            "selected_text": PASSAGE * 20,
        }
        assert reading.client.post("/chat", json=body).status_code == 200
    page = visit(base_url=reading.base_url)
    stored = f"localStorage['book-chat {reading.base_url} session'] = '\"{session}\"'"
    page.add_init_script(stored)
    page.goto("/")
    expect(replies(page)).to_have_count(25)

    sheets = len(re.findall(rb"/Type */Page\b", page.pdf()))

    expect(replies(page)).to_have_count(30)
    assert sheets > 10
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == []
    last = replies(page).last.bounding_box()
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height >= page.evaluate("scrollY") + last["y"] + last["height"]
    for hidden in (".composer", ".older", "header button", ".actions", ".copy"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator("footer")).to_be_hidden()
    page.emulate_media(media="screen")
    expect(page.locator(".composer")).to_be_visible()


def test_a_conversation_that_cannot_be_read_is_printed_as_far_as_it_is_shown(chat_page, model):
    page = chat_page()
    say(page, "What is a node?")
    answered(page)
    page.evaluate("() => { window.XMLHttpRequest = class { open() { throw Error('Not now.') } } }")

    assert page.pdf()
    expect(replies(page)).to_have_text(ANSWER)


def test_dark_pages_are_printed_black_on_white(chat_page, model):
    page = chat_page(color_scheme="dark")
    say(page, "What is a node?")
    answered(page)

    page.emulate_media(media="print", color_scheme="dark")

    assert style(replies(page), "color") == "rgb(29, 31, 35)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_printed_book_shows_no_chat(open_book):
    page = opened(open_book())

    page.emulate_media(media="print")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".opener")).to_be_hidden()
