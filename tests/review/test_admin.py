"""The lists of the admin: what they show, find and refuse, with a constant number of queries."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from chat.api.schemas import web_address
from chat.models import ChatSession, Message
from review.admin import reading

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_ours():
    ChatSession.objects.all().delete()


def conversation(exchanges=1, question="What is a node?"):
    session = ChatSession.objects.create()
    for number in range(exchanges):
        asked = Message.objects.create(
            session=session, role="user", content=f"{question} ({number})"
        )
        Message.objects.create(
            session=session, role="assistant", content="<b>Bold</b>", reply_to=asked
        )
    return session


@pytest.fixture
def reader(client):
    """A member of staff with view permissions."""
    user = User.objects.create_user("rita", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


@pytest.fixture
def client(db):
    from django.test import Client

    return Client()


SESSIONS = "/admin/chat/chatsession/"
MESSAGES = "/admin/chat/message/"


@pytest.fixture
def rows(reader):
    """The first questions that the list of sessions shows."""

    def listed(**query):
        page = reader.get(SESSIONS, query)
        assert page.status_code == 200
        return {session.first_text for session in page.context["cl"].result_list}

    return listed


def test_a_session_row_shows_first_question_and_number_of_messages(reader):
    session = conversation(3)

    page = reader.get(SESSIONS).content.decode()

    assert "What is a node? (0)" in page
    assert '<td class="field-total">6</td>' in page
    assert str(session.id) in page


def test_messages_show_role_status_and_session(reader):
    session = conversation()

    page = reader.get(MESSAGES).content.decode()

    assert "User" in page
    assert "Complete" in page
    assert reverse("admin:chat_chatsession_change", args=[session.id]) in page


def test_the_page_of_a_message_shows_its_columns(reader):
    message = conversation().messages.replies().get()

    page = reader.get(f"{MESSAGES}{message.id}/change/").content.decode()

    assert "Finish reason" in page
    assert str(message.session_id)[:8] in page


def test_messages_and_sessions_are_found_by_words(reader):
    conversation(question="Alice asks about servos")
    conversation(question="Bob asks about lidar")

    sessions = reader.get(SESSIONS, {"q": "lidar"}).content.decode()
    messages = reader.get(MESSAGES, {"q": "servos", "role__exact": "user"}).content.decode()

    assert "Bob" in sessions
    assert "Alice" not in sessions
    assert "Alice" in messages
    assert "Bob" not in messages


def test_a_session_row_shows_badges_and_pages(reader):
    session = conversation(3)
    replies = list(session.messages.replies().order_by("id"))
    session.messages.filter(id=replies[0].id).update(status="failed", error_code="model_timeout")
    session.messages.filter(id=replies[1].id).update(status="stopped", feedback="down")
    session.messages.filter(id=replies[2].id).update(correction="No.", corrected_at=timezone.now())
    session.messages.questions().update(page_url="https://book.example/chapter-3?x=1")

    page = reader.get(SESSIONS).content.decode()

    for name, text in (
        ("failed", "failed"),
        ("stopped", "stopped"),
        ("thumb down", "thumb down"),
        ("corrected", "corrected"),
        ("", "unreviewed"),
    ):
        assert f'<span class="badge {name}">{text}</span>' in page
    assert '<a href="https://book.example/chapter-3?x=1"' in page
    assert ">/chapter-3</a>" in page


@pytest.mark.parametrize(
    "page",
    [
        "http://[@book.example/1",  # browsers take these addresses, Python's urlsplit does not
        "http://a]b@book.example/1",
        "http://\u2100@book.example/1",
    ],
)
def test_no_address_that_a_reader_can_send_breaks_the_list(reader, page):
    session = ChatSession.objects.create()
    page = web_address(page)  # as the API takes it
    Message.objects.create(session=session, role="user", content="Where?", page_url=page)

    answer = reader.get(reverse("admin:chat_chatsession_changelist"))

    assert f'<span title="{escape(page)}"><bdi>book.example/1</bdi>' in answer.content.decode()


@pytest.mark.parametrize("page", ["javascript:alert(1)", "http:book.example/1", "HTTPS:/x"])
def test_only_what_is_a_web_address_is_a_link(reader, page):
    session = ChatSession.objects.create()
    Message.objects.create(session=session, role="user", content="Where?", page_url=page)

    for address in ("", f"{session.pk}/change/"):
        shown = reader.get(reverse("admin:chat_chatsession_changelist") + address).content.decode()
        assert page.rpartition(":")[2] in shown
        assert 'href=""' not in shown
        assert f'href="{page}' not in shown


def test_each_kind_of_conversation_has_its_filter(rows):
    kinds = {
        "failed": {"status": "failed", "error_code": "model_timeout"},
        "stopped": {"status": "stopped"},
        "disliked": {"feedback": "down"},
        "corrected": {"correction": "No.", "corrected_at": timezone.now()},
        "model": {"model": "gpt-x"},
    }
    for name, columns in kinds.items():
        conversation(question=name).messages.replies().update(**columns)
    conversation(question="passage").messages.questions().update(selected_text="A node …")
    ChatSession.objects.filter(pk=conversation(question="judged").pk).update(verdict="good")

    for name in ("failed", "stopped", "disliked", "corrected", "passage"):
        assert rows(**{name: "yes"}) == {f"{name} (0)"}
    assert rows(model="gpt-x") == {"model (0)"}
    assert rows(review="good") == {"judged (0)"}
    assert len(rows(review="unreviewed")) == 6
    assert rows(failed="yes", stopped="yes") == set()
    assert len(rows(updated_at__gte=f"{timezone.now():%Y-%m-%d} 00:00:00+00:00")) == 7


def test_words_phrases_and_exclusions_are_understood(rows):
    for question in ("Servos move joints", "A servo and a lidar", "Neither"):
        conversation(question=question)

    assert rows(q="servo") == {"Servos move joints (0)", "A servo and a lidar (0)"}
    assert rows(q='"move joints"') == {"Servos move joints (0)"}
    assert rows(q="servo -lidar") == {"Servos move joints (0)"}
    assert rows(q="the") == set()


def test_a_session_is_found_by_its_id(reader):
    session = conversation(question="Alice")
    conversation(question="Bob")

    page = reader.get(SESSIONS, {"q": str(session.id)}).content.decode()

    assert "Alice" in page
    assert "Bob" not in page


@pytest.mark.parametrize(("path", "queries"), [(SESSIONS, 13), (MESSAGES, 9)])
def test_a_list_takes_the_same_number_of_queries_whatever_its_size(reader, path, queries):
    def count():
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as taken:
            assert reader.get(path).status_code == 200
        return len(taken)

    conversation()
    few = count()
    for _ in range(40):
        conversation(2)

    assert count() == few == queries


def test_a_large_table_is_not_counted_whole(monkeypatch):
    monkeypatch.setattr(reading, "MOST_COUNTED", 3)
    for _ in range(5):
        conversation()

    assert reading.CappedPaginator(ChatSession.objects.order_by("id"), 2).count == 4


def add_messages(session, count, **columns):
    """By one statement, without triggers and foreign keys."""
    facts = {"status": "complete", "error_code": "", "feedback": ""} | columns
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "INSERT INTO chat_message (id, session_id, role, content, created_at, reply_to_id, "
            "status, error_code, feedback, page_url) SELECT gen_random_uuid(), %(session)s, "
            "'assistant', 'x', now(), gen_random_uuid(), %(status)s, %(error_code)s, %(feedback)s, "
            "'https://book.example/' || n FROM generate_series(1, %(count)s) n",
            facts | {"session": session.pk, "count": count},
        )
        cursor.execute("SET LOCAL session_replication_role = origin")


def test_a_session_of_130_000_messages_costs_the_list_no_more_than_one_of_a_thousand(
    reader, monkeypatch
):
    add_messages(conversation(), 130_000, status="failed", error_code="model_timeout")
    monkeypatch.setattr(reading, "LONGEST_QUERY_SECONDS", 1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_message")

    page = reader.get(SESSIONS)

    assert page.status_code == 200
    assert '<td class="field-total">1,000+</td>' in page.content.decode()
    assert ">100+ failed</span>" in page.content.decode()
    assert " and 197 more</td>" in page.content.decode()  # of the 200 most recent messages


@pytest.mark.parametrize("count", [100, 101])
def test_badges_count_exactly_up_to_a_limit(reader, count):
    add_messages(conversation(), count, feedback="down")

    text = "100" if count == 100 else "100+"
    assert f">{text} thumb down</span>" in reader.get(SESSIONS).content.decode()


@pytest.mark.parametrize("path", [SESSIONS, MESSAGES])
def test_a_list_that_is_too_slow_answers_once_with_a_sentence(reader, monkeypatch, path):
    def slow_count(paginator):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(3)")

    conversation()
    monkeypatch.setattr(reading.CappedPaginator, "count", property(slow_count))
    monkeypatch.setattr(reading, "LONGEST_QUERY_SECONDS", 0.05)

    answer = reader.get(path)
    searched = reader.get(path, {"q": "node"}, follow=True)

    assert answer.status_code == 200
    assert "This list takes too long just now." in answer.content.decode()
    assert searched.redirect_chain == [(path, 302)]
    assert "That search would take too long." in searched.content.decode()


@pytest.mark.parametrize("path", ["/admin/auth/user/", "/admin/auth/group/", SESSIONS, MESSAGES])
def test_nul_in_a_search_is_no_server_error(admin_client, path):
    assert admin_client.get(path, {"q": "a\0"}, follow=True).status_code == 200


@pytest.mark.parametrize("path", [SESSIONS, MESSAGES])
def test_not_even_an_administrator_adds_or_edits_a_message(admin_client, path):
    session = conversation()
    row = session if path == SESSIONS else session.messages.replies().get()

    assert admin_client.get(f"{path}add/").status_code == 403
    changed = admin_client.post(f"{path}{row.pk}/change/", {"content": "Made up."})

    assert changed.status_code == 403
    assert not Message.objects.filter(content="Made up.").exists()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [(SESSIONS, "with its 2 messages"), (MESSAGES, "and the reply to it")],
    ids=["session", "message"],
)
def test_deleting_needs_the_permission_and_lists_what_is_deleted(
    reader, admin_client, path, sentence
):
    session = conversation()
    row = session if path == SESSIONS else session.messages.questions().get()

    assert reader.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert sentence in admin_client.get(f"{path}{row.pk}/delete/").content.decode()
    assert admin_client.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Message.objects.filter(session=session).exists()


def test_staff_without_permission_and_visitors_see_nothing(client):
    session = conversation()
    assert client.get(SESSIONS).status_code == 302
    client.force_login(User.objects.create_user("bob", password="x", is_staff=True))

    for path in (SESSIONS, MESSAGES, f"{SESSIONS}{session.id}/change/"):
        assert client.get(path).status_code == 403


def test_a_superuser_can_be_created_and_can_log_in(client, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long pass phrase")
    call_command("createsuperuser", "--noinput", username="ada", email="ada@book.example")

    answer = client.post(
        "/admin/login/?next=/admin/", {"username": "ada", "password": "a long pass phrase"}
    )

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
