"""A hundred log-ins at once do not slow readers, and none of them is a server error."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from statistics import median
from threading import Event
from urllib.parse import urlencode
from uuid import uuid4

import httpx2
import pytest

from review.models import LogInFailures

LOGIN = "/admin/login/"
LOG_INS = 120
READERS = 4


@pytest.fixture
def server(serve, stored):
    yield serve(EMBEDDED="true", WEB_CONCURRENCY="2", CHAT_RATE="100000/s")
    LogInFailures.objects.all().delete()  # others log in from this address too


def guess(server, cookies, username):
    """A log-in, by the means that cost the least here; returns its status."""
    form = urlencode({"username": username, "password": "a guess", **cookies["form"]})
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"csrftoken={cookies['csrftoken']}",
    }
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=120)) as connection:
        connection.request("POST", LOGIN, form, headers)
        with connection.getresponse() as answer:
            return answer.status


class Readers:
    """They ask one question after the other while they are entered; then `times` are known."""

    def __init__(self, server):
        self.end, self.threads = Event(), ThreadPoolExecutor(READERS)
        self.clients = [httpx2.Client(base_url=server.base_url, timeout=60) for _ in range(READERS)]

    def ask(self, client):
        times = []
        while not self.end.is_set():
            begin = time.perf_counter()
            answer = client.post("/chat", json={"message": "What is a node?"})
            assert answer.status_code == 200, answer.text
            times.append(time.perf_counter() - begin)
        return times

    def __enter__(self):
        self.asking = [self.threads.submit(self.ask, client) for client in self.clients]
        return self

    def __exit__(self, *error):
        self.end.set()
        self.times = [each for asking in self.asking for each in asking.result()]
        self.threads.shutdown()
        for client in self.clients:
            client.close()


def test_readers_do_not_wait_for_a_hundred_log_ins(server):
    token = server.client.get(LOGIN).cookies["csrftoken"]
    cookies = {"csrftoken": token, "form": {"csrfmiddlewaretoken": token}}
    with Readers(server) as alone:
        time.sleep(4)  # in which they ask
    names = [f"nobody {uuid4()}" for _ in range(LOG_INS)]

    with Readers(server) as beside, ThreadPoolExecutor(LOG_INS) as guessing:
        statuses = Counter(guessing.map(partial(guess, server, cookies), names))

    assert statuses.keys() == {200, 429}, statuses
    assert median(beside.times) < 2 * median(alone.times) + 0.05
    assert max(beside.times) < 10
