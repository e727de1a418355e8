"""The figures of a period: the insights page, and manage.py usage_report."""

import csv
import json
import re
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.ids import uuid7
from chat.models import ChatSession, Message
from review.admin import reading
from review.insights import Percentiles, insights
from tests.review.book import publish, source

pytestmark = pytest.mark.django_db
PAGE = "/admin/insights/"
MONDAY = date(2026, 11, 16)
BOOK = "https://book.example/chapter-1"


@pytest.fixture(autouse=True)
def only_ours():
    ChatSession.objects.all().delete()


def exchange(at=MONDAY, hour=12, *, page_url="", selected_text="", question="What?", **columns):
    """A question of that day, and its reply."""
    moment = datetime(at.year, at.month, at.day, hour, tzinfo=UTC)
    stamp = int(moment.timestamp() * 1000) << 42
    session = ChatSession.objects.create()
    asked = Message.objects.create(
        id=uuid7(stamp),
        session=session,
        role="user",
        content=question,
        created_at=moment,
        page_url=page_url,
        selected_text=selected_text,
    )
    reply = {"content": "It computes.", "status": "complete"} | columns
    return Message.objects.create(
        id=uuid7(stamp + 1),
        session=session,
        role="assistant",
        reply_to=asked,
        created_at=moment,
        **reply,
    )


FAILED = {"status": "failed", "error_code": "model_timeout", "content": ""}


def test_each_day_counts_its_questions_and_the_total_counts_all(settings):
    settings.LLM_PRICE_PER_MILLION = (Decimal("0.40"), Decimal("1.60"))
    exchange(prompt_tokens=1000, completion_tokens=100, feedback="up")
    exchange(prompt_tokens=2000, completion_tokens=200, feedback="down")
    exchange(**FAILED)
    exchange(MONDAY + timedelta(2), **FAILED | {"content": "It com"})
    exchange(MONDAY + timedelta(2), status="stopped")

    found = insights(MONDAY, MONDAY + timedelta(2))

    monday, tuesday, wednesday = found.days
    assert [day.day for day in found.days] == [MONDAY + timedelta(n) for n in range(3)]
    assert (monday.questions, monday.answered, monday.failed, monday.unanswered) == (3, 2, 1, 1)
    assert (monday.thumbs_up, monday.thumbs_down) == (1, 1)
    assert (monday.prompt_tokens, monday.completion_tokens) == (3000, 300)
    assert monday.cost == Decimal("0.00168")
    assert (tuesday.questions, tuesday.first_token, tuesday.cost) == (0, None, 0)
    assert (wednesday.failed, wednesday.unanswered, wednesday.stopped) == (1, 0, 1)
    assert (found.total.questions, found.total.failed, found.total.stopped) == (5, 2, 1)
    assert found.total.cost == monday.cost


def test_days_begin_and_end_at_midnight_utc_and_nothing_outside_counts():
    for day, hour in ((-1, 23), (0, 0), (1, 23), (2, 0)):
        exchange(MONDAY + timedelta(day), hour)

    found = insights(MONDAY, MONDAY + timedelta(1))

    assert [day.questions for day in found.days] == [1, 1]


def test_times_are_reported_as_median_and_95th_percentile():
    for number in range(1, 102):
        exchange(first_token_ms=number * 10, latency_ms=number * 100)
    exchange(**FAILED)  # its time is unknown

    found = insights(MONDAY, MONDAY)

    assert found.days[0].first_token == found.total.first_token == Percentiles(510, 960)
    assert found.days[0].duration == Percentiles(5100, 9600)


def test_a_period_without_questions_is_all_zeros():
    found = insights(MONDAY, MONDAY)

    assert (found.total.questions, found.total.duration) == (0, None)
    assert (found.pages, found.passages, found.failing, found.unanswered) == ([], [], [], [])


