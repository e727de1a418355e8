"""The list of webhook events: what became of each, and another attempt for those that failed."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from chat.models import WebhookEvent
from tests.helpers.browser import elsewhere, log_in, overflow, serious_problems
from tests.helpers.receiver import SECRET, receiving
from tests.helpers.waiting import eventually

EVENTS = "/admin/chat/webhookevent/"
SEND_AGAIN = {"action": "send_again"}


def write_events():
    """One of each state, by its event."""
    WebhookEvent.objects.all().delete()
    now = timezone.now()
    failed = {"error": "status 500", "attempts": 3}
    of_each = {
        "reply.silent": {"subject": "0190a1b2-0000-7000-8000-000000000001"},
        "reply.disliked": {
            **failed,
            "subject": "0190a1b2-0000-7000-8000-000000000002",
            "due_at": now + timedelta(hours=3),
        },
        "budget.reached": {"subject": "2026-11-20", "attempts": 1, "delivered_at": now},
        "edition.indexed": {
            **failed,
            "subject": "7",
            "created_at": now - timedelta(days=4),
            "given_up_at": now,
        },
    }
    return {kind: WebhookEvent.objects.create(kind=kind, **row) for kind, row in of_each.items()}


@pytest.fixture
def hooked(settings):
    """Where nobody listens; with a token in the address."""
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = "http://127.0.0.1:9/token-7f3a", SECRET


@pytest.fixture
def member(db):
    """The client of a member of staff with these permissions."""

    def hire(*codenames):
        user = User.objects.create_user("rita", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return hire


def cells(page, column):
    """A column of the list, without its HTML."""
    found = re.findall(rf'class="field-{column}[^"]*">(.*?)</t[dh]>', page)
    return [re.sub("<[^>]*>", "", each) for each in found]


def test_the_list_tells_what_became_of_each_event_and_shows_no_secret(member, hooked):
    events = write_events()

    page = member("view_webhookevent").get(EVENTS).content.decode()

    columns = ("event", "state", "attempts", "last_error")
    assert set(zip(*(cells(page, column) for column in columns), strict=True)) == {
        ("reply.silent", "waiting", "0", "-"),
        ("reply.disliked", "failing", "3", "status 500"),
        ("budget.reached", "delivered", "1", "-"),
        ("edition.indexed", "given up", "3", "status 500"),
    }
    assert cells(page, "next_attempt").count("-") == 2  # nothing follows the last two
    assert f"/admin/chat/message/{events['reply.silent'].subject}/change/" in page
    for secret in ("token-7f3a", SECRET):
        assert secret not in page


def test_events_are_filtered_by_event_and_state(member):
    write_events()
    client = member("view_webhookevent")

    def found(**query):
        return cells(client.get(EVENTS, query).content.decode(), "event")

    assert found(state="waiting") == ["reply.silent"]
    assert found(state="failing") == ["reply.disliked"]
    assert found(state="delivered") == ["budget.reached"]
    assert found(state="given up") == ["edition.indexed"]
    assert found(event="reply.silent") == ["reply.silent"]
    assert found(event="reply.silent", state="delivered") == []


def test_what_failed_is_due_again_and_nothing_else_is(db):
    write_events()

    assert WebhookEvent.objects.send_again() == 2

    now = timezone.now()
    due = WebhookEvent.objects.with_state().filter(state="failing", due_at__lte=now)
    assert set(due.values_list("kind", flat=True)) == {"reply.disliked", "edition.indexed"}
    assert WebhookEvent.objects.with_state().filter(state="delivered").count() == 1


def test_seeing_sending_and_deleting_are_permissions_of_their_own(member, hooked):
    events = write_events()
    chosen = SEND_AGAIN | {"_selected_action": [events["edition.indexed"].pk]}
    client = member("view_webhookevent", "delete_webhookevent")

    client.post(EVENTS, chosen)

    assert WebhookEvent.objects.with_state().filter(state="given up").exists()
    assert "Send again" not in client.get(EVENTS).content.decode()
    address = f"{EVENTS}{events['edition.indexed'].pk}/"
    assert client.get(f"{address}change/").status_code == 200
    assert client.post(f"{address}change/", {"error": ""}).status_code == 403
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    User.objects.get().user_permissions.clear()
    assert client.get(EVENTS).status_code == 403


@pytest.fixture
def ada(stored):
    """A superuser, with an event of each state; for a server."""
    yield elsewhere(lambda: (User.objects.create_superuser("ada", password="x"), write_events()))[1]
    elsewhere(User.objects.filter(username="ada").delete)
    elsewhere(WebhookEvent.objects.all().delete)


def test_staff_send_an_event_again_that_was_given_up(serve, visit, ada):
    with receiving() as receiver:
        server = serve(WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET, WEB_CONCURRENCY="1")
        page = visit(base_url=server.base_url, viewport={"width": 390, "height": 844})
        log_in(page, "ada", "x")
        page.get_by_role("link", name="Webhook events").click()
        assert serious_problems(page) == []
        assert overflow(page) <= 0
        page.goto(f"{EVENTS}?state=given+up")
        page.locator(".action-select").check()
        page.get_by_label("Action:").select_option("Send again")
        page.get_by_role("button", name="Run").click()

        expect(page.get_by_text("Events that are sent again now: 1.")).to_be_visible()
        eventually(lambda: str(ada["edition.indexed"].pk) in receiver.ids())
