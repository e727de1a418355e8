"""Two hosts behind nginx, on one PostgreSQL through PgBouncer in transaction mode (make scaled)."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from statistics import median
from uuid import uuid4

import httpx2
import psutil
import psycopg
import pytest
from django.utils import timezone
from psycopg.rows import dict_row

from examples.scaled.machines import Machines, missing_programs
from tests.helpers.clusters import migrated_cluster
from tests.helpers.load import reading
from tests.helpers.scripted_model import Reply
from tests.helpers.server import CHECKOUT, free_port
from tests.helpers.streams import kinds, streaming, text_of
from tests.helpers.waiting import eventually

pytestmark = [
    pytest.mark.scaled,
    pytest.mark.skipif(bool(missing_programs()), reason=missing_programs()),
]
# So few that each client's next statement is likely to be on another connection than its last.
POOL_SIZE = 3


@pytest.fixture(scope="module")
def database(environment):
    with migrated_cluster(environment) as cluster:
        yield cluster


@pytest.fixture
def scaled(environment, database, model, tmp_path):
    """Starts two hosts with settings of their own; readers ask by their `client`."""
    with ExitStack() as stack:

        def start(on=database, **settings):
            log = stack.enter_context((tmp_path / "log").open("ab"))
            values = os.environ | environment | {"LOG_FORMAT": "json"} | settings
            machines = Machines(on.url(), values, log.fileno(), pool_size=POOL_SIZE)
            stack.callback(machines.stop)
            machines.start()
            machines.client = stack.enter_context(client_of(machines.url))
            machines.clients = [stack.enter_context(client_of(h.url)) for h in machines.hosts]
            return machines

        yield start


def client_of(url):
    return httpx2.Client(base_url=url, timeout=60)


def rows(cluster, sql, *values):
    with psycopg.connect(cluster.url()) as connection:
        return connection.execute(sql, values).fetchall()


def manage(machines, *arguments, **environment):
    """A command on a host."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env=machines.hosts[0].environment | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# What is shared -----------------------------------------------------------------------------
def test_a_conversation_goes_on_whichever_host_hears_of_it(scaled, model):
    machines = scaled()
    here, there = machines.clients
    model.says("It computes.", "A bus.")

    first = here.post("/chat", json={"message": "What is a node?"}).json()
    body = {"message": "And a topic?", "session_id": first["session_id"]}
    there.post("/chat", json=body)

    said = [message["content"] for message in model.prompt[1:]]
    assert said == ["What is a node?", "It computes.", "And a topic?"]
    read = [each.get(f"/chat/{first['session_id']}").json() for each in (here, there)]
    assert read[0] == read[1]
    assert [m["content"] for m in read[0]["messages"]] == [*said, "A bus."]


@pytest.mark.parametrize("asked_by", ["host", "balancer"])
def test_a_stop_reaches_the_host_that_answers(scaled, model, asked_by):
    machines = scaled()
    here, there = machines.clients
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=1))

    with streaming(here, session_id=session) as events:
        begun = [next(events) for _ in range(3)]
        begin = time.monotonic()
        stopping = there if asked_by == "host" else machines.client
        assert stopping.post(f"/chat/{session}/stop").status_code == 202
        heard = begun + list(events)
        took = time.monotonic() - begin

    assert kinds(heard)[-2:] == ["abort", "[DONE]"]
    assert took < 2
    reply = there.get(f"/chat/{session}").json()["messages"][1]
    assert (reply["status"], reply["content"]) == ("stopped", "One ")