def test_pages_count_without_their_fragments_the_busiest_first():
    exchange(page_url=BOOK)
    exchange(page_url=f"{BOOK}#nodes", **FAILED)
    exchange(page_url=f"{BOOK}#topics", feedback="down", selected_text="A topic.")
    exchange(page_url="https://book.example/chapter-2")

    first, second = insights(MONDAY, MONDAY).pages

    assert (first.page, first.asked, first.failed, first.thumbs_down) == (BOOK, 3, 1, 1)
    assert (second.page, second.asked) == ("https://book.example/chapter-2", 1)


def test_passages_are_listed_by_how_often_they_were_asked_about_and_by_failures():
    for failed in ({}, {}, {}):
        exchange(page_url=BOOK, selected_text="A node computes.", **failed)
    for failed in (FAILED, FAILED):
        exchange(page_url=BOOK, selected_text="A topic carries.", **failed)
    exchange(page_url="https://book.example/2", selected_text="A node computes.", **FAILED)
    exchange()

    found = insights(MONDAY, MONDAY)

    assert [(each.passage, each.asked) for each in found.passages] == [
        ("A node computes.", 3),
        ("A topic carries.", 2),
        ("A node computes.", 1),
    ]
    assert [(each.passage, each.failed) for each in found.failing] == [
        ("A topic carries.", 2),
        ("A node computes.", 1),
    ]


def test_long_passages_with_the_same_beginning_are_counted_separately():
    for end in ("one", "two"):
        exchange(page_url=BOOK, selected_text="A node. " * 100 + end)

    assert [each.asked for each in insights(MONDAY, MONDAY).passages] == [1, 1]


def test_questions_without_an_answer_are_listed_newest_first():
    exchange(question="First?", **FAILED)
    exchange(question="Half?", **FAILED | {"content": "It com"})
    exchange(hour=13, question="Second?", **FAILED)

    listed = insights(MONDAY, MONDAY).unanswered

    assert [question.content for question in listed] == ["Second?", "First?"]


# The page -----------------------------------------------------------------------------------
@pytest.fixture
def rita():
    """A reviewer."""
    user = User.objects.create_user("rita", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name="Conversation reviewers"))
    client = Client()
    client.force_login(user)
    return client


def period(since=MONDAY, until=MONDAY):
    return {"since": since.isoformat(), "until": until.isoformat()}


def test_the_page_shows_the_figures_and_links_to_the_conversations(rita, settings):
    settings.LLM_PRICE_PER_MILLION = (Decimal("0.40"), Decimal("1.60"))
    exchange(
        prompt_tokens=10**6,
        completion_tokens=10**6,
        latency_ms=2500,
        page_url=BOOK,
        selected_text="A node computes.",
    )
    failed = exchange(question="Why <b>not</b>?", **FAILED)

    page = rita.get(PAGE, period()).content.decode()

    assert "2.00" in page  # 0.40 + 1.60
    assert "2.5 s" in page
    assert f"/admin/chat/chatsession/?page={BOOK.replace(':', '%3A').replace('/', '%2F')}" in page
    assert f"{BOOK}#:~:text=A%20node%20computes." in page
    assert (
        f"/admin/chat/chatsession/{failed.session_id}/change/#message-{failed.reply_to_id}" in page
    )
    assert "Why &lt;b&gt;not&lt;/b&gt;?" in page
    assert "took too long" in page


def test_the_charts_get_the_same_figures_as_the_table(rita):
    exchange(first_token_ms=500, latency_ms=1500)

    page = rita.get(PAGE, period(until=MONDAY + timedelta(1))).content.decode()
    (figures,) = re.findall(
        r'<script id="chart-figures" type="application/json">(.*?)</script>', page
    )
    charts = json.loads(figures)

    assert charts["days"] == ["2026-11-16", "2026-11-17"]
    assert charts["answered"] == [1, 0]
    assert charts["duration_p50"] == [1.5, None]
    assert {len(series) for series in charts.values()} == {2}


