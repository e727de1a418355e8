"""The page of a conversation in the admin: reading, judging, correcting, permissions."""

import re
import time
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.models import ChatSession, ChatSessionQuerySet, Message
from review.admin import reading
from review.admin.transcript import ReviewForm

pytestmark = pytest.mark.django_db
SESSIONS = "/admin/chat/chatsession/"
PASSAGE = "A node is an executable process - it computes, and talks to other nodes by topics."


@pytest.fixture(autouse=True)
def only_ours():
    ChatSession.objects.all().delete()


def conversation(*replies, question="What is a node?", **columns):
    session = ChatSession.objects.create()
    for number, reply in enumerate(replies or ["It computes."]):
        asked = Message.objects.create(
            session=session, role="user", content=f"{question} ({number})"
        )
        facts = {"session": session, "role": "assistant", "content": reply, "reply_to": asked}
        Message.objects.create(**facts | columns)
    return session


def staff(name, *codenames, group=None):
    user = User.objects.create_user(name, password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rita():
    """A reviewer."""
    return staff("rita", group="Conversation reviewers")


def address(session, **query):
    from django.http import QueryDict

    params = QueryDict(mutable=True)
    params.update(query)
    return f"{SESSIONS}{session.pk}/change/" + (f"?{params.urlencode()}" if query else "")


GOOD = {"verdict": "good", "_judge": "1"}


def page_of(client, session, **query):
    answer = client.get(address(session, **query))
    assert answer.status_code == 200
    return answer.content.decode()


# Reading ------------------------------------------------------------------------------------
def test_a_conversation_is_shown_in_order_with_markdown(rita):
    session = conversation(
        "It **computes**:\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |", "Yes."
    )

    page = page_of(rita, session)

    assert page.index("What is a node? (0)") < page.index("What is a node? (1)")
    assert "<strong>computes</strong>" in page
    assert "<li>one</li>" in page
    assert "<td>1</td>" in page


ATTACKS = """<script>alert(1)</script> <img src=x onerror=alert(1)> <iframe src="//evil.example">

![look](https://evil.example/pixel.png) [click](javascript:alert(1)) [data](data:text/html,x)

[fine](https://book.example/ "title") <a href="https://evil.example" onclick="x">raw</a>

<style>body{display:none}</style> <svg onload=alert(1)> [rel](//evil.example/x) <https://ok.example>
"""


@pytest.mark.parametrize("where", ["question", "reply", "passage", "comment", "correction", "note"])
def test_hostile_text_stays_inert_in_every_field(rita, where):
    session = conversation("Fine.")
    at = timezone.now()
    match where:
        case "question":
            session.messages.questions().update(content=ATTACKS)
        case "reply":
            session.messages.replies().update(content=ATTACKS)
        case "passage":
            session.messages.questions().update(selected_text=ATTACKS, page_url="https://b.example")
        case "comment":
            session.messages.replies().update(feedback="down", feedback_comment=ATTACKS)
        case "correction":
            session.messages.replies().update(correction=ATTACKS, corrected_at=at)
        case "note":
            ChatSession.objects.filter(pk=session.pk).update(review_note=ATTACKS, reviewed_at=at)

    reader = staff("vera", "view_chatsession") if where == "note" else rita  # no form to hold it
    page = page_of(reader, session).partition('id="content-main"')[2].partition("</section>")[0]
    page = re.sub(r"<textarea.*?</textarea>", "", page, flags=re.DOTALL)

    tags = re.findall(r"<[a-zA-Z][^>]*>", page)
    for tag in tags:
        assert not re.match(r"<(script|img|iframe|style|svg|object|embed|link|base)\b", tag), tag
        assert not re.search(r"\son\w+\s*=", tag), tag
        assert not re.search(r"(href|src)\s*=\s*[\"']?(javascript:|data:|//)", tag), tag
    assert "alert(1)" in page  # as text


def test_a_passage_is_quoted_with_a_link_into_the_book(rita):
    session = conversation()
    session.messages.questions().update(
        selected_text=PASSAGE, page_url="https://book.example/ch1#nodes"
    )

    page = page_of(rita, session)

    assert "<blockquote" in page
    link = re.search(r'href="(https://book.example[^"]+)"', page).group(1)
    assert link == (
        "https://book.example/ch1#nodes:~:text=A%20node%20is%20an%20executable,"
        "to%20other%20nodes%20by%20topics."
    )


def test_a_short_passage_is_highlighted_whole(rita):
    session = conversation()
    session.messages.questions().update(selected_text="A-b, c", page_url="https://book.example/")

    assert "https://book.example/#:~:text=A%2Db%2C%20c&quot;" not in page_of(rita, session)
    assert 'href="https://book.example/#:~:text=A%2Db%2C%20c"' in page_of(rita, session)


def test_a_reply_shows_its_facts(rita):
    session = conversation(
        model="gpt-x", prompt_tokens=120, completion_tokens=45, first_token_ms=420,
        latency_ms=2310, finish_reason="length", feedback="down", feedback_comment="Too short.",
    )  # fmt: skip

    page = page_of(rita, session)

    for fact in ("gpt-x", "120 + 45 tokens", "first token after 0.4 s", "2.3 s in total"):
        assert fact in page
    assert "cut at the maximum length" in page
    assert "Too short." in page
    assert "thumb down" in page


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("model_timeout", "The language model took too long to answer"),
        ("interrupted", "The server was killed or restarted"),
    ],
)
def test_a_failure_is_explained_in_a_sentence(rita, code, sentence):
    session = conversation("", status="failed", error_code=code)

    assert sentence in page_of(rita, session)