@pytest.mark.parametrize("session", [None, "their own"])
def test_a_question_sent_to_all_hosts_under_one_key_is_asked_once(scaled, model, session):
    machines = scaled(CHAT_RATE="")
    key = {"Idempotency-Key": str(uuid4())}
    body = {"message": "Once?", "session_id": session and str(uuid4())}
    model.says(Reply("Once.", delay=0.5))

    def ask(client):
        return client.post("/chat", json=body, headers=key)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, [*machines.clients, machines.client] * 4))
    again = [ask(client).json() for client in machines.clients]

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 11}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 409)
    (told,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert again == [told, told]
    assert len(model.requests) == 1


def test_a_client_has_one_rate_on_all_hosts_and_cannot_talk_its_way_out(scaled):
    machines = scaled(CHAT_RATE="5/h")

    def ask(number):
        forged = {"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.{number}"}
        with client_of(machines.url) as client:
            return client.post("/chat", json={"message": "?"}, headers=forged).status_code

    with ThreadPoolExecutor(5) as pool:
        assert Counter(pool.map(ask, range(20))) == {200: 5, 429: 15}
    other = {"X-Forwarded-For": "203.0.113.9"}  # as the balancer notes another reader
    here, _ = machines.clients
    assert here.post("/chat", json={"message": "?"}, headers=other).status_code == 200


def test_what_one_host_has_used_counts_for_all(scaled, database):
    rows(database, "DELETE FROM chat_daily_tokens RETURNING 1")
    machines = scaled(CHAT_DAILY_TOKEN_BUDGET="18", CHAT_RATE="")
    here, there = machines.clients

    first = here.post("/chat", json={"message": "?"})
    refused = there.post("/chat", json={"message": "?"})

    assert first.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (503, "budget_exhausted")


# The way between ----------------------------------------------------------------------------
def test_words_come_through_the_balancer_as_they_are_said(scaled, model):
    machines = scaled()
    model.says(Reply("One two three.", hold_after=1))

    with streaming(machines.client) as events:
        begun = [next(events) for _ in range(3)]
        model.release()
        rest = list(events)

    assert text_of(begun) == "One "
    assert text_of(begun + rest) == "One two three."


def test_readers_who_wait_hold_no_connection(scaled, model):
    machines = scaled(CHAT_RATE="", LLM_TIMEOUT_SECONDS="30")
    model.says(Reply("One two.", hold_after=1))
    body = {"message": "?", "stream": True}

    def ask():
        return httpx2.post(f"{machines.url}/chat", json=body, timeout=60)

    with ThreadPoolExecutor(40) as pool:
        asking = [pool.submit(ask) for _ in range(40)]
        model.wait_for_requests(40)
        seen = [pool_of(machines) for _ in range(21)]
        model.release()
        assert {each.result().text.count("finish") > 0 for each in asking} == {True}

    assert median(each["sv_active"] for each in seen) == 0
    assert {each["pool_mode"] for each in seen} == {"transaction"}
    assert max(each["sv_active"] + each["sv_idle"] + each["sv_used"] for each in seen) <= POOL_SIZE


def pool_of(machines):
    """What PgBouncer's console tells of the hosts' pool."""
    url = machines.database_url.rpartition("/")[0] + "/pgbouncer"
    options = {"autocommit": True, "cursor_factory": psycopg.ClientCursor, "row_factory": dict_row}
    with psycopg.connect(url, **options) as console:
        pools = console.execute("SHOW POOLS").fetchall()
    return next(each for each in pools if each["database"] == machines.database["dbname"])


def test_exports_purges_and_reports_work_through_the_pooler_while_readers_ask(scaled, cluster):
    machines = scaled(on=cluster, CHAT_RATE="")
    directly = {"DATABASE_URL": cluster.url()}
    export = ("export_conversations", "--until", str(timezone.now().date()))
    manage(machines, "seed_demo", "--sessions", "1000")

    with reading(machines.url, 4) as readers:
        taken = [manage(machines, *export).stdout, manage(machines, *export, **directly).stdout]
        assert "questions" in manage(machines, "usage_report").stdout
        purge = ("purge_conversations", "--older-than", "1d", "--batch-size", "50")
        assert "Deleted" in manage(machines, *purge).stdout
        readers.wait_for_answers(5)

    assert readers.failed == []
    assert len(taken[0].splitlines()) > 1000
    assert taken[0] == taken[1]
    left = manage(machines, *export).stdout.splitlines()
    assert len(left) < 100  # of sessions that somebody has continued today


def test_staff_work_on_all_hosts_through_the_pooler(scaled, cluster):
    machines = scaled(on=cluster, CHAT_RATE="", EMBEDDED="true")
    manage(machines, "seed_demo", "--sessions", "100")
    rita = {"DJANGO_SUPERUSER_PASSWORD": "pass phrase"}
    manage(machines, "createsuperuser", "--noinput", "--username=rita", "--email=r@x.org", **rita)
    browser, sessions = machines.client, "/admin/chat/chatsession/"
    browser.follow_redirects = True

    def form(**fields):
        return fields | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}

    browser.get("/admin/login/")
    browser.post("/admin/login/", data=form(username="rita", password="pass phrase"))
    ((session,),) = rows(cluster, "SELECT id::text FROM chat_session LIMIT 1")
    page = f"{sessions}{session}/change/"
    pages = [sessions, f"{sessions}?q=node", f"{sessions}?failed=yes", page, "/admin/insights/"]
    with reading(machines.url, 4):
        told = [browser.get(each) for each in pages * 3]
        browser.post(page, data=form(verdict="good", _judge="1"))
        action = form(action="export_jsonl", _selected_action=session)
        exported = browser.post(sessions, data=action)

    assert {(each.status_code, "Log in" in each.text) for each in told} == {(200, False)}
    assert rows(cluster, "SELECT verdict FROM chat_session WHERE id = %s", session) == [("good",)]
    assert json.loads(exported.text.splitlines()[0])["session_id"] == session


