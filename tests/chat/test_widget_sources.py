"""What readers see of an answer's sources, in a real Chromium: numbers, cards, lists, the book."""

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.browser import overflow, serious_problems
from tests.helpers.cited import ScriptedTurns, source
from tests.helpers.reader import answered, expected, ready, replies, say

PROSE = "<p>" + "Robots are made of many programs. " * 60 + "</p>"
CHAPTER = f"""<main><h1>Robots</h1>{PROSE}
<h2 id="nodes">Nodes</h2>
<p>A <em>node</em> is a process&nbsp;&ndash; of its &ldquo;own&rdquo;. It spins.</p>{PROSE}
<h2 id="topics">Topics</h2><details><summary>More</summary>
<p>A node is a process, too.</p></details>
<p id="last">Topics have names.</p>{PROSE}</main>"""
QUOTE = 'A **node** is a process - of its "own".'
ANSWER = "Nodes are processes[1], and topics have names[2].\n\n```\nnodes[1]\n```"
HIGHLIGHTED = """() => [...(CSS.highlights.get("book-chat") ?? [])]
  .map((range) => range.toString()).join("|")"""
IN_VIEW = """() => { const [range] = [...CSS.highlights.get("book-chat")];
  const { top, bottom } = range.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight; }"""
SENTENCE = "A node is a process\u00a0\u2013 of its “own”."
CARD = 'Robots Nodes A node is a process - of its "own". Show in the book'
PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def cited(open_book, book):
    """A page of the book, with an answer that cites it and another page."""

    def opening(settings="", text=ANSWER, sources=None, body=CHAPTER, **options):
        page = open_book(settings, head="", body=body, **options)
        page.turns = ScriptedTurns(page)
        page.turns.answers(text, *(both_pages(book) if sources is None else sources))
        page.locator(".opener").click()  # in whatever language
        page.locator(".line textarea").fill("What is a node?")
        page.keyboard.press("Enter")
        page.locator(".actions").wait_for()
        return page

    return opening


def both_pages(book):
    return [
        source(1, "Robots", f"{book.url}/one.html#nodes:~:text=A%20node", QUOTE, section="Nodes"),
        source(
            2, "Topics", f"{book.url}/two.html#topics:~:text=Topics%20have", "Topics have names."
        ),
    ]


def numbers(page: Page):
    return replies(page).last.locator("a.number")


def card(page: Page):
    return page.get_by_role("tooltip")


# Numbers, cards, lists ----------------------------------------------------------------------
def test_numbers_are_links_that_screen_readers_can_name_and_code_stays_code(cited, book):
    page = cited()

    expect(numbers(page)).to_have_text(["[1]", "[2]"])
    expect(numbers(page).first).to_have_accessible_name("Source 1, Robots")
    expect(replies(page).locator("pre")).to_have_text("nodes[1]\n")
    listed = page.get_by_role("group", name="Sources").get_by_role("link")
    expect(listed).to_have_text(["Robots \u203a Nodes", "Topics"])
    assert listed.nth(1).get_attribute("href") == f"{book.url}/two.html#topics:~:text=Topics%20have"


def test_the_mouse_shows_a_card_that_stays_while_it_is_on_it(cited):
    page = cited()

    numbers(page).first.hover()

    expect(card(page).locator(".title")).to_have_text("Robots")
    expect(card(page).locator(".path")).to_have_text("Nodes")
    expect(card(page).locator("blockquote strong")).to_have_text("node")
    card(page).get_by_role("link", name="Show in the book").hover()
    page.wait_for_timeout(400)  # longer than it takes to disappear
    expect(card(page)).to_be_visible()
    page.get_by_label("Your question").hover()
    expect(card(page)).to_be_hidden()


def test_the_keyboard_shows_the_card_and_escape_hides_nothing_else(cited):
    page = cited()
    page.get_by_role("log").focus()

    while not numbers(page).first.evaluate("each => each.getRootNode().activeElement === each"):
        page.keyboard.press("Tab")

    expect(card(page)).to_be_visible()
    expect(numbers(page).first).to_have_accessible_description(CARD)
    page.keyboard.press("Escape")
    expect(card(page)).to_be_hidden()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Enter")
    assert page.evaluate(HIGHLIGHTED) == SENTENCE