def test_a_long_conversation_comes_in_pages(rita):
    session = conversation(*(f"Reply {number}." for number in range(120)))

    newest = page_of(rita, session)
    older = re.search(r'href="(\?before=[^"]+)"', newest).group(1)
    page = rita.get(f"{SESSIONS}{session.pk}/change/{older}").content.decode()

    assert "Reply 119." in newest
    assert "Reply 69." not in newest
    assert "Reply 69." in page
    assert "Reply 119." not in page
    assert "Newest messages" in page


def test_an_open_conversation_takes_the_same_number_of_queries_whatever_its_length(rita):
    counts = []
    page_of(rita, conversation())  # Django looks up its content types once
    for length in (1, 40):
        session = conversation(*(["x"] * length))
        with CaptureQueriesContext(connection) as queries:
            page_of(rita, session)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 15


def test_answers_that_are_slow_to_format_do_not_hold_up_the_page(rita):
    """The parser needs a second for each of these, and readers can make a model write them."""
    session = conversation(*(["[" * 20_000] * 40), *(["<a@b.example> " * 3_500] * 40))
    begin = time.process_time()

    page = page_of(rita, session)

    assert time.process_time() - begin < 10
    assert page.count('<pre class="unformatted">') > 30  # of 50
    assert "<em>x</em>" in page_of(rita, conversation("*x*"))


def test_previous_and_next_stay_within_the_list_one_came_from(rita):
    def has(session, key):
        context = rita.get(address(session, _changelist_filters="q=servo")).context
        return context[key] and context[key].partition("/change/")[0].rpartition("/")[2]

    oldest = conversation(question="Servo one")
    conversation(question="Lidar")
    middle = conversation(question="Servo two")
    newest = conversation(question="Servo three")
    ChatSession.objects.filter(pk=middle.pk).update(verdict="good")

    assert has(middle, "newer") == str(newest.pk)
    assert has(middle, "older_session") == str(oldest.pk)
    assert has(newest, "newer") is None
    assert has(newest, "older_session") == str(middle.pk)
    assert has(newest, "next_unreviewed") == str(oldest.pk)
    assert has(oldest, "next_unreviewed") == str(newest.pk)


def test_an_unknown_conversation_is_not_found(rita):
    assert rita.get(f"{SESSIONS}{ChatSession().pk}/change/").status_code == 404
    assert rita.get(f"{SESSIONS}nonsense/change/").status_code == 404


# Judging ------------------------------------------------------------------------------------
def test_a_verdict_records_who_and_when_and_leads_to_the_next(rita):
    other, session = conversation(), conversation()
    active = session.updated_at

    answer = rita.post(
        address(session), {"verdict": "needs_work", "review_note": "Too long.", "_judge_next": "1"}
    )

    assert answer.status_code == 302
    assert str(other.pk) in answer["Location"]
    # A browser would keep the fragment of the page it was on, a message of the other session.
    assert answer["Location"].endswith("#content-start")
    session.refresh_from_db()
    assert (session.verdict, session.review_note) == ("needs_work", "Too long.")
    assert session.reviewed_by.username == "rita"
    assert session.reviewed_at is not None
    assert session.updated_at == active
    page = page_of(rita, session)
    assert "Needs work" in page
    assert "by rita" in page
    assert LogEntry.objects.get().change_message == "Judged as needs work."