def test_thirty_days_up_to_today_are_shown_by_default(rita):
    today = datetime.now(UTC).date()
    exchange(today)

    page = rita.get(PAGE)

    assert page.context["form"].cleaned_data == {"since": today - timedelta(29), "until": today}
    assert page.context["insights"].total.questions == 1
    assert ">30 days</a>" in page.content.decode()


@pytest.mark.parametrize(
    ("since", "until", "sentence"),
    [
        ("2026-11-17", "2026-11-16", "The first day is after the last."),
        ("2020-01-01", "2026-11-16", "Choose at most 366 days."),
        ("yesterday", "2026-11-16", "Enter a valid date."),
        ("", "2026-11-16", "This field is required."),
    ],
)
def test_an_invalid_period_is_refused_with_a_sentence(rita, since, until, sentence):
    page = rita.get(PAGE, {"since": since, "until": until})

    assert page.status_code == 200
    assert sentence in page.content.decode()


def test_answers_are_counted_by_what_they_rest_on():
    exchange(grounding="book", support=0.9)
    exchange(grounding="book", support=0.3, misquotes=2)
    exchange(grounding="passage", support=0.1)
    exchange(MONDAY + timedelta(1), grounding="silent")
    exchange(MONDAY + timedelta(1), grounding="uncited")
    exchange(MONDAY + timedelta(1), grounding="excerpts")

    found = insights(MONDAY, MONDAY + timedelta(1))

    monday, tuesday = found.days
    assert (monday.book, monday.passage, monday.silent) == (2, 1, 0)
    assert (monday.weakly_supported, monday.misquoting) == (1, 1)
    assert monday.support == found.total.support == pytest.approx(0.6)
    assert (tuesday.silent, tuesday.uncited, tuesday.excerpts) == (1, 1, 1)
    assert tuesday.support is None
    assert found.total.grounded == 6


def test_sections_are_listed_by_how_often_they_are_cited_asked_about_disliked_and_left_out():
    node, name, topic = publish(1, node="A node.", name="A name.", topic="A topic.").values()
    cites = {"grounding": "book", "support": 1}
    exchange(**cites, sources=[source(node)], found=[name.pk, node.pk, topic.pk])
    exchange(**cites, sources=[source(node)], found=[name.pk, node.pk], feedback="up")
    exchange(**cites, sources=[source(name)], found=[name.pk], feedback="down")
    exchange(grounding="excerpts", sources=[source(topic)], found=[topic.pk])

    book = insights(MONDAY, MONDAY).book

    assert [(use.id, use.cited) for use in book.cited] == [(node.pk, 2), (name.pk, 1)]
    assert [(use.id, use.best, use.found) for use in book.asked] == [
        (name.pk, 3, 3),
        (topic.pk, 1, 2),
    ]
    assert [(use.id, use.thumbs_down) for use in book.disliked] == [(name.pk, 1)]
    assert [use.id for use in book.uncited] == [topic.pk]


def test_questions_that_the_book_does_not_cover_stand_beside_the_nearest_sections(rita):
    near = {"title": "Nodes", "section": "Names", "url": "https://book.example/nodes#names"}
    reply = exchange(question="Who is Ada?", grounding="silent", nearest=[near])

    page = rita.get(PAGE, period()).content.decode()

    row = page[page.index("Who is Ada?") :].partition("</tr>")[0]
    assert 'href="https://book.example/nodes#names"' in row
    assert f"/admin/chat/chatsession/{reply.session_id}/change/" in page


def test_without_a_book_the_page_has_nothing_of_it(rita):
    exchange()

    page = rita.get(PAGE, period()).content.decode()

    assert insights(MONDAY, MONDAY).book is None
    assert "chart-grounding" not in page
    assert "Sections most cited" not in page


def test_the_last_possible_day_is_a_valid_period(rita):
    assert rita.get(PAGE, period(date(9999, 12, 1), date.max)).status_code == 200


