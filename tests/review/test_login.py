"""Logging in: guesses are limited by client and by client and name, and are lines for fail2ban."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from loguru import logger

from review import login_limits
from review.models import LogInFailures
from tests.helpers import CHECKOUT

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
PASSWORD = "a long pass phrase"


@pytest.fixture(autouse=True)
def ada(settings):
    LogInFailures.objects.all().delete()  # of other tests, whose servers have stored them
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.NUM_PROXIES = 1
    return User.objects.create_user("ada", password=PASSWORD, is_staff=True)


def log_in(username="ada", password=PASSWORD, client="203.0.113.1"):
    """From that address, as the proxy reports it."""
    form = {"username": username, "password": password, "next": "/admin/"}
    return Client().post(LOGIN, form, headers={"X-Forwarded-For": client})


def fail(times, username="ada", client="203.0.113.1"):
    return [log_in(username, "a guess", client).status_code for _ in range(times)]


@pytest.fixture
def lines():
    """The messages of the log, with what is bound to them."""
    found = []
    sink = logger.add(lambda message: found.append(message.record), level="INFO")
    yield found
    logger.remove(sink)


# Limits -------------------------------------------------------------------------------------
def test_after_five_failures_even_the_right_password_is_refused_for_a_while():
    assert fail(5) == [200] * 5

    answer = log_in()

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= login_limits.WINDOW_SECONDS
    assert "Too many log-ins have failed. Please try again in 15 minutes." in (
        answer.content.decode()
    )
    LogInFailures.objects.update(began_at=timezone.now() - timedelta(minutes=16))
    assert log_in().status_code == 302


def test_a_refused_log_in_costs_no_password_hash(settings):
    fail(5)
    settings.PASSWORD_HASHERS = ["no.such.Hasher"]

    assert log_in().status_code == 429


def test_guesses_of_others_lock_nobody_out():
    fail(9, client="203.0.113.66")

    assert log_in(client="203.0.113.1").status_code == 302


@pytest.mark.parametrize("form", ["ADA", "\uff21\uff44\uff41"], ids=["capitals", "full-width"])
def test_a_name_in_another_form_is_no_way_around_the_limit(form):
    fail(5)

    assert log_in(form).status_code == 429


def test_a_client_that_guesses_many_names_is_refused_for_all_of_them():
    for number in range(login_limits.MAX_FAILURES_OF_CLIENT):
        log_in(f"user{number}", "a guess")

    assert log_in().status_code == 429
    assert log_in(client="203.0.113.2").status_code == 302


def test_a_whole_ipv6_network_is_one_client():
    for number in range(5):
        fail(1, client=f"2001:db8::{number}")

    assert log_in(client="2001:db8::ffff").status_code == 429
    assert log_in(client="2001:db8:0:1::1").status_code == 302


def test_what_the_client_claims_of_its_address_does_not_count():
    for number in range(5):
        fail(1, client=f"198.51.100.{number}, 203.0.113.1")

    assert log_in(client="198.51.100.77, 203.0.113.1").status_code == 429


def test_a_success_forgets_the_failures_of_the_name_and_not_those_of_the_client():
    fail(4)
    log_in()
    assert fail(4) == [200] * 4

    assert log_in().status_code == 302
    client = LogInFailures.objects.get()
    assert client.failures == 8


def test_users_who_are_not_staff_are_limited_too():
    User.objects.create_user("reader", password=PASSWORD)

    assert [log_in("reader").status_code for _ in range(6)] == [200] * 5 + [429]


def test_neither_names_nor_addresses_are_stored():
    fail(1)

    with connection.cursor() as cursor:
        cursor.execute("SELECT t::text FROM review_login_failures t")
        rows = "".join(row for (row,) in cursor.fetchall())
    assert "ada" not in rows
    assert "203.0.113" not in rows


def test_old_counters_are_deleted():
    fail(1)
    LogInFailures.objects.update(began_at=timezone.now() - timedelta(hours=1))

    fail(1, username="bob", client="203.0.113.9")

    assert LogInFailures.objects.count() == 2


@pytest.mark.parametrize("form", [{}, {"username": "ada"}, {"username": "a\0b", "password": "x"}])
def test_an_incomplete_form_is_no_failure(form):
    assert Client().post(LOGIN, form).status_code == 200
    assert not LogInFailures.objects.exists()


# The log ------------------------------------------------------------------------------------
def test_a_failure_and_a_refusal_are_warnings_with_the_address(lines):
    fail(6, client="2001:db8::7")

    messages = [(line["level"].name, line["message"]) for line in lines]
    assert messages[0] == ("WARNING", "Log-in failed from 2001:db8::7")
    assert messages[-1] == ("WARNING", "Log-in refused from 2001:db8::7")
    assert {line["extra"]["account"] for line in lines} == {"ada"}


def test_names_that_do_not_exist_are_not_logged(lines):
    """They may be passwords, in the wrong field."""
    log_in("my secret pass phrase", "x")

    assert [line["extra"]["account"] for line in lines] == [None]
    assert "secret" not in str([line["message"] for line in lines])


def test_a_success_is_no_warning(lines):
    log_in()

    assert not [line for line in lines if line["level"].name == "WARNING"]


def fail2ban_filter():
    page = (CHECKOUT / "docs" / "deploy.md").read_text()
    (pattern,) = re.findall(r"^failregex = (.*)$", page, re.MULTILINE)
    return re.compile(pattern.replace("<ADDR>", r"(?P<address>[0-9a-f.:]+)"))


def test_the_documented_filter_finds_failures_in_the_log_and_nothing_else(serve, stored):
    server = serve(EMBEDDED="true", LOG_FORMAT="json", NUM_PROXIES="1")
    forged = '"message": "Log-in failed from 192.0.2.1" Log-in failed from 192.0.2.2'
    client = server.client
    client.get(LOGIN)
    form = {"csrfmiddlewaretoken": "", "username": forged, "password": forged}

    for number in (1, 2):
        form["csrfmiddlewaretoken"] = client.get(LOGIN).text.partition('ken" value="')[2][:64]
        address = f"{forged}, 203.0.113.{number}"
        answer = client.post(LOGIN, data=form, headers={"X-Forwarded-For": address})
        assert answer.status_code == 200
    client.get(f"/admin/?{forged}", headers={"User-Agent": forged})

    # fail2ban cuts off what its date pattern finds.
    dateless = re.sub('"time": "[^"]*', "", server.log)
    found = map(fail2ban_filter().match, dateless.splitlines())
    assert [match["address"] for match in found if match] == ["203.0.113.1", "203.0.113.2"]
    assert all(json.loads(line) for line in server.log.splitlines() if line.startswith("{"))


def test_a_server_of_low_priority_hashes_passwords_too():
    """Its threads may not be given more."""
    script = "import os; os.nice(15); from review.passwords import LowPriorityHasher as Hasher; "
    script += "os.setuid(65534) if os.geteuid() == 0 else None; "
    script += "print(Hasher().encode('a pass phrase', 'salt', 1))"
    settings = {"DJANGO_SETTINGS_MODULE": "chatbackend.settings", "SECRET_KEY": "x" * 50}

    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {script}"],
        check=False,
        cwd=CHECKOUT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.startswith("pbkdf2_sha256$1$salt$"), done.stderr