def test_a_finger_shows_the_card_and_from_there_the_book(cited):
    page = cited(**PHONE)

    numbers(page).first.tap()
    expect(card(page)).to_be_visible()
    page.wait_for_timeout(400)  # longer than it takes to disappear
    box = card(page).bounding_box()
    assert 0 <= box["x"] <= 390 - box["width"]
    page.get_by_role("heading", name="Ask the book").tap()
    expect(card(page)).to_be_hidden()
    numbers(page).first.tap()
    card(page).get_by_role("link", name="Show in the book").tap()

    assert page.evaluate(HIGHLIGHTED).startswith("A node")
    expect(page.get_by_role("dialog")).to_be_hidden()  # it was over the page
    assert page.evaluate(IN_VIEW)


def test_a_reload_shows_the_same(cited):
    page = cited()

    page.reload()

    expect(numbers(page)).to_have_text(["[1]", "[2]"])
    numbers(page).first.hover()
    expect(card(page).locator("blockquote")).to_have_text('A node is a process - of its "own".')


# Landing ------------------------------------------------------------------------------------
def test_a_click_shows_the_sentence_on_this_page_without_loading_it_again(cited):
    page = cited()
    page.evaluate("window.first = true")

    numbers(page).first.click()

    assert page.evaluate(HIGHLIGHTED) == SENTENCE
    assert page.evaluate(IN_VIEW)
    assert page.evaluate("window.first")
    assert page.evaluate("document.activeElement.localName") == "p"
    expect(page.get_by_role("dialog")).to_be_visible()
    page.mouse.click(20, 20)
    assert page.evaluate(HIGHLIGHTED) == ""
    assert page.evaluate("document.querySelectorAll('[tabindex]').length") == 0


def test_a_quote_is_looked_for_in_its_own_section_even_where_it_is_folded(cited, book):
    url = f"{book.url}/one.html#topics"
    page = cited(sources=[source(1, "Robots", url, "A node is a process")])

    numbers(page).first.click()

    assert page.evaluate(HIGHLIGHTED) == "A node is a process"
    assert page.evaluate("document.querySelector('details').open")


def test_where_an_edit_moved_the_words_elsewhere_their_section_is_shown(cited, book):
    url = f"{book.url}/one.html#nodes:~:text=These%20words%20are%20gone"
    page = cited(sources=[source(1, "Robots", url, "Topics have names.")])

    numbers(page).first.click()

    expect(page.locator("#nodes")).to_be_in_viewport()
    assert page.evaluate(HIGHLIGHTED) == ""


def test_another_page_of_the_book_opens_in_this_tab_with_the_chat(cited):
    page = cited()

    numbers(page).nth(1).click()

    page.wait_for_url("**/two.html#topics*")
    expect(page.locator("#last")).to_be_in_viewport()
    expect(numbers(page)).to_have_text(["[1]", "[2]"])


def test_a_click_with_a_modifier_opens_a_tab_as_anywhere(cited):
    page = cited()

    with page.context.expect_page() as opened:
        numbers(page).first.click(modifiers=["Control"])

    assert opened.value.url.startswith(page.url)
    assert page.evaluate(HIGHLIGHTED) == ""


# Arriving by an address ---------------------------------------------------------------------
CODE = f"""<main><h1>Robots</h1><pre>spin()</pre>{PROSE}
<h2 id="nodes">Nodes</h2><pre><code>init()
<i>spin</i><i>(</i><i>)</i></code></pre>{PROSE}</main>
<script>function remake() {{
  for (const each of document.querySelectorAll("pre")) each.replaceWith(each.cloneNode(true));
}}</script>"""
LOW = {"width": 800, "height": 300}
TO_CODE = "#nodes:~:text=init%28%29-,spin%28%29"
SHOWN = """text => { const [range] = CSS.highlights.get("book-chat") ?? [];
  return range && String(range) === text; }"""
ROUTER = """<script>addEventListener("click", async event => {
  const link = event.composedPath()[0].closest?.("a[href]");
  if (!link) return;
  event.preventDefault();
  const text = await (await fetch(link.href)).text();
  history.pushState(null, "", link.href);
  const page = new DOMParser().parseFromString(text, "text/html");
  document.body.replaceChildren(...page.body.children);
});</script>"""