# What happens to machines -------------------------------------------------------------------
def slowly(body):
    """A second of words, or before them; among them the question's own."""
    question = body["messages"][-1]["content"]
    delay = 0.1 if body.get("stream") else 1
    return Reply(f"{question} has its answer in these words.", gap=0.15, delay=delay)


def test_a_host_killed_under_load_loses_nothing(scaled, cluster, model):
    machines = scaled(on=cluster, CHAT_RATE="")
    model.decides(slowly)

    with reading(machines.url, 24, try_again=True) as readers:
        readers.wait_for_answers(24)
        eventually(lambda: len(readers.half_way) >= 8)
        machines.hosts[0].kill()
        readers.wait_for_answers(64)
        machines.hosts[0].start()
        readers.wait_for_answers(32)
    found = eventually(lambda: settled(cluster), 30)

    asked = Counter(question for question, *_ in found)
    assert set(asked.values()) == {1}
    replies = {question: reply for question, *reply in found}
    for each in readers.asked:
        if each.key:
            assert each.whole, each  # it was tried again until it was answered
        if each.whole:
            assert replies[each.question] == [each.reply_id, "complete", "", each.told]
        elif each.reply_id:  # accepted, and then cut off
            reply_id, status, error_code, content = replies[each.question]
            assert (reply_id, status, error_code) == (each.reply_id, "failed", "interrupted")
            assert each.told.startswith(content) or content.startswith(each.told)
    assert [each for each in readers.asked if each.cuts]  # somebody did notice


def settled(cluster):
    """Each question with its reply's id, status, error and text, once nothing is pending."""
    found = rows(
        cluster,
        "SELECT question.content, reply.id::text, reply.status, reply.error_code, reply.content "
        "FROM chat_message question "
        "LEFT JOIN chat_message reply ON reply.reply_to_id = question.id "
        "WHERE question.role = 'user'",
    )
    return found if all(status != "pending" for _, _, status, *_ in found) else None


def test_a_question_whose_host_dies_is_sent_on_only_if_it_has_a_key(scaled, model):
    machines = scaled(LLM_TIMEOUT_SECONDS="30")
    model.says(Reply(hold=True))
    asking = []

    def ask(headers):
        return httpx2.post(
            f"{machines.url}/chat", json={"message": "?"}, headers=headers, timeout=60
        )

    with ThreadPoolExecutor(4) as pool:
        for headers in ({"Idempotency-Key": "1"}, {"Idempotency-Key": "2"}, {}, {}):
            asking.append(pool.submit(ask, headers))  # each to the host that has fewer
            model.wait_for_requests(len(asking))
        machines.hosts[0].kill()
        wait(asking, return_when=FIRST_COMPLETED)
        time.sleep(1)
        model.release()
        told = [(each.result().status_code, each.result().json().get("code")) for each in asking]

    assert sorted(told[:2]) == [(200, None), (409, "answer_in_progress")]
    assert sorted(told[2:]) == [(200, None), (503, "unavailable")]
    assert len(model.requests) == 4


def test_a_rolling_restart_drops_no_request(scaled, model):
    machines = scaled(CHAT_RATE="")
    model.decides(slowly)
    before = [host.pid for host in machines.hosts]

    with reading(machines.url, 12) as readers:
        readers.wait_for_answers(12)
        machines.restart_hosts()
        readers.wait_for_answers(12)

    assert readers.failed == []
    assert not {host.pid for host in machines.hosts} & set(before)
    assert len(readers.answered) > 48


def test_a_host_that_is_told_to_end_at_once_drops_no_question_with_a_key(scaled, model):
    """As when somebody forgot to take it out of the balancer first."""
    machines = scaled(CHAT_RATE="")
    model.decides(slowly)

    with reading(machines.url, 12, try_again=True) as readers:
        for host in machines.hosts:
            readers.wait_for_answers(12)
            host.stop()
            readers.wait_for_answers(12)
            host.start()

    assert [each for each in readers.asked if each.key and not each.whole] == []


