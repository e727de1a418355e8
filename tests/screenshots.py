"""The pictures in docs/screenshots (`make screenshots`): pages of staff and readers, made up."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from chat.models import ChatSession, Message
from tests.helpers.browser import elsewhere
from tests.helpers.cited import ScriptedTurns, source
from tests.helpers.environment import CHECKOUT
from tests.helpers.reader import PASSAGE, answered, say, select
from tests.review.test_admin_browser import INSIGHTS, SESSIONS, cookies, staff  # noqa: F401

FOLDER = CHECKOUT / "docs" / "screenshots"
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
WINDOW = {"width": 1000, "height": 640}
CORRECTION = "See **chapter 4**: it depends on the robot's load."
SEED = 3648


@pytest.fixture
def made_up(staff):  # noqa: F811
    def seed():
        call_command("seed_demo", sessions=200, seed=SEED, verbosity=0)
        # Not every machine has the letters for these.
        ChatSession.objects.filter(messages__content__startswith="روبوٹ").delete()
        for verdict, first in (("good", 3), ("needs_work", 5)):
            some = [row.pk for row in ChatSession.objects.order_by("-updated_at")[first:60:7]]
            ChatSession.objects.filter(pk__in=some).update(verdict=verdict)
        ada = User.objects.get(username="ada")
        correction = {"correction": CORRECTION, "corrected_at": timezone.now(), "corrected_by": ada}
        Message.objects.filter(pk=answer_with_sources()).update(**correction)

    elsewhere(seed)


def answer_with_sources():
    """The newest that begins its conversation, and cites two sections with quotes."""
    for reply in Message.objects.filter(grounding="book", reply_to__door="").order_by("-id"):
        quoted = [source for source in reply.sources if source["text"]]
        older = Message.objects.replies().filter(session=reply.session, pk__lt=reply.pk)
        if len(quoted) == len(reply.sources) == 2 and not older.exists():
            return reply.pk
    raise LookupError("no such answer")


@pytest.mark.parametrize(
    ("name", "path", "look"),
    [
        ("sessions", SESSIONS, {"viewport": DESK}),
        ("conversation", SESSIONS, {"viewport": DESK}),
        ("conversation-dark", SESSIONS, {"viewport": DESK, "color_scheme": "dark"}),
        ("conversation-phone", SESSIONS, {"viewport": PHONE}),
        ("sessions-phone", SESSIONS, {"viewport": PHONE}),
        ("insights", INSIGHTS, {"viewport": DESK}),
    ],
)
def test_a_picture_is_taken(staff, made_up, name, path, look):  # noqa: F811
    page = staff("ada", **look)
    page.goto(path)
    if name.startswith("conversation"):
        page.get_by_role("row").filter(has_text="corrected").locator("th a").click()
        page.locator(".transcript").wait_for()
    page.wait_for_load_state("networkidle")

    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


ANSWER = """A **node** is a process of its own, so a robot's software is made of

- many small programs,
- each of which may fail alone.

```python
node = Node("camera")
node.spin()
```
"""


STYLE = """<style>
:root { color-scheme: light dark; font: 1.05rem/1.6 Georgia, serif; }
main { max-width: 28rem; margin: 2rem; }
</style>"""
CHAPTER = f"""<main><h1>3. Nodes</h1>
<p><span id="passage">{PASSAGE}</span> A robot runs many of them: one reads the camera, one plans
the path, one moves the wheels. When one of them fails, the others go on.</p>
<p>Nodes know each other by name, and find each other without a central server. What they have to
tell they publish on topics; who wants to know it subscribes.</p></main>"""


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("chat-book", {"viewport": WINDOW}),
        ("chat-book-dark", {"viewport": WINDOW, "color_scheme": "dark"}),
        ("chat-phone", {"viewport": PHONE}),
    ],
)
def test_a_picture_of_the_chat_on_a_book_is_taken(open_book, model, name, look):
    model.says(ANSWER)
    page = open_book(head=STYLE, body=CHAPTER, **look)
    select(page)
    page.get_by_role("button", name="Ask about this").click()
    say(page, "What does that mean?")
    answered(page)

    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


CITING = """A **node** is a process of its own [1], so when one of them fails, the others go on [2].

- They find each other by name, without a central server [3].
- What they know they publish on *topics*, and whoever wants it subscribes [3][4]."""
IN_URDU = """**نوڈ** ایک الگ پراسیس ہے [1]، اس لیے ایک رک جائے تو باقی چلتے رہتے ہیں [2]\u06d4

- وہ ایک دوسرے کو نام سے پاتے ہیں [3]\u06d4
- جو جانتے ہیں وہ *topics* پر شائع کرتے ہیں [3][4]\u06d4"""
PARAGRAPH = "Nodes know each other by name, and find each other without a central server."


def cited_sources(url):
    one, two = f"{url}/one.html#", f"{url}/two.html#"
    process = "A **node** is an executable process."
    failing = "When one of them fails, the others go on."
    return [
        source(1, "Nodes", f"{one}nodes", process, section="What is a node"),
        source(2, "Nodes", f"{one}nodes", failing, section="What is a node \u203a Why many"),
        source(3, "Nodes", f"{one}names", f"{PARAGRAPH} Run `ros2 node list`.", section="Names"),
        source(4, "Topics", f"{two}topics"),
    ]


@pytest.mark.parametrize(
    ("name", "language", "look"),
    [
        ("chat-sources", "en", {"viewport": WINDOW}),
        ("chat-sources-dark", "en", {"viewport": WINDOW, "color_scheme": "dark"}),
        ("chat-sources-phone", "en", {"viewport": PHONE, "has_touch": True}),
        ("chat-sources-right-to-left", "ur", {"viewport": WINDOW}),
    ],
)
def test_a_picture_of_an_answers_sources_is_taken(open_book, book, name, language, look):
    page = open_book(f'data-lang="{language}"', head=STYLE, body=CHAPTER, **look)
    turns = ScriptedTurns(page)
    turns.answers(CITING if language == "en" else IN_URDU, *cited_sources(book.url))
    page.locator(".opener").click()
    question = "What is a node?" if language == "en" else "نوڈ کیا ہے؟"
    page.locator(".line textarea").fill(question)
    page.keyboard.press("Enter")
    page.locator(".actions").wait_for()
    numbers = page.locator("a.number")
    if not look.get("has_touch"):
        numbers.nth(1).click()  # highlighted in the page
        numbers.nth(2).hover()
    else:
        numbers.nth(2).tap()
    page.get_by_role("tooltip").wait_for()

    page.screenshot(path=FOLDER / f"{name}.png", animations="disabled")


def test_a_picture_of_the_chats_own_page_is_taken(chat_page, model):
    model.says(ANSWER)
    page = chat_page(viewport=WINDOW)
    say(page, "What is a node?")
    answered(page)

    page.screenshot(path=FOLDER / "chat-page.png", animations="disabled")
