"""Events reach the operator's webhook: signed, at least once, never in the way of a turn."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from book.models import Edition
from chat.models import WebhookEvent
from chat.webhooks import delivery
from tests.helpers.browser import elsewhere
from tests.helpers.waiting import eventually

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes....").decode()


class Receiver:
    """A loopback receiver; answers with `statuses` in turn, then with 204."""

    def __init__(self):
        self.received, self.statuses, self.hold = [], [], threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((self.headers, body))
                receiver.hold.wait(20)
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Location", f"{receiver.url}/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def bodies(self):
        for headers, body in self.received:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            digest = hmac.digest(b"a secret of 24 bytes....", signed, hashlib.sha256)
            assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
        return [json.loads(body) for _, body in self.received]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.hold.set()
    receiver.http.shutdown()
    receiver.http.server_close()


@pytest.fixture
def hooked(receiver, settings):
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = receiver.url, SECRET
    return receiver


@pytest.fixture
def no_events(environment):
    """Sees to it that no event of this test is left; returns what reads their rows."""
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
        yield lambda: database.execute(
            "SELECT kind, attempts, delivered_at IS NOT NULL FROM chat_webhook_event"
        ).fetchall()
        database.execute("DELETE FROM chat_webhook_event")


def deliver():
    """In a thread of the database's, as everywhere; returns how many arrived."""
    return asyncio.run(delivery.deliver_due())


def edition():
    return Edition.objects.create(number=7, is_current=True, published_at=timezone.now())


# The sender ---------------------------------------------------------------------------------
@pytest.fixture
def published(transactional_db):
    edition()


def test_a_new_edition_is_announced_once(hooked, published):
    assert [deliver(), deliver()] == [1, 0]

    (body,) = hooked.bodies()
    assert (body["type"], body["data"]["edition"]) == ("edition.indexed", 7)


@pytest.mark.parametrize("status", [500, 302])
def test_what_is_not_accepted_is_sent_again_after_a_pause_under_the_same_id(
    hooked, published, status
):
    hooked.statuses = [status]

    assert [deliver(), deliver()] == [0, 0]
    assert WebhookEvent.objects.pending().get().error == f"status {status}"
    WebhookEvent.objects.update(due_at=timezone.now())
    assert deliver() == 1

    hooked.bodies()
    assert len({headers["webhook-id"] for headers, _ in hooked.received}) == 1
    assert len(hooked.received) == 2


def test_a_delivery_is_given_up_after_three_days(hooked, published):
    hooked.statuses = [500] * 2
    deliver()
    long_ago = timezone.now() - delivery.GIVEN_UP_AFTER
    WebhookEvent.objects.update(due_at=timezone.now(), created_at=long_ago)

    assert [deliver(), deliver()] == [0, 0]
    assert len(hooked.received) == 2
    assert WebhookEvent.objects.get().given_up_at


def test_one_process_sends_an_event_and_another_one_if_that_was_killed(hooked, published):
    deliver()
    WebhookEvent.objects.update(delivered_at=None, due_at=timezone.now())

    leased = WebhookEvent.objects.lease(delivery.LEASE)
    assert WebhookEvent.objects.lease(delivery.LEASE) is None
    WebhookEvent.objects.update(due_at=timezone.now())  # the lease of a killed process ends
    assert deliver() == 1
    assert hooked.received[-1][0]["webhook-id"] == str(leased.pk)


def test_an_operator_may_deliver_by_a_command(hooked, published, capsys):
    call_command("deliver_webhooks")

    assert capsys.readouterr().out == "Delivered: 1\n"
