"""Exports from the admin, over HTTP: Django's test client consumes streams differently."""

import csv
import io
import json
from contextlib import ExitStack
from uuid import uuid4

import httpx2
import pytest
from django.contrib.auth.models import Group, User

SESSIONS = "/admin/chat/chatsession/"


@pytest.fixture
def staff(serve, stored):
    """Logs a new member of staff in, over plain HTTP (as `EMBEDDED` allows)."""
    server = serve(EMBEDDED="true", WEB_CONCURRENCY="1")
    made, browsers = [], ExitStack()

    def logged_in(group):
        user = User.objects.create_user(f"user {uuid4()}", password="pass phrase", is_staff=True)
        user.groups.set(Group.objects.filter(name=group))
        made.append(user)
        browser = browsers.enter_context(
            httpx2.Client(base_url=server.base_url, timeout=30, follow_redirects=True)
        )
        browser.get("/admin/login/")
        login = form(browser, username=user.username, password="pass phrase")
        browser.post("/admin/login/", data=login)
        return browser

    yield logged_in
    browsers.close()
    for user in made:
        user.delete()


def form(browser, **fields):
    return fields | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}


@pytest.fixture
def sessions(ask):
    return [ask(f"Exported {number}?").json()["session_id"] for number in range(3)]


@pytest.mark.parametrize(("action", "form_of"), [("export_jsonl", "jsonl"), ("export_csv", "csv")])
def test_selected_sessions_are_a_file(staff, sessions, action, form_of):
    browser = staff("Conversation reviewers")

    answer = browser.post(
        SESSIONS, data=form(browser, action=action) | {"_selected_action": sessions[:2]}
    )

    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="conversations.{form_of}"'
    )
    if form_of == "csv":
        assert answer.content.startswith(b"\xef\xbb\xbf")  # by which Excel knows it is UTF-8
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    else:
        rows = [json.loads(line) for line in answer.text.splitlines()]
    assert {row["session_id"] for row in rows} == set(sessions[:2])


def test_all_results_of_a_search_are_exported(staff, sessions, ask):
    word = f"word{uuid4().hex}"
    found = ask(f"About {word}?").json()["session_id"]
    browser = staff("Conversation reviewers")

    answer = browser.post(
        f"{SESSIONS}?q={word}",
        data=form(browser, action="export_jsonl", select_across="1")
        | {"_selected_action": [found]},
    )

    assert [json.loads(line)["session_id"] for line in answer.text.splitlines()] == [found]


def test_exporting_needs_the_permission(staff, sessions):
    browser = staff("no such group")

    answer = browser.post(
        SESSIONS, data=form(browser, action="export_csv") | {"_selected_action": sessions}
    )

    assert answer.status_code == 403
