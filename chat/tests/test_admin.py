"""Staff read in the admin; nobody writes; the number of queries does not grow."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.urls import reverse

from chat import admin
from chat.models import ChatSession, Message

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
    """A member of staff who may view."""
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


def test_sessions_show_what_they_are_about(reader):
    session = conversation(3)

    page = reader.get(SESSIONS).content.decode()

    assert "What is a node? (0)" in page
    assert '<td class="field-message_count">6</td>' in page
    assert str(session.id) in page


def test_a_session_opens_as_its_conversation(reader):
    session = conversation(2)

    page = reader.get(f"{SESSIONS}{session.id}/change/").content.decode()

    assert page.index("What is a node? (0)") < page.index("What is a node? (1)")
    assert "&lt;b&gt;Bold&lt;/b&gt;" in page
    assert "<b>Bold</b>" not in page


def test_messages_show_role_status_and_session(reader):
    session = conversation()

    page = reader.get(MESSAGES).content.decode()

    assert "User" in page
    assert "Complete" in page
    assert reverse("admin:chat_chatsession_change", args=[session.id]) in page


def test_a_message_opens_with_its_facts(reader):
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


def test_a_session_is_found_by_its_id(reader):
    session = conversation(question="Alice")
    conversation(question="Bob")

    page = reader.get(SESSIONS, {"q": str(session.id)}).content.decode()

    assert "Alice" in page
    assert "Bob" not in page


@pytest.mark.parametrize("path", [SESSIONS, MESSAGES])
def test_a_list_takes_the_same_number_of_queries_whatever_its_size(reader, path):
    def count():
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            assert reader.get(path).status_code == 200
        return len(queries)

    conversation()
    few = count()
    for _ in range(40):
        conversation(2)

    assert count() == few
    assert few <= 6


def test_an_open_session_takes_the_same_number_of_queries_whatever_its_length(reader):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    # Django looks up its content types once.
    reader.get(f"{SESSIONS}{conversation().id}/change/")
    for length in (1, 40):
        session = conversation(length)
        with CaptureQueriesContext(connection) as queries:
            reader.get(f"{SESSIONS}{session.id}/change/")
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_large_table_is_not_counted_whole(monkeypatch):
    monkeypatch.setattr(admin, "MOST_COUNTED", 3)
    for _ in range(5):
        conversation()

    assert admin.CappedPaginator(ChatSession.objects.order_by("id"), 2).count == 4


@pytest.mark.parametrize("path", [SESSIONS, MESSAGES])
def test_not_even_an_administrator_makes_or_changes_anything(admin_client, path):
    session = conversation()
    row = session if path == SESSIONS else session.messages.replies().get()

    assert admin_client.get(f"{path}add/").status_code == 403
    changed = admin_client.post(f"{path}{row.pk}/change/", {"content": "Made up."})

    assert changed.status_code == 403
    assert not Message.objects.filter(content="Made up.").exists()


@pytest.mark.parametrize("path", [SESSIONS, MESSAGES])
def test_deleting_takes_the_permission(reader, admin_client, path):
    session = conversation()
    row = session if path == SESSIONS else session.messages.questions().get()

    assert reader.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{path}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Message.objects.filter(session=session).exists()


def test_staff_without_permission_and_visitors_see_nothing(client):
    session = conversation()
    assert client.get(SESSIONS).status_code == 302
    client.force_login(User.objects.create_user("bob", password="x", is_staff=True))

    for path in (SESSIONS, MESSAGES, f"{SESSIONS}{session.id}/change/"):
        assert client.get(path).status_code == 403


def test_a_superuser_can_be_made_and_can_log_in(client, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long pass phrase")
    call_command("createsuperuser", "--noinput", username="ada", email="ada@book.example")

    answer = client.post(
        "/admin/login/?next=/admin/", {"username": "ada", "password": "a long pass phrase"}
    )

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