def test_a_verdict_can_be_removed(rita):
    session = conversation()
    rita.post(address(session), GOOD)
    rita.post(address(session), {"verdict": "", "_judge": "1"})

    session.refresh_from_db()
    assert (session.verdict, session.reviewed_at, session.reviewed_by) == ("", None, None)


def test_an_unknown_verdict_is_refused(rita):
    session = conversation()

    answer = rita.post(address(session), {"verdict": "lovely", "_judge": "1"})

    assert answer.status_code == 200
    assert "not one of the available choices" in answer.content.decode()
    session.refresh_from_db()
    assert session.verdict == ""


def test_many_are_judged_at_once(rita):
    sessions = [conversation(), conversation(), conversation()]

    answer = rita.post(
        SESSIONS,
        {"action": "judge_good", "_selected_action": [str(each.pk) for each in sessions[:2]]},
        follow=True,
    )

    assert "Judged as good: 2." in answer.content.decode()
    assert ChatSession.objects.filter(verdict="good", reviewed_by__username="rita").count() == 2


def test_judging_many_says_how_many_other_verdicts_it_replaced(rita):
    sessions = [conversation(), conversation(), conversation()]
    for session, verdict in zip(sessions, ("harmful", "good", ""), strict=True):
        ChatSession.objects.filter(pk=session.pk).update(verdict=verdict)

    page = rita.post(
        SESSIONS,
        {"action": "judge_good", "_selected_action": [str(each.pk) for each in sessions]},
        follow=True,
    ).content.decode()

    assert "Judged as good: 3." in page
    assert "This replaced 1 other verdict." in page


def seen_on(page, form):
    """The value of `seen` in the form with this button: the state that the form was made for."""
    before, _, _ = page.partition(f'name="{form}"')
    return re.findall(r'name="seen" value="(.*?)"', before)[-1]


def test_saving_last_does_not_overwrite_a_review_that_came_meanwhile(rita):
    session, bob = conversation(), staff("bob", group="Conversation reviewers")
    mine = {**GOOD, "review_note": "Mine.", "seen": seen_on(page_of(rita, session), "_judge")}
    theirs = {"verdict": "harmful", "review_note": "See chapter <3>.", "seen": "", "_judge": "1"}
    bob.post(address(session), theirs)

    page = rita.post(address(session), mine).content.decode()

    assert "This was reviewed in the meantime by bob: Harmful (“See chapter &lt;3&gt;.”)." in page
    assert "Mine." in page
    session.refresh_from_db()
    assert (session.verdict, session.review_note) == ("harmful", "See chapter <3>.")
    again = rita.post(address(session), mine | {"seen": seen_on(page, "_judge")})
    assert again.status_code == 302
    session.refresh_from_db()
    assert (session.verdict, session.review_note) == ("good", "Mine.")


def test_of_two_simultaneous_verdicts_one_is_refused_and_shown_the_other(rita, monkeypatch):
    session, is_valid = conversation(), ReviewForm.is_valid

    def while_another_saves(form):
        now = timezone.now()
        ChatSession.objects.update(verdict="harmful", review_note="Faster.", reviewed_at=now)
        return is_valid(form)

    monkeypatch.setattr(ReviewForm, "is_valid", while_another_saves)
    answer = rita.post(address(session), {**GOOD, "seen": ""})

    assert "reviewed in the meantime by someone: Harmful (“Faster.”)." in answer.content.decode()
    session.refresh_from_db()
    assert (session.verdict, session.review_note) == ("harmful", "Faster.")


def test_judging_many_keeps_their_notes(rita):
    sessions = [conversation() for _ in range(9)]
    ChatSession.objects.update(verdict="harmful", review_note="Mind this.")

    def judged(some):
        keys = [str(each.pk) for each in some]
        with CaptureQueriesContext(connection) as queries:
            rita.post(SESSIONS, {"action": "judge_good", "_selected_action": keys})
        return len(queries)

    judged(sessions[:1])  # Django now knows the content type
    assert judged(sessions[1:3]) == judged(sessions[3:])
    rows = ChatSession.objects.values_list("verdict", "review_note").distinct()
    assert list(rows.order_by()) == [("good", "Mind this.")]
    logged = LogEntry.objects.values_list("object_id", "change_message")
    assert sorted(logged) == sorted((str(each.pk), "Judged as good.") for each in sessions)


