"""What staff do in the admin, in a real Chromium against the real server."""

import csv
import json
import re
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from chat.models import ChatSession, Message
from tests.helpers.browser import elsewhere, log_in, overflow, serious_problems
from tests.helpers.waiting import eventually

SESSIONS = "/admin/chat/chatsession/"
MESSAGES = "/admin/chat/message/"
INSIGHTS = "/admin/insights/"
PASSWORD = "pass phrase"
PHONES = [{"width": 390, "height": 844}, {"width": 320, "height": 568}]


# The label of Django's `admin/search_form.html` is a picture with a text in its place, which axe
# does not read; Chromium does (`test_words_phrases_and_exclusions_find_conversations`).
KNOWN = 'label-title-only: <input type="text" size="40" name="q" '


def unknown_problems(page):
    return [each for each in serious_problems(page) if not each.startswith(KNOWN)]


@pytest.fixture(scope="module")
def cookies(browser, server, django_db_blocker):
    """Those of Rita, a reviewer, and Ada, a superuser; each has logged in once."""

    def hire():
        rita = User.objects.create_user("rita", password=PASSWORD, is_staff=True)
        rita.groups.add(Group.objects.get(name="Conversation reviewers"))
        User.objects.create_superuser("ada", password=PASSWORD)

    def logged_in(name):
        page = browser.new_page(base_url=server.base_url)
        log_in(page, name, PASSWORD)
        state = page.context.storage_state()
        page.context.close()
        return state

    with django_db_blocker.unblock():
        elsewhere(hire)
        yield {name: logged_in(name) for name in ("rita", "ada")}
        elsewhere(User.objects.filter(username__in=("rita", "ada")).delete)


@pytest.fixture
def staff(visit, server, cookies, stored):
    """Opens a page as one of them, without any conversations."""
    elsewhere(ChatSession.objects.all().delete)
    return lambda name, **options: visit(
        base_url=server.base_url, storage_state=cookies[name], **options
    )


@pytest.fixture
def page(staff):
    """A page of Rita's."""
    return staff("rita")


def shows(page, *questions):
    """The list has these conversations, newest first."""
    expect(page.locator("#result_list .field-first_question a")).to_have_text(questions)


def starts_with(page, question):
    """The open conversation starts with this question."""
    expect(page.locator(".message.user .text").first).to_have_text(question)


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def judged():
    sessions = ChatSession.objects.exclude(verdict="").values_list("verdict", "review_note")
    return elsewhere(lambda: sorted(sessions))


# Finding ------------------------------------------------------------------------------------
def test_three_clicks_lead_from_login_to_a_judged_conversation(visit, server, staff, ask):
    ask()
    page = visit(base_url=server.base_url)
    log_in(page, "rita", PASSWORD)

    page.get_by_role("link", name="Sessions").click()
    page.get_by_role("link", name="What is a node?").click()
    page.get_by_role("radio", name="Good").click()
    page.keyboard.press("Enter")

    expect(page.get_by_text("Your review is stored.")).to_be_visible()
    assert judged() == [("good", "")]


def test_words_phrases_and_exclusions_find_conversations(page, ask):
    for question in ("Servos move joints", "A servo and a lidar", "Neither"):
        ask(question)
    page.goto(SESSIONS)

    for words, found in (
        ("servo", ["A servo and a lidar", "Servos move joints"]),
        ('"move joints"', ["Servos move joints"]),
        ("servo -lidar", ["Servos move joints"]),
        ("gripper", []),
    ):
        page.get_by_role("textbox", name="Search").fill(words)
        page.get_by_role("button", name="Search").click()
        shows(page, *found)


def dislike(client, answer):
    address = f"/chat/{answer['session_id']}/messages/{answer['message_id']}/feedback"
    assert client.put(address, json={"rating": "down", "comment": "Too long."}).status_code == 200


def test_a_filter_leaves_what_it_says_and_previous_and_next_stay_within_it(page, ask, client):
    for name in ("First", "Second", "Third"):
        answer = ask(f"{name}?").json()
        if name != "Second":
            dislike(client, answer)
    page.goto(SESSIONS)

    page.get_by_role("link", name="with a thumb down").click()
    shows(page, "Third?", "First?")
    page.get_by_role("link", name="Third?").click()
    page.get_by_role("link", name="Older →").click()
    starts_with(page, "First?")
    expect(page.get_by_role("link", name="Older →")).to_have_count(0)
    page.get_by_role("link", name="← Newer").click()
    starts_with(page, "Third?")
    page.get_by_role("link", name="Sessions").click()
    shows(page, "Third?", "First?")


# Reading ------------------------------------------------------------------------------------
PASSAGE = "A node is an executable process - it computes, and talks to other nodes by topics."
BOOK = f"""<!doctype html><title>Chapter 1</title><link rel="icon" href="data:,">
<p>Before.<p style="margin-top: 9000px" id="passage">{PASSAGE}<p style="margin-top: 9000px">After.
"""