def test_with_no_host_left_readers_get_a_problem_document(scaled):
    machines = scaled()
    for host in machines.hosts:
        host.stop()

    for headers in ({}, {"Idempotency-Key": "a-key"}):
        refused = machines.client.post("/chat", json={"message": "?"}, headers=headers)
        assert refused.status_code == 503
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.headers["Retry-After"] == "1"
        assert (refused.json()["code"], refused.json()["retryable"]) == ("unavailable", True)


def test_a_pooler_that_is_killed_costs_no_answer(scaled, model):
    machines = scaled(LLM_TIMEOUT_SECONDS="30")
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=1))

    with streaming(machines.client, session_id=session) as events:
        begun = [next(events) for _ in range(3)]
        machines.pooler.kill()
        time.sleep(1)
        machines.start_pooler()
        model.release()
        assert kinds(begun + list(events))[-2:] == ["finish", "[DONE]"]

    reply = machines.client.get(f"/chat/{session}").json()["messages"][1]
    assert (reply["status"], reply["content"]) == ("complete", "One two three.")


def test_a_database_that_is_away_is_told_in_time_and_noticed_when_it_is_back(scaled, cluster):
    machines = scaled(on=cluster, CHAT_RATE="")
    ask = {"message": "?"}
    assert machines.client.post("/chat", json=ask).status_code == 200

    cluster.stop()
    begin = time.monotonic()
    refused = machines.client.post("/chat", json=ask)
    took = time.monotonic() - begin
    cluster.start()
    back = time.monotonic()
    eventually(lambda: machines.client.post("/chat", json=ask).status_code == 200, 20)

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert took < 10
    assert time.monotonic() - back < 10


# Migrations ---------------------------------------------------------------------------------
NEXT = """
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

class Migration(migrations.Migration):
    atomic = False
    dependencies = [("chat", "{last}")]
    operations = [
        migrations.AddField("message", "mood", models.CharField(max_length=9, null=True)),
        AddIndexConcurrently("message", models.Index(fields=["mood"], name="chat_message_mood")),
    ]
"""


@pytest.fixture
def next_release(tmp_path):
    """The settings of a release that has one migration more."""
    migrations = tmp_path / "next_migrations"
    shutil.copytree(CHECKOUT / "chat" / "migrations", migrations)
    last = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / "9999_next.py").write_text(NEXT.format(last=last))
    (tmp_path / "next_settings.py").write_text(
        "from chatbackend.settings import *\nMIGRATION_MODULES = {'chat': 'next_migrations'}\n"
    )
    return {"PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "next_settings"}


def test_migrations_run_while_serving(scaled, cluster, next_release):
    machines = scaled(on=cluster, CHAT_RATE="")
    manage(machines, "seed_demo", "--sessions", "2000")
    directly = next_release | {"DATABASE_URL": cluster.url(), "PGOPTIONS": "-c lock_timeout=1s"}

    with reading(machines.url, 8) as readers:
        readers.wait_for_answers(8)
        with psycopg.connect(cluster.url()) as backup:  # which reads for hours
            backup.execute("SELECT count(*) FROM chat_message")
            blocked = manage(machines, "migrate", **directly)
        migrated = manage(machines, "migrate", **directly)
        readers.wait_for_answers(8)
        ready = [client.get("/health/ready").status_code for client in machines.clients]

    assert "lock timeout" in blocked.stderr
    assert "chat.9999_next... OK" in migrated.stdout, migrated.stderr
    assert readers.failed == []
    assert ready == [200, 200]  # the old release on the new tables


# The script ---------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_everything_ends_with_the_script(environment, model, how):
    port = str(free_port())
    script = subprocess.Popen(
        [sys.executable, "-m", "examples.scaled", "--port", port],
        cwd=CHECKOUT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with client_of(f"http://127.0.0.1:{port}") as client:
        eventually(lambda: is_healthy(client), 60)
        assert client.post("/chat", json={"message": "?"}).status_code == 200
        parts = psutil.Process(script.pid).children(recursive=True)
        getattr(script, how)()
        script.wait(60)

    assert len(parts) >= 6  # nginx and each gunicorn have children of their own
    assert psutil.wait_procs(parts, 30)[1] == []


def is_healthy(client):
    try:
        return client.get("/health").status_code == 200
    except httpx2.TransportError:
        return False