def test_three_clicks_lead_from_login_to_a_judged_conversation(client):
    """List, conversation, verdict (besides its radio button)."""
    session = conversation()
    User.objects.create_user("rita", password="pass phrase", is_staff=True).groups.add(
        Group.objects.get(name="Conversation reviewers")
    )

    index = Client()
    home = index.post(
        "/admin/login/?next=/admin/", {"username": "rita", "password": "pass phrase"}, follow=True
    )
    assert SESSIONS in home.content.decode()
    assert f"{SESSIONS}{session.pk}/change/" in index.get(SESSIONS).content.decode()
    assert index.post(address(session), GOOD).status_code == 302


# Correcting ---------------------------------------------------------------------------------
def correct(client, session, text, message=None):
    message = message or session.messages.replies().get()
    return client.post(
        address(session), {"message": str(message.pk), "correction": text, "_correct": "1"}
    )


def test_a_correction_is_stored_beside_the_reply(rita):
    session = conversation()

    answer = correct(rita, session, " A node is\r\na *process*. ")

    reply = session.messages.replies().get()
    assert (reply.content, reply.correction) == ("It computes.", "A node is\na *process*.")
    assert reply.corrected_by.username == "rita"
    assert answer["Location"].endswith(f"#message-{reply.pk}")
    assert "a <em>process</em>" in page_of(rita, session)


def test_an_empty_correction_removes_it(rita):
    session = conversation()
    correct(rita, session, "No.")
    correct(rita, session, "  ")

    reply = session.messages.replies().get()
    assert (reply.correction, reply.corrected_at, reply.corrected_by) == ("", None, None)


def test_a_correction_does_not_overwrite_another_that_came_meanwhile(rita):
    session, bob = conversation(), staff("bob", group="Conversation reviewers")
    reply = session.messages.replies().get()
    seen = seen_on(page_of(rita, session), "_correct")
    form = {"message": reply.pk, "_correct": "1"}
    bob.post(address(session), {**form, "correction": "Bob's.", "seen": ""})

    page = rita.post(address(session), {**form, "correction": "<Rita's>", "seen": seen})

    page = page.content.decode()
    assert "The correction was changed in the meantime by bob." in page
    assert "&lt;Rita&#x27;s&gt;</textarea>" in page
    reply.refresh_from_db()
    assert reply.correction == "Bob's."
    seen = seen_on(page, "_correct")
    rita.post(address(session), {**form, "correction": "Rita's", "seen": seen})
    reply.refresh_from_db()
    assert (reply.correction, reply.corrected_by.username) == ("Rita's", "rita")


def test_a_reply_is_not_corrected_while_it_is_being_written(rita):
    """Its text is not known yet, and its reader would see the correction first."""
    session = conversation("", status="pending")
    reply = session.messages.replies().get()

    form = {"message": reply.pk, "correction": "Early.", "_correct": "1"}
    answer = rita.post(address(session), form)

    assert "This reply is still being written." in answer.content.decode()
    reply.refresh_from_db()
    assert (reply.correction, reply.corrected_at) == ("", None)
    assert not LogEntry.objects.exists()


def test_only_replies_of_the_conversation_can_be_corrected(rita):
    session, other = conversation(), conversation()

    assert correct(rita, session, "x", session.messages.questions().get()).status_code == 404
    assert correct(rita, session, "x", other.messages.replies().get()).status_code == 404
    assert not Message.objects.corrected().exists()


# Permissions --------------------------------------------------------------------------------
def test_the_group_of_reviewers_exists_after_migrate():
    group = Group.objects.get(name="Conversation reviewers")

    assert set(group.permissions.values_list("codename", flat=True)) == {
        "view_chatsession",
        "view_message",
        "review_chatsession",
        "correct_message",
        "export_chatsession",
        "view_edition",
        "view_section",
    }


def test_changes_of_an_author_to_the_group_are_kept():
    from django.core.management import call_command

    group = Group.objects.get(name="Conversation reviewers")
    group.permissions.remove(Permission.objects.get(codename="export_chatsession"))

    call_command("migrate", verbosity=0)

    assert not group.permissions.filter(codename="export_chatsession").exists()


def test_a_reviewer_neither_deletes_nor_sees_users(rita):
    session = conversation()

    assert rita.post(f"{SESSIONS}{session.pk}/delete/", {"post": "yes"}).status_code == 403
    assert rita.get("/admin/auth/user/").status_code == 403
    assert "deletelink" not in page_of(rita, session)
    listing = rita.get(SESSIONS).content.decode()
    assert "judge_good" in listing
    assert "delete_selected" not in listing