def test_a_passage_is_quoted_and_its_link_leads_to_it_in_the_book(page, ask):
    answer = ask("Why?", selected_text=PASSAGE, page_url="https://book.example/chapter-1").json()
    page.route(
        "https://book.example/chapter-1",
        lambda route: route.fulfill(body=BOOK, content_type="text/html"),
    )
    page.goto(f"{SESSIONS}{answer['session_id']}/change/")

    assert PASSAGE in page.locator("blockquote").inner_text()
    page.get_by_role("link", name="See it in the book").click()

    page.wait_for_function("""() => {
            const place = document.querySelector("#passage").getBoundingClientRect();
            return scrollY > 0 && place.top >= 0 && place.bottom <= innerHeight;
        }""")


# Judging, correcting ------------------------------------------------------------------------
def test_a_judged_conversation_leads_to_the_next_unreviewed(page, ask):
    for name in ("First", "Second", "Third"):
        ask(f"{name}?")
    page.goto(SESSIONS)
    page.get_by_role("link", name="Third?").click()

    for following in ("Second?", "First?"):
        page.get_by_role("radio", name="Needs work").check()
        page.get_by_label("Note").fill("Too long.")
        page.get_by_role("button", name="Save and next unreviewed").click()
        starts_with(page, following)

    assert judged() == [("needs_work", "Too long.")] * 2


def test_a_conversation_can_be_judged_by_keyboard_alone(page, ask):
    ask()
    page.goto(SESSIONS)

    def tab_to(focused):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.locator(f":focus-visible:is({focused})").count():
                return
        raise AssertionError(f"the keyboard does not reach {focused}")

    tab_to("#result_list a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/**")
    tab_to("[name=verdict]")
    page.keyboard.press("ArrowDown")
    tab_to("[name=review_note]")
    page.keyboard.type("Clear.")
    tab_to("[name=_judge]")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Your review is stored.")).to_be_visible()
    assert judged() == [("good", "Clear.")]


def test_a_correction_reaches_the_reader(page, ask, client):
    session = ask().json()["session_id"]
    page.goto(f"{SESSIONS}{session}/change/")

    page.get_by_text("Correct this reply").click()
    page.get_by_label("The right answer").fill("A *process*.")
    page.get_by_role("button", name="Store the correction").click()

    expect(page.locator(".correction em")).to_have_text("process")
    assert client.get(f"/chat/{session}").json()["messages"][1]["correction"]["text"] == (
        "A *process*."
    )


def choose(page, action, *names):
    """Selects these sessions, and an action."""
    for name in names:
        row = page.locator("#result_list tbody tr").filter(has_text=name)
        row.get_by_role("checkbox").check()
    page.locator("[name=action]").select_option(label=action)


def test_several_are_judged_at_once(page, ask):
    for name in ("First", "Second", "Third"):
        ask(f"{name}?")
    page.goto(SESSIONS)

    choose(page, "Judge as harmful", "First?", "Third?")
    page.get_by_role("button", name="Run").click()

    expect(page.get_by_text("Judged as harmful: 2.")).to_be_visible()
    assert judged() == [("harmful", "")] * 2
    assert unknown_problems(page) == []


def rows_of(file):
    with Path(file).open(newline="", encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines)) if file.endswith("csv") else list(map(json.loads, lines))


@pytest.mark.parametrize(("action", "form"), [("JSON lines", "jsonl"), ("CSV", "csv")])
def test_selected_sessions_are_exported_as_a_file(page, ask, tmp_path, action, form):
    for name in ("First", "Second", "Third"):
        ask(f"{name}?")
    page.goto(SESSIONS)

    choose(page, f"Export as {action}", "First?", "Third?")
    with page.expect_download() as download:
        page.get_by_role("button", name="Run").click()

    assert download.value.suggested_filename == f"conversations.{form}"
    file = str(tmp_path / download.value.suggested_filename)
    download.value.save_as(file)
    assert sorted(row["question"] for row in rows_of(file)) == ["First?", "Third?"]
    assert {row["answer"] for row in rows_of(file)} == {"A scripted answer."}


# Hostile text ---------------------------------------------------------------------------------
FOREIGN = "https://tracker.example"
HOSTILE = f"""<script>harmed = "script"</script> </textarea><script>harmed = "textarea"</script>
<img src="{FOREIGN}/a.png" onerror="harmed = 'image'"> <svg onload="harmed = 'svg'"></svg>
<iframe src="{FOREIGN}/frame"></iframe> <iframe srcdoc="<script>top.harmed = 1</script>"></iframe>
<style>@import url({FOREIGN}/style.css); body {{ display: none }}</style>

![picture]({FOREIGN}/b.png) [script](javascript:harmed='link') [data](data:text/html,<b>x)
[vb](vbscript:x) <javascript:harmed='auto'> ![again](javascript:harmed='picture')
"""
HOSTILE_ADDRESS = f"{FOREIGN}/\"><img/src=x/onerror=harmed='address'>'onclick=harmed='quote'"


