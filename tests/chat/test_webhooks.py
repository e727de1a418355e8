"""Events reach the operator's webhook: signed, at least once, never in the way of a turn."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from io import StringIO

import httpx2
import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from book.models import Edition
from chat import database
from chat.models import WebhookEvent
from chat.webhooks import delivery
from tests.helpers import CHECKOUT
from tests.helpers.broken_http import BROKEN, OK, bomb
from tests.helpers.indexed_book import BOOK_SETTINGS
from tests.helpers.marks import silent_mark_of
from tests.helpers.receiver import SECRET, receiving
from tests.helpers.scripted_model import Reply
from tests.helpers.server import free_port
from tests.helpers.waiting import eventually


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def hooked(receiver, settings):
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = receiver.url, SECRET
    return receiver


@pytest.fixture
def rows(environment):
    """Reads kinds and attempts of all events; none is left after the test."""
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
        database.execute("DELETE FROM chat_webhook_event; DELETE FROM chat_daily_tokens")
        yield database
        database.execute("DELETE FROM chat_webhook_event; DELETE FROM chat_daily_tokens")


def deliver():
    """Returns how many arrived."""
    return asyncio.run(delivery.deliver_due())


def edition():
    return Edition.objects.create(number=7, is_current=True, published_at=timezone.now())


# The sender ---------------------------------------------------------------------------------
@pytest.fixture
def announced(transactional_db, monkeypatch):
    """An edition, and a database thread whose connection ends with the test."""
    edition()
    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(database, "threads", threads)
        yield
        threads.submit(connections.close_all).result()


def test_a_new_edition_is_announced_once(hooked, announced):
    assert [deliver(), deliver()] == [1, 0]

    (body,) = hooked.bodies()
    assert (body["type"], body["data"]["edition"]) == ("edition.indexed", 7)


@pytest.mark.parametrize("status", [500, 0], ids=["refused", "closed without an answer"])
def test_what_is_not_accepted_is_sent_again_after_a_pause_under_the_same_id(
    hooked, announced, status
):
    hooked.statuses = [status]

    assert [deliver(), deliver()] == [0, 0]
    expected = f"status {status}" if status else "RemoteProtocolError"
    assert WebhookEvent.objects.with_state().get(state="failing").error == expected
    WebhookEvent.objects.update(due_at=timezone.now())
    assert deliver() == 1

    hooked.bodies()
    assert len(set(hooked.ids())) == 1
    assert len(hooked.received) == 2


def test_a_redirect_is_a_failure_and_nothing_is_sent_to_another_host(hooked, announced):
    with receiving() as elsewhere:
        hooked.statuses, hooked.location = [307], elsewhere.url

        assert deliver() == 0

    assert WebhookEvent.objects.with_state().get(state="failing").error == "status 307"
    assert elsewhere.received == []


SLOW = [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 1000]  # for a minute
ANSWERS = BROKEN | {
    "a megabyte": [OK + b"Content-Length: 1048576\r\n\r\n" + b"x" * 2**20],
    "a bomb": [OK + b"Content-Encoding: gzip\r\n\r\n", *bomb(31, size=2**24)],
}


async def outcome_of(client, settings, answer, pause=0):
    """What is noted of a receiver that sends these bytes, and after how many seconds."""

    async def send(reader, writer):
        with suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in answer:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
        writer.close()

    async with await asyncio.start_server(send, "127.0.0.1", 0) as server:
        settings.WEBHOOK_URL = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        begin = time.monotonic()
        event = WebhookEvent(kind="budget.reached", subject="2026-11-26")
        error = await delivery._send(client, event, {})
        return error, time.monotonic() - begin


def test_whatever_a_receiver_answers_is_a_delivery_or_a_failure_and_takes_no_longer(
    settings, monkeypatch
):
    settings.WEBHOOK_SECRET = SECRET
    monkeypatch.setattr(delivery, "TIMEOUT_SECONDS", 1)

    async def all_outcomes():
        async with httpx2.AsyncClient(timeout=1) as client:
            ask = partial(outcome_of, client, settings)
            of_each = {name: await ask(answer) for name, answer in ANSWERS.items()}
            return of_each | {"slow": await ask(SLOW, pause=0.06)}

    found = asyncio.run(all_outcomes())

    assert (found["slow"][0], found["a megabyte"][0], found["a bomb"][0]) == (
        "TimeoutError",
        "",
        "",
    )
    assert found["nothing"][0] == "RemoteProtocolError"
    assert max(seconds for _, seconds in found.values()) < 2


def test_nothing_is_sent_to_a_host_whose_certificate_is_not_trusted(settings, announced, tmp_path):
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl is missing")
    certificate = tmp_path / "pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x"
    options += f" -addext subjectAltName=IP:127.0.0.1 -keyout {certificate} -out {certificate}.x"
    subprocess.run([openssl, *options.split()], check=True, capture_output=True)
    with certificate.open("ab") as file:
        file.write((tmp_path / "pem.x").read_bytes())
    with receiving(certificate) as receiver:
        settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = receiver.url, SECRET

        assert deliver() == 0

    assert WebhookEvent.objects.with_state().get(state="failing").error == "ConnectError"
    assert receiver.received == []


def test_an_event_that_cannot_be_made_fails_and_holds_up_no_other(hooked, announced, monkeypatch):
    WebhookEvent.objects.create(kind="budget.reached", subject="2026-11-26")
    data_of = delivery.data_of

    def fails(event):
        return data_of(event) if event.kind == "budget.reached" else {}["no such key"]

    monkeypatch.setattr(delivery, "data_of", fails)

    assert deliver() == 1
    assert WebhookEvent.objects.with_state().get(state="failing").error == "KeyError"


def test_the_receiver_in_the_documentation_takes_what_is_ours_alone(settings, announced):
    port, secret = str(free_port()), "a secret of the operator's"
    page = (CHECKOUT / "docs" / "webhooks.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1].replace("9000", port)
    environment = {**os.environ, "WEBHOOK_SECRET": secret}
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = f"http://127.0.0.1:{port}", "another one"
    receiver = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: is_open(int(port)))

        assert deliver() == 0
        assert WebhookEvent.objects.with_state().get(state="failing").error == "status 401"
        settings.WEBHOOK_SECRET = secret
        WebhookEvent.objects.send_again()
        assert deliver() == 1
        old = delivery.signed("id", int(time.time()) - 600, b"{}")
        assert httpx2.post(settings.WEBHOOK_URL, content=b"{}", headers=old).status_code == 401
    finally:
        receiver.kill()
        receiver.wait()


def is_open(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_delivery_is_given_up_after_three_days(hooked, announced):
    hooked.statuses = [500] * 2
    deliver()
    long_ago = timezone.now() - delivery.GIVEN_UP_AFTER
    WebhookEvent.objects.update(due_at=timezone.now(), created_at=long_ago)

    assert [deliver(), deliver()] == [0, 0]
    assert len(hooked.received) == 2
    assert WebhookEvent.objects.get().given_up_at


def test_one_process_sends_an_event_and_another_one_if_that_was_killed(hooked, announced):
    deliver()
    WebhookEvent.objects.update(delivered_at=None, due_at=timezone.now())

    leased = WebhookEvent.objects.lease(delivery.LEASE)
    assert WebhookEvent.objects.lease(delivery.LEASE) is None
    WebhookEvent.objects.update(due_at=timezone.now())  # the lease of a killed process ends
    assert deliver() == 1
    assert hooked.ids()[-1] == str(leased.pk)


def test_an_operator_may_deliver_by_a_command(hooked, announced, capsys):
    call_command("deliver_webhooks")

    assert capsys.readouterr().out == "Delivered: 1\n"


def test_the_indexer_announces_what_it_publishes(hooked, announced, settings, tmp_path):
    Edition.objects.all().delete()
    settings.EMBEDDING_MODEL = "none"
    page = "<main><h1>Nodes</h1><p>A node is a process that does one job.</p></main>"
    (tmp_path / "index.html").write_text(page)
    options = {"no_questions": True, "stdout": StringIO(), "stderr": StringIO()}

    call_command("index_book", str(tmp_path), dry_run=True, **options)
    call_command("index_book", str(tmp_path), **options)

    assert [(body["type"], body["data"]["edition"]) for body in hooked.bodies()] == [
        ("edition.indexed", 1)
    ]


# What is written with what it tells of ------------------------------------------------------
@pytest.fixture
def service(serve, receiver, rows, published):
    """Starts servers on the book, whose current edition was announced before."""
    rows.execute("UPDATE book_edition SET published_at = now() - interval '4 days'")
    own = {"EMBEDDING_MODEL": BOOK_SETTINGS["EMBEDDING_MODEL"], "WEBHOOK_SECRET": SECRET}
    own |= {"WEBHOOK_URL": receiver.url, "PUBLIC_URL": "https://book.example/chat-api"}
    return lambda **settings: serve(**own | settings)


def rate(server, answer, **body):
    path = f"/chat/{answer['session_id']}/messages/{answer['message_id']}/feedback"
    assert server.client.put(path, json={"rating": "down"} | body).status_code == 200


def types(receiver):
    return sorted(body["type"] for body in receiver.bodies())


def test_a_silent_reply_a_budget_and_a_dislike_arrive_once_each(service, model, receiver):
    server = service(CHAT_DAILY_TOKEN_BUDGET="1")
    model.decides(lambda body: Reply(f"[{silent_mark_of(body)}] Nothing on cheese."))

    answer = server.client.post("/chat", json={"message": "Which cheese?"}).json()
    eventually(lambda: len(receiver.received) == 2)
    rate(server, answer)
    rate(server, answer)
    eventually(lambda: len(receiver.received) == 3)
    rate(server, answer, comment="Camembert!")
    eventually(lambda: len(receiver.received) == 4)

    assert types(receiver) == ["budget.reached", *["reply.disliked"] * 2, "reply.silent"]
    silent = next(each for each in receiver.bodies() if each["type"] == "reply.silent")["data"]
    assert (silent["question"], silent["message_id"]) == ("Which cheese?", answer["message_id"])
    assert silent["nearest"]
    assert silent["admin_url"].startswith("https://book.example/chat-api/admin/chat/message/")
    assert answer["session_id"] not in str(receiver.received)
    assert receiver.bodies()[-1]["data"]["comment"] == "Camembert!"


def test_a_comment_that_comes_while_its_dislike_is_being_sent_arrives(service, model, receiver):
    server = service()
    answer = server.client.post("/chat", json={"message": "What?"}).json()

    receiver.hold.clear()
    rate(server, answer)
    eventually(lambda: len(receiver.received) == 1)
    rate(server, answer, comment="Camembert!")
    receiver.hold.set()
    eventually(lambda: len(receiver.received) == 2)

    comments = [body["data"]["comment"] for body in receiver.bodies()]
    assert comments == [None, "Camembert!"]
    assert len(set(receiver.ids())) == 2


def test_comments_on_a_dislike_that_is_to_be_sent_again_do_not_hurry_it(
    service, model, receiver, rows
):
    receiver.statuses = [500]
    server = service()
    answer = server.client.post("/chat", json={"message": "What?"}).json()
    rate(server, answer)
    failed = "SELECT id, due_at FROM chat_webhook_event WHERE error <> ''"
    before = eventually(lambda: rows.execute(failed).fetchone())

    for comment in ("Camembert!", "Brie!"):
        rate(server, answer, comment=comment)

    assert rows.execute(failed).fetchone() == before
    eventually(lambda: len(receiver.received) == 2)
    assert receiver.bodies()[-1]["data"]["comment"] == "Brie!"
    assert len(set(receiver.ids())) == 1


def test_a_receiver_that_hangs_delays_no_reader_and_a_killed_server_loses_nothing(
    service, model, receiver, rows
):
    receiver.hold.clear()
    server = service(WEB_CONCURRENCY="1")
    model.says("One.", "Two.")
    answer = server.client.post("/chat", json={"message": "What?"}).json()
    rate(server, answer)
    eventually(lambda: len(receiver.received) == 1)
    assert server.client.post("/chat", json={"message": "And?"}).json()["response"] == "Two."

    server.kill()
    receiver.hold.set()
    rows.execute("UPDATE chat_webhook_event SET due_at = now()")  # its lease has ended
    service()

    eventually(lambda: len(receiver.received) == 2)
    assert len(set(receiver.ids())) == 1


def test_without_an_address_nothing_is_written(server, model, rows):
    answer = server.client.post("/chat", json={"message": "What?"}).json()
    rate(server, answer, comment="No.")

    assert rows.execute("SELECT count(*) FROM chat_webhook_event").fetchone() == (0,)


def test_two_workers_send_each_event_once_and_end_in_time_while_a_receiver_hangs(
    service, receiver, rows
):
    receiver.hold.clear()
    add = (
        "INSERT INTO chat_webhook_event (id, kind, subject, created_at, due_at, attempts, error)"
        " SELECT gen_random_uuid(), 'budget.reached', n, now(), now(), 0, '' FROM"
        " generate_series(1, 12) AS n"
    )
    rows.execute(add)
    server = service(WEB_CONCURRENCY="2")
    eventually(lambda: len(receiver.received) == 2)
    receiver.hold.set()
    eventually(lambda: len(receiver.received) == 12)
    assert len(set(receiver.ids())) == 12

    receiver.hold.clear()
    rows.execute(add.replace("12)", "24)") + " WHERE n > 12")
    rate(server, server.client.post("/chat", json={"message": "What?"}).json())
    eventually(lambda: len(receiver.received) > 12)
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 9
    pending = "SELECT count(*) FROM chat_webhook_event WHERE delivered_at IS NULL"
    assert rows.execute(pending).fetchone() == (13,)