def test_a_period_that_takes_too_long_is_answered_with_a_sentence(rita, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_QUERY_SECONDS", 0.01)
    monkeypatch.setattr("review.insights.FIGURES", "SELECT pg_sleep(30)")

    begin = time.monotonic()
    page = rita.get(PAGE, period())

    assert time.monotonic() - begin < 15
    assert "Choose fewer days." in page.content.decode()


@pytest.mark.parametrize("count", [3, 60])
def test_the_number_of_queries_does_not_depend_on_the_number_of_messages(rita, count):
    for number in range(count):
        page_url = f"https://book.example/{number}"
        exchange(page_url=page_url, selected_text=f"Passage {number}.", **FAILED)
        exchange(page_url=page_url, grounding="silent")

    with CaptureQueriesContext(connection) as queries:
        rita.get(PAGE, period())

    # Session, user, permissions (2), book, savepoint, limit, days, places, unanswered, sections,
    # silent, release.
    assert len(queries) == 13, [query["sql"][:80] for query in queries]


def test_the_figures_need_the_permission_to_view_conversations(rita):
    stranger = Client()
    User.objects.create_user("sam", password="x", is_staff=True)
    sam = Client()
    sam.force_login(User.objects.get(username="sam"))

    assert rita.get(PAGE).status_code == 200
    assert sam.get(PAGE).status_code == 403
    assert stranger.get(PAGE).url.startswith("/admin/login/")
    assert rita.post(PAGE).status_code == 405
    assert "/admin/insights/" in rita.get("/admin/").content.decode()
    assert "/admin/insights/" not in sam.get("/admin/").content.decode()


def test_sessions_are_filtered_by_the_page_they_were_asked_from(rita):
    there = exchange(page_url=f"{BOOK}#nodes")
    exchange(page_url=f"{BOOK}0")

    listed = rita.get("/admin/chat/chatsession/", {"page": BOOK})

    assert [session.pk for session in listed.context["cl"].result_list] == [there.session_id]


# The command --------------------------------------------------------------------------------
def report(capsys, *arguments):
    call_command("usage_report", *arguments)
    return capsys.readouterr().out


def test_the_report_has_a_line_for_each_day_and_one_for_the_whole(capsys, settings):
    settings.LLM_PRICE_PER_MILLION = (Decimal(1), Decimal(2))
    exchange(prompt_tokens=500_000, completion_tokens=250_000, latency_ms=2500)
    exchange(MONDAY + timedelta(1), **FAILED)
    days = ("--since", "2026-11-16", "--until", "2026-11-17")

    table = report(capsys, *days).splitlines()
    lines = [json.loads(line) for line in report(capsys, *days, "--format", "jsonl").splitlines()]
    rows = list(csv.DictReader(report(capsys, *days, "--format", "csv").splitlines()))

    assert [line.split()[0] for line in table] == ["day", "2026-11-16", "2026-11-17", "total"]
    assert table[1].split() == [str("-" if cell is None else cell) for cell in lines[0].values()]
    assert [(line["questions"], line["failed"], line["cost"]) for line in lines] == [
        (1, 0, 1.0),
        (1, 1, 0.0),
        (2, 1, 1.0),
    ]
    assert lines[0]["duration_p50_ms"] == 2500
    assert [row["day"] for row in rows] == ["2026-11-16", "2026-11-17", "total"]
    assert list(rows[0]) == list(lines[0])


def test_the_last_thirty_days_are_reported_by_default(capsys):
    exchange(datetime.now(UTC).date())

    lines = report(capsys).splitlines()

    assert len(lines) == 1 + 30 + 1
    assert lines[-1].split()[:2] == ["total", "1"]


def test_the_first_possible_days_are_a_valid_period(capsys):
    assert report(capsys, "--until", "0001-01-05").splitlines()[1].split()[0] == "0001-01-01"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "2026-11-17", "--until", "2026-11-16"),
        ("--since", "2020-01-01"),
        ("--since", "soon"),
        ("--format", "pdf"),
    ],
)
def test_an_invalid_period_or_format_is_refused(arguments):
    with pytest.raises((CommandError, SystemExit)):
        call_command("usage_report", *arguments)