# Elements that an attack would add, and not Django's own images and scripts or the charts' figures.
ELEMENTS = """script:not([src^="/static/"], [type="application/json"]), iframe, style, svg, object,
    [onerror], [onload], [onclick], [src*=tracker]"""


@pytest.fixture
def attacked(ask, client, model):
    """A session and a reply with an attack in every field."""
    model.says(HOSTILE)
    asked = {"selected_text": HOSTILE, "page_url": HOSTILE_ADDRESS}
    session = ask(HOSTILE).json()["session_id"]
    answer = ask(HOSTILE, session_id=session, **asked).json()
    address = f"/chat/{session}/messages/{answer['message_id']}/feedback"
    client.put(address, json={"rating": "down", "comment": HOSTILE}).raise_for_status()
    written = {"correction": HOSTILE, "corrected_at": timezone.now()}
    elsewhere(lambda: Message.objects.filter(pk=answer["message_id"]).update(**written))
    noted = {"review_note": HOSTILE, "reviewed_at": timezone.now()}
    elsewhere(lambda: ChatSession.objects.filter(pk=session).update(**noted))
    return session, answer["message_id"]


@pytest.mark.parametrize(
    "path",
    [
        SESSIONS,
        SESSIONS + "{session}/change/",
        SESSIONS + "{session}/delete/",
        MESSAGES,
        MESSAGES + "{reply}/change/",
        INSIGHTS,
    ],
    ids=["list", "conversation", "deletion", "messages", "message", "insights"],
)
def test_hostile_text_stays_inert_on_every_page(staff, attacked, path):
    """Requests to other hosts, dialogs and errors fail any test (`tests.helpers.browser`)."""
    session, reply = attacked
    page = staff("ada")
    page.goto(path.format(session=session, reply=reply))

    unfold(page)
    page.wait_for_load_state("networkidle")

    main = page.locator("#content")
    assert main.is_visible()
    assert main.locator(ELEMENTS).count() == 0
    schemes = main.locator("a").evaluate_all("links => links.map(link => link.protocol)")
    assert set(schemes) <= {"http:", "https:"}
    assert page.evaluate("window.harmed") is None


# Figures --------------------------------------------------------------------------------------
# A clone is empty.
IS_DRAWN = "chart => chart.toDataURL() !== chart.cloneNode().toDataURL()"


def test_the_insights_draw_their_figures_and_lead_to_a_page_s_conversations(page, ask):
    ask("First?", page_url="https://book.example/chapter-1")
    ask("Second?", page_url="https://book.example/chapter-2")
    page.goto("/admin/")

    page.get_by_role("link", name="Insights").click()
    expect(page.locator(".totals dd").first).to_have_text("2")
    for chart in page.locator("canvas").all():
        assert eventually(partial(chart.evaluate, IS_DRAWN))

    page.get_by_role("link", name="https://book.example/chapter-2").click()
    shows(page, "Second?")


# Accessibility ---------------------------------------------------------------------------------
PAGES = {
    "login": "/admin/login/",
    "index": "/admin/",
    "list": SESSIONS,
    "filtered list": f"{SESSIONS}?disliked=yes&q=the+robot",
    "list without results": f"{SESSIONS}?q=nothing+{uuid4().hex}",
    "conversation": f"{SESSIONS}{{session}}/change/",
    "deletion": f"{SESSIONS}{{session}}/delete/",
    "messages": MESSAGES,
    "message": f"{MESSAGES}{{reply}}/change/",
    "insights": INSIGHTS,
    "insights of no days": f"{INSIGHTS}?since=2026-02-02&until=2026-01-01",
    "chat page": "/",
}


@pytest.fixture
def demo(staff):
    """Opens a page by its name, as a superuser, with conversations of all kinds."""

    def seed():  # this seed has a conversation with nearly every kind of reply
        call_command("seed_demo", sessions=8, seed=13209, verbosity=0)
        reply = Message.objects.failed().get()
        correction = {"correction": "- `this`\n- that", "corrected_at": timezone.now()}
        Message.objects.filter(pk=reply.pk).update(**correction)
        return {"session": reply.session_id, "reply": reply.pk}

    rows = elsewhere(seed)

    def opened(name, **options):
        page = staff("ada", **options)
        if name == "login":
            page.context.clear_cookies()
        page.goto(PAGES[name].format(**rows))
        unfold(page)
        return page

    return opened


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_light_and_dark(demo, name):
    page = demo(name)

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert (lightness(page) < 200) == (scheme == "dark")
        assert unknown_problems(page) == []


def lightness(page):
    """Of the background, from 0 to 765."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(demo, name):
    page = demo(name)

    for phone in PHONES:
        page.set_viewport_size(phone)
        assert overflow(page) <= 0, phone
