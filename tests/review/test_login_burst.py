"""A hundred log-ins at once do not slow readers, and none of them is a server error."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Event
from uuid import uuid4

import httpx2
import psycopg
import pytest
from django.contrib.auth.models import User

from tests.conftest import database_url

LOGIN = "/admin/login/"
LOG_INS = 120
READERS = 4


def log_in(server, username, password, client):
    with httpx2.Client(base_url=server.base_url, timeout=120) as browser:
        browser.get(LOGIN)
        form = {
            "username": username,
            "password": password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        headers = {"X-Forwarded-For": client}
        return browser.post(LOGIN, data=form, headers=headers).status_code


def ask_until(end, server):
    """Seconds of each answer."""
    times = []
    with httpx2.Client(base_url=server.base_url, timeout=30) as reader:
        while not end.is_set():
            begin = time.perf_counter()
            answer = reader.post("/chat", json={"message": "What is a node?"})
            assert answer.status_code == 200, answer.text
            times.append(time.perf_counter() - begin)
    return times


class Readers:
    """Ask one question after the other while they are entered; then `times` are known."""

    def __init__(self, server):
        self.server, self.end = server, Event()
        self.threads = ThreadPoolExecutor(READERS)

    def __enter__(self):
        self.asking = [
            self.threads.submit(ask_until, self.end, self.server) for _ in range(READERS)
        ]
        return self

    def __exit__(self, *error):
        self.end.set()
        self.times = [each for asking in self.asking for each in asking.result()]
        self.threads.shutdown()


@pytest.fixture
def server(serve):
    return serve(EMBEDDED="true", WEB_CONCURRENCY="2", CHAT_RATE="100000/s", NUM_PROXIES="1")


def connections(server):
    """Those of the server to the tests' database."""
    name = server.database
    with psycopg.connect(database_url(name), autocommit=True) as watching:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return watching.execute(query, [name]).fetchone()[0] - 1


def test_readers_do_not_wait_for_a_hundred_log_ins(server, stored):
    with Readers(server) as alone:
        time.sleep(3)  # of measuring
    names = [f"nobody {uuid4()}" for _ in range(LOG_INS)]

    with Readers(server) as beside, ThreadPoolExecutor(LOG_INS) as guesses:
        begin = time.perf_counter()
        statuses = Counter(
            guesses.map(lambda name: log_in(server, name, "a guess", "203.0.113.5"), names)
        )
        seconds = time.perf_counter() - begin

    assert set(statuses) == {200, 429}, statuses
    print(statuses, seconds, median(alone.times), median(beside.times), max(beside.times), len(beside.times))
    assert median(beside.times) < 3 * median(alone.times)
    assert max(beside.times) < 10