def test_an_administrator_may_do_everything(admin_client):
    session = conversation()

    assert admin_client.post(address(session), GOOD).status_code == 302
    assert correct(admin_client, session, "No.").status_code == 302
    assert "deletelink" in page_of(admin_client, session)


def test_staff_with_view_permission_only_neither_judge_nor_correct():
    session = conversation()
    vera = staff("vera", "view_chatsession", "view_message")

    page = page_of(vera, session)

    assert "_judge" not in page
    assert "_correct" not in page
    assert vera.post(address(session), GOOD).status_code == 403
    assert correct(vera, session, "No.").status_code == 403
    assert "judge_good" not in vera.get(SESSIONS).content.decode()


def test_staff_without_permission_and_visitors_do_nothing():
    session = conversation()

    assert staff("bob").get(address(session)).status_code == 403
    assert staff("eve").post(address(session), GOOD).status_code == 403
    assert Client().get(address(session)).status_code == 302
    assert Client().post(address(session), GOOD).status_code == 302
    session.refresh_from_db()
    assert session.verdict == ""


def test_forms_are_safe_from_other_sites(rita):
    session = conversation()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = rita.cookies

    assert strict.post(address(session), GOOD).status_code == 403


@pytest.fixture
def slow_search(monkeypatch):
    def about(sessions, words):
        return sessions.filter(RawSQL("pg_sleep(30)::text = ''", [], BooleanField()))

    monkeypatch.setattr(ChatSessionQuerySet, "about", about)
    monkeypatch.setattr(reading, "LONGEST_QUERY_SECONDS", 0.05)


def test_a_search_that_takes_too_long_is_cancelled_and_answered_with_a_sentence(rita, slow_search):
    conversation()
    begin = time.monotonic()

    page = rita.get(SESSIONS, {"q": "node -node"}, follow=True)

    assert time.monotonic() - begin < 15
    assert "That search would take too long." in page.content.decode()
    assert page.redirect_chain == [(SESSIONS, 302)]


def test_a_conversation_of_a_slow_search_is_shown_without_its_neighbours(rita, slow_search):
    session = conversation()

    page = rita.get(address(session, _changelist_filters="q=node"))

    assert page.status_code == 200
    assert "It computes." in page.content.decode()


@pytest.mark.parametrize(
    "query",
    ["q=%00", "page=%00", "model=%00&q=a", "%00=1", "reviewed_by__password__startswith=a", "id=z"],
)
def test_forged_filters_break_no_page(rita, query):
    session = conversation("A reply.")

    listed = rita.get(f"{SESSIONS}?{query}")
    opened = rita.get(address(session, _changelist_filters=query))

    assert listed.status_code in (200, 302, 400)
    assert opened.status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"q": "-" * 33},  # as a line of them; more than PostgreSQL takes
        {"q": "-" * 8_000},
        {"q": "a or " * 5_000},
        {"review": "\0"},
        {"page": "\0"},
        {"status__exact": "\0"},
        {"updated_at__year": "-1"},
        {"updated_at__gte": "0001-01-01 00:00:00+00:00", "updated_at__lt": "10000-01-01"},
        {"p": "9" * 30},
    ],
)
def test_no_query_string_of_a_list_is_a_server_error(rita, query):
    session = conversation("A reply.")

    for page in (SESSIONS, "/admin/chat/message/"):
        assert rita.get(page, query).status_code in (200, 302, 400)
    assert "A reply." in page_of(rita, session, _changelist_filters=urlencode(query))


@pytest.mark.parametrize(
    "lookup",
    ["idempotency_key__startswith", "content__regex", "id__gt", "reviewed_by__password__contains"],
)
def test_lists_accept_only_the_lookups_of_their_filters(rita, lookup):
    for page in (SESSIONS, "/admin/chat/message/"):
        assert rita.get(page, {lookup: "a"}).status_code == 400


def test_a_forged_selection_is_refused(rita):
    conversation("A reply.")

    answer = rita.post(SESSIONS, {"action": "export_jsonl", "_selected_action": ["z"]}, follow=True)

    assert answer.status_code == 200
    assert "The selection contains something that is not in this list." in answer.content.decode()


def test_only_web_addresses_become_links(rita):
    session = conversation("A reply.")
    questions = Message.objects.questions().filter(session=session)
    for passage in ("", "A passage."):
        questions.update(page_url="javascript:alert(1)", selected_text=passage)

        for page in (rita.get(address(session)), rita.get(SESSIONS)):
            assert 'href="javascript' not in page.content.decode()