def arrive_at_code(page, book):
    page.goto("about:blank")
    page.goto(f"{book.url}/one.html{TO_CODE}")
    page.wait_for_function(SHOWN, arg="spin()")


def remake(page):
    """The page's scripts put its code anew, and the chat has seen it."""
    page.evaluate("[window.old] = CSS.highlights.get('book-chat'); remake()")
    page.wait_for_function(f"!CSS.highlights.get('book-chat').has(old) && ({SHOWN})('spin()')")


def test_code_that_the_page_makes_anew_is_highlighted_all_the_same(open_book, book):
    page = open_book(head="", body=CODE, viewport=LOW)
    arrive_at_code(page, book)

    remake(page)

    assert page.evaluate(IN_VIEW)


def test_a_reader_who_reads_elsewhere_by_then_is_left_there(open_book, book):
    page = open_book(head="", body=CODE, viewport=LOW)
    arrive_at_code(page, book)

    page.mouse.wheel(0, 5000)
    page.wait_for_function(f"!({IN_VIEW})()")
    remake(page)

    assert not page.evaluate(IN_VIEW)


def test_an_address_without_words_or_one_gone_back_to_is_left_to_the_browser(open_book, book):
    page = open_book(head="", body=CODE)

    assert page.evaluate(HIGHLIGHTED) == ""
    arrive_at_code(page, book)
    page.reload()
    ready(page)
    page.wait_for_function("document.readyState === 'complete'")

    assert page.evaluate(HIGHLIGHTED) == ""


@pytest.mark.parametrize(("position", "is_open"), [("left", False), ("right", True)])
def test_the_panel_is_open_on_the_next_page_unless_it_would_cover_the_sentence(
    cited, position, is_open
):
    page = cited(f'data-position="{position}"')

    numbers(page).nth(1).click()

    page.wait_for_url("**/two.html#topics*")
    page.wait_for_function(SHOWN, arg="Topics have")
    expect(page.get_by_role("dialog")).to_be_visible(visible=is_open)
    assert page.evaluate("document.activeElement === document.body")
    if not is_open:
        page.get_by_role("button", name="Ask the book").click()
    expect(numbers(page)).to_have_text(["[1]", "[2]"])


def test_where_a_router_turns_to_the_page_the_sentence_is_shown_too(cited):
    page = cited(body=CHAPTER + ROUTER)
    page.evaluate("window.first = true")

    numbers(page).nth(1).click()

    page.wait_for_function(SHOWN, arg="Topics have")
    assert page.evaluate("window.first && location.pathname") == "/two.html"
    assert page.evaluate(IN_VIEW)


