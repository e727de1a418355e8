"""CHAT_RATE and CHAT_DAILY_TOKEN_BUDGET, the same for every worker."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from chat.api.client import client_of
from chat.errors import BudgetExhausted, RateLimited
from chat.models import DailyTokens, Message, RateWindow
from chat.turn import limits
from tests.helpers.scripted_model import Reply
from tests.helpers.streams import streaming

ALICE, BOB = "203.0.113.7", "203.0.113.8"


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    """What this process knows of full windows and the budget is of one test alone."""
    monkeypatch.setattr(limits, "_used_up", {})


@pytest.fixture
def limited(serve):
    """Starts a server behind one proxy, with limits of its own."""

    def start(**settings):
        server = serve(NUM_PROXIES="1", **settings)

        def ask(client=ALICE):
            headers = {"X-Forwarded-For": f"spoofed, {client}"}
            return server.client.post("/chat", json={"message": "?"}, headers=headers)

        return ask

    return start


@pytest.mark.usefixtures("stored")
def test_a_client_that_asks_too_often_waits_and_may_ask_again(limited, model):
    RateWindow.objects.all().delete()
    ask = limited(CHAT_RATE="3/s")
    ask("198.51.100.1")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(), range(20)))
    refused = [answer for answer in answers if answer.status_code == 429]
    first = ask(BOB)
    time.sleep(int(refused[0].headers["Retry-After"]))
    again = ask()

    assert len(refused) >= 10
    assert {answer.json()["code"] for answer in refused} == {"rate_limited"}
    assert first.status_code == again.status_code == 200


@pytest.mark.usefixtures("stored")
def test_the_limit_is_exact_over_two_workers_and_stores_no_address(limited, model):
    RateWindow.objects.all().delete()
    ask = limited(CHAT_RATE="5/h")

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: ask().status_code, range(20)))

    assert sorted(statuses) == [200] * 5 + [429] * 15
    assert len(model.requests) == 5
    assert 3590 < int(ask().headers["Retry-After"]) <= 3600
    (window,) = RateWindow.objects.all()
    assert len(window.client) == 64
    assert ALICE not in window.client


def test_a_stream_is_refused_as_json(serve):
    server = serve(CHAT_RATE="1/h", NUM_PROXIES="1")
    headers = {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}::1"}

    first, second = (
        server.client.post("/chat", json={"message": "?", "stream": True}, headers=headers)
        for _ in range(2)
    )

    assert first.headers["Content-Type"] == "text/event-stream"
    assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
    assert second.headers["Content-Type"] == "application/problem+json"
    assert 3590 < int(second.headers["Retry-After"]) <= 3600


@pytest.mark.usefixtures("stored")
def test_the_turn_that_crosses_the_budget_is_the_last_of_the_day(limited, model):
    DailyTokens.objects.all().delete()
    before = Message.objects.count()
    ask = limited(CHAT_DAILY_TOKEN_BUDGET="20")
    model.says(Reply(usage={"prompt_tokens": 12, "completion_tokens": 6}))

    answers = [ask() for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert answers[2].json()["code"] == "budget_exhausted"
    assert 0 < int(answers[2].headers["Retry-After"]) <= 86_400
    assert DailyTokens.objects.get().tokens == 36
    with transaction.atomic(), connection.cursor() as cursor:  # from then on it needs no statement
        cursor.execute("LOCK TABLE chat_daily_tokens, chat_rate_window IN ACCESS EXCLUSIVE MODE")
        again = [ask() for _ in range(3)]
    assert {answer.json()["code"] for answer in again} == {"budget_exhausted"}
    assert all(0 < int(answer.headers["Retry-After"]) <= 86_400 for answer in again)
    assert Message.objects.count() == before + 4


# Calls beside asking ------------------------------------------------------------------------
@pytest.fixture
def reader(serve):
    """Makes calls from an address that no other test has, on a server with this rate."""

    def start(rate):
        server = serve(CHAT_RATE=rate, NUM_PROXIES="1")
        address = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"
        server.client.headers["X-Forwarded-For"] = address
        return server.client

    return start


def test_a_reader_who_has_asked_too_often_can_still_stop_rate_and_delete(reader, model):
    client = reader("1/h")
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=1))

    with streaming(client, session_id=session) as events:
        reply = next(events)["messageId"]
        refused = client.post("/chat", json={"message": "?"})
        stopped = client.post(f"/chat/{session}/stop")
        list(events)
    rated = client.put(f"/chat/{session}/messages/{reply}/feedback", json={"rating": "up"})
    read = client.get(f"/chat/{session}")
    deleted = client.delete(f"/chat/{session}")

    answers = (refused, stopped, rated, read, deleted)
    assert [answer.status_code for answer in answers] == [429, 202, 200, 200, 204]


@pytest.mark.parametrize(
    ("method", "path", "body", "times"),
    [
        ("POST", "/chat/{session}/stop", None, 3),
        ("PUT", "/chat/{session}/messages/{message}/feedback", {"rating": "up"}, 3),
        ("DELETE", "/chat/{session}", None, 3),
        ("GET", "/chat/{session}", None, 30),
    ],
    ids=["stop", "feedback", "delete", "read"],
)
def test_every_call_counts_in_a_window_of_its_own(reader, method, path, body, times):
    client = reader("3/h")
    asked = client.post("/chat", json={"message": "?"}).json()
    path = path.format(session=asked["session_id"], message=asked["message_id"])

    answers = [client.request(method, path, json=body) for _ in range(times + 5)]

    assert 429 not in {answer.status_code for answer in answers[:times]}
    for answer in answers[times:]:
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert client.post("/chat", json={"message": "?"}).status_code == 200


def test_another_clients_calls_are_not_refused(reader):
    client = reader("1/h")
    path = f"/chat/{uuid4()}/stop"

    answers = [client.post(path), client.post(path)]
    other = client.post(path, headers={"X-Forwarded-For": "203.0.113.99"})

    assert [answer.status_code for answer in (*answers, other)] == [404, 429, 404]


@pytest.mark.usefixtures("stored")
def test_whoever_was_refused_is_refused_again_without_the_database(reader):
    client = reader("1/h")
    session = str(uuid4())
    calls = [
        lambda: client.post("/chat", json={"message": "?"}),
        lambda: client.post(f"/chat/{session}/stop"),
    ]
    for call in calls:
        for _ in range(3):
            call()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE chat_rate_window, chat_session IN ACCESS EXCLUSIVE MODE")
        answers = [call() for _ in range(5) for call in calls]

    assert {answer.status_code for answer in answers} == {429}
    assert all(answer.elapsed.total_seconds() < 6 for answer in answers)
    assert all(3500 < int(answer.headers["Retry-After"]) <= 3600 for answer in answers)


def test_a_client_that_is_refused_still_gets_what_it_was_answered(reader, model):
    client = reader("1/h")
    key = {"Idempotency-Key": uuid4().hex}
    first = client.post("/chat", json={"message": "?"}, headers=key)
    for _ in range(5):
        assert client.post("/chat", json={"message": "?"}).status_code == 429

    again = client.post("/chat", json={"message": "?"}, headers=key)
    reused = client.post("/chat", json={"message": "Another?"}, headers=key)
    new = client.post("/chat", json={"message": "?"}, headers={"Idempotency-Key": uuid4().hex})

    assert again.json() == first.json()
    assert [reused.json()["code"], new.json()["code"]] == [
        "idempotency_key_reused",
        "rate_limited",
    ]
    assert len(model.requests) == 1


def test_repeated_requests_are_limited_too(reader, model):
    """Ten times as many as questions: each is looked up."""
    client = reader("1/h")
    key = {"Idempotency-Key": uuid4().hex}

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: client.post("/chat", json={"message": "?"}, headers=key).status_code,
                range(30),
            )
        )
    last = client.post("/chat", json={"message": "?"}, headers=key)

    assert 200 in answers
    assert (last.status_code, last.json()["code"]) == (429, "rate_limited")
    assert last.elapsed.total_seconds() >= limits.REFUSAL_PAUSE_SECONDS
    assert len(model.requests) == 1


@pytest.mark.django_db
def test_what_a_worker_knows_of_a_full_window_ends_with_the_window(settings, monkeypatch):
    settings.CHAT_RATE = (1, 60)
    now = 1000.0
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    RateWindow.objects.create(
        client="dave", began_at=timezone.now() - timedelta(seconds=55), asked=1
    )
    with pytest.raises(RateLimited):
        limits.admit("dave")

    assert limits.known_refusal("dave").retry_after == 5
    assert limits.known_refusal("erin") is None
    now += 4
    assert limits.known_refusal("dave").retry_after == 1
    now += 2
    assert limits.known_refusal("dave") is None


@pytest.mark.django_db
def test_a_window_that_ends_while_a_question_is_refused_is_no_budget(settings, monkeypatch):
    settings.CHAT_RATE, settings.CHAT_DAILY_TOKEN_BUDGET = (1, 60), 10
    monkeypatch.setattr(limits, "_seconds_left", lambda window: None)
    limits.admit("frank")

    with pytest.raises(RateLimited) as refused:
        limits.admit("frank")

    assert refused.value.retry_after == 1
    assert limits.known_refusal("frank") is None


@pytest.mark.django_db
def test_a_worker_remembers_no_more_clients_than_it_should(settings, monkeypatch):
    settings.CHAT_RATE = (1, 60)
    monkeypatch.setattr(limits, "REMEMBERED_WINDOWS", 3)

    for number in range(20):
        limits.admit(f"client {number}")
        with pytest.raises(RateLimited):
            limits.admit(f"client {number}")
        assert limits.known_refusal(f"client {number}")

    assert len(limits._used_up) <= 3


@pytest.mark.django_db
def test_a_window_ends_after_its_period(settings):
    settings.CHAT_RATE = (1, 60)
    limits.admit("carol")
    with pytest.raises(RateLimited) as refused:
        limits.admit("carol")
    assert 59 <= refused.value.retry_after <= 60

    RateWindow.objects.update(began_at=timezone.now() - timedelta(seconds=61))

    limits.admit("carol")


@pytest.mark.usefixtures("only_ours")
def test_clients_of_long_ago_are_forgotten(settings):
    settings.CHAT_RATE = (1, 60)
    old = timezone.now() - timedelta(days=2)
    RateWindow.objects.bulk_create(
        RateWindow(client=f"old {n}", began_at=old, asked=1) for n in range(12)
    )

    RateWindow.objects.create(client="of now", began_at=timezone.now(), asked=1)

    limits.forget_idle_clients()

    assert [window.client for window in RateWindow.objects.all()] == ["of now"]


@pytest.mark.django_db
def test_a_new_day_has_a_new_budget(settings):
    settings.CHAT_RATE, settings.CHAT_DAILY_TOKEN_BUDGET = None, 10
    today = datetime.now(UTC)
    DailyTokens.objects.create(day=today.date() - timedelta(days=1), tokens=50)
    limits.admit(None)
    DailyTokens.objects.create(day=today.date(), tokens=10)

    with pytest.raises(BudgetExhausted):
        limits.admit(None)


@pytest.mark.django_db
def test_without_limits_nothing_is_counted(settings, django_assert_num_queries):
    settings.CHAT_RATE, settings.CHAT_DAILY_TOKEN_BUDGET = None, 0

    with django_assert_num_queries(0):
        limits.admit("carol")
        limits.forget_idle_clients()


@pytest.mark.parametrize(
    ("proxies", "forwarded", "same_as"),
    [
        (0, "1.1.1.1", "9.9.9.9"),
        (1, "", "9.9.9.9"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (2, "1.1.1.1, 2.2.2.2, 3.3.3.3", "2.2.2.2"),
        (3, "1.1.1.1", "1.1.1.1"),
        (1, "x, , 2.2.2.2 ,", "2.2.2.2"),
    ],
)
def test_a_forwarded_address_is_believed_as_far_as_there_are_proxies(
    settings, proxies, forwarded, same_as
):
    settings.NUM_PROXIES = proxies
    found = client_of("9.9.9.9", forwarded)

    settings.NUM_PROXIES = 0
    assert found == client_of(same_as, "")


def test_the_addresses_of_one_ipv6_network_are_one_client(settings):
    settings.NUM_PROXIES = 0

    one = client_of("2001:db8:1:2::1", "")
    assert one == client_of("2001:db8:1:2:ffff::9", "")
    assert one != client_of("2001:db8:1:3::1", "")
    assert client_of("::ffff:1.2.3.4", "") == client_of("1.2.3.4", "")


def test_the_hash_depends_on_the_key(settings):
    one = client_of("9.9.9.9", "")
    settings.SECRET_KEY = "another key"

    assert client_of("9.9.9.9", "") != one