def test_on_the_chats_own_page_a_source_opens_in_a_tab_of_its_own(chat_page, reading):
    page = chat_page()
    page.turns = ScriptedTurns(page)
    url = f"{reading.base_url}/example/nodes#:~:text=A%20node%20is%20an%20executable"
    page.turns.answers("A node computes[1].", source(1, "Nodes", url, "A node is an executable"))
    say(page, "What is a node?")
    answered(page)

    with page.context.expect_page() as opened:
        numbers(page).click()

    opened.value.wait_for_function(SHOWN, arg="A node is an executable")
    expect(opened.value.get_by_role("dialog")).to_be_hidden()
    expect(numbers(page)).to_have_text("[1]")
    page.goto(f"{reading.base_url}/example/")  # in this tab
    expect(ready(page).get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Ask the book").click()
    expect(numbers(page)).to_have_text("[1]")


# What an answer rests on --------------------------------------------------------------------
def test_where_the_book_is_silent_the_closest_sections_are_offered(cited, book):
    nearest = [{"title": "Robots", "section": "Topics", "url": f"{book.url}/one.html#topics"}]
    page = cited()
    page.turns.answers("That is not in the book.", grounding="silent", nearest=nearest)

    say(page, "Who won the cup?")

    expect(page.get_by_text("The book does not cover this.")).to_be_visible()
    page.get_by_role("group", name="What comes closest in the book").get_by_role("link").click()
    expect(page.locator("#topics")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("grounding", "text", "mark"),
    [
        ("silent", "Some other knowledge. " * 20, "This answer is not from the book"),
        ("excerpts", "> Topics have names. [1]", "Excerpts from the book, not an answer."),
    ],
)
def test_what_is_no_answer_from_the_book_says_so_first(cited, grounding, text, mark):
    page = cited()
    page.turns.answers(text, *page.turns.next["sources"][:1], grounding=grounding, nearest=[])

    say(page, "Who won the cup?")
    answered(page, 2)

    expect(page.locator(".message.assistant").last.locator(".head")).to_contain_text(mark)


# In the place of an earlier question --------------------------------------------------------
def test_another_answer_takes_the_place_of_the_last(cited):
    page = cited()
    first = page.turns.messages[0]["id"]
    page.turns.answers("Another.")

    page.get_by_role("button", name="Another answer").click()

    expect(replies(page)).to_have_text("Another.")
    assert page.turns.requests[-1]["replaces"] == first
    assert page.turns.requests[-1]["message"] == "What is a node?"


def test_where_another_answer_is_refused_the_first_one_can_be_had_again(cited, troubles):
    page = cited()
    page.turns.refuses(503, "Try later.")

    page.get_by_role("button", name="Another answer").click()
    expect(page.locator(".failure", has_text="Try later.")).to_be_visible()
    expect(numbers(page)).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()

    expect(numbers(page)).to_have_count(2)
    expect(page.get_by_role("button", name="Another answer")).to_be_visible()
    expected(troubles, "503")


def test_a_question_is_edited_or_left_as_it_was(cited):
    page = cited()
    page.turns.answers("Two.")
    say(page, "And a topic?")
    answered(page, 2)
    field = page.get_by_label("Your question")
    field.fill("A draft")

    page.get_by_role("button", name="Edit").first.click()
    expect(field).to_have_value("What is a node?")
    page.keyboard.press("Escape")
    expect(field).to_have_value("A draft")
    expect(page.get_by_text("will be asked anew")).to_be_hidden()

    page.get_by_role("button", name="Edit").first.click()
    say(page, "What is a robot?")
    answered(page)
    expect(page.locator(".message.user .text")).to_have_text(["What is a robot?"])
    expect(field).to_have_value("A draft")
    assert "replaces" in page.turns.requests[-1]


# Copying, printing, other directions --------------------------------------------------------
def test_what_is_copied_takes_its_sources_along(cited, book):
    page = cited(permissions=["clipboard-read", "clipboard-write"])
    lines = [
        f"[1] Robots \u203a Nodes: {book.url}/one.html#nodes:~:text=A%20node",
        f"[2] Topics: {book.url}/two.html#topics:~:text=Topics%20have",
    ]

    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert copied(page) == f"{ANSWER}\n\n" + "\n".join(lines)
    selecting = "each => getSelection().selectAllChildren(each.querySelector('p'))"
    replies(page).evaluate(selecting)
    page.keyboard.press("Control+KeyC")

    selected = "Nodes are processes[1], and topics have names[2].\n\n" + "\n".join(lines)
    assert copied(page).strip() == selected


def copied(page: Page) -> str:
    return page.evaluate("navigator.clipboard.readText()").replace("\r\n", "\n")


def test_sources_are_printed_with_their_addresses_and_cards_are_not(chat_page, book):
    page = chat_page()
    page.turns = ScriptedTurns(page)
    page.turns.answers(ANSWER, *both_pages(book))
    say(page, "What is a node?")
    answered(page)
    numbers(page).first.hover()
    expect(card(page)).to_be_visible()

    page.emulate_media(media="print")

    expect(card(page)).to_be_hidden()
    link = page.get_by_role("group", name="Sources").get_by_role("link").first
    printed = link.evaluate("each => getComputedStyle(each, '::after').content")
    assert printed == f'" ({book.url}/one.html#nodes)"'
    assert link.get_attribute("target") == "_blank"  # the book is another site than this page


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, {"forced_colors": "active"}])
def test_cards_and_lists_are_accessible_and_fit_a_small_window_right_to_left(cited, options):
    page = cited('data-lang="ur"', lang="ur", viewport={"width": 320, "height": 600}, **options)

    numbers(page).first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(card(page)).to_be_visible()

    assert overflow(page) <= 0
    assert serious_problems(page) == []
    box = card(page).bounding_box()
    assert 0 <= box["x"] <= 320 - box["width"]
    expect(numbers(page).first).to_have_accessible_name("ماخذ 1، Robots")
