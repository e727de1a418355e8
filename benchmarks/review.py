"""How fast the pages and commands of staff are with a million messages (`make bench-review`).

Fills a PostgreSQL of its own (`.embedded/bench`) by `seed_demo`, asks for each page a few times,
and prints a table for docs/performance.md. The pages are made in this process, by Django's test
client, which goes through all middleware and counts the queries.
"""

from benchmarks.environment import manage  # first: it sets Django up

# isort: split
import argparse
import os
import platform
import time
from datetime import UTC, datetime, timedelta
from statistics import median

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.test.utils import CaptureQueriesContext

from book.models import Edition, Section
from chat.models import ChatSession, Message

ROUNDS = 5
SESSIONS = "/admin/chat/chatsession/"
PAGES: dict[str, str] = {
    "session list": SESSIONS,
    "session list, page 20": f"{SESSIONS}?p=20",
    "with a failed reply": f"{SESSIONS}?failed=yes",
    "with a stopped reply": f"{SESSIONS}?stopped=yes",
    "with a thumb down": f"{SESSIONS}?disliked=yes",
    "with a correction": f"{SESSIONS}?corrected=yes",
    "where the book is silent": f"{SESSIONS}?silent=yes",
    "weakly supported": f"{SESSIONS}?weak=yes",
    "with a misquote": f"{SESSIONS}?misquote=yes",
    "about a passage": f"{SESSIONS}?passage=yes",
    "failed, with a thumb down": f"{SESSIONS}?failed=yes&disliked=yes",
    "of a model": f"{SESSIONS}?model=gpt-4.1-mini",
    "of a model nobody used": f"{SESSIONS}?model=none-such",
    "of an API": f"{SESSIONS}?door=mcp",
    "of an API nobody used": f"{SESSIONS}?door=none-such",
    "from a page of the book": f"{SESSIONS}?page=http%3A%2F%2Flocalhost%3A3000%2Fchapter-3",
    "unreviewed": f"{SESSIONS}?review=unreviewed",
    "search: robot or node": f"{SESSIONS}?q=robot+or+node",
    "search: lidar": f"{SESSIONS}?q=lidar",
    "search: servo -lidar": f"{SESSIONS}?q=servo+-lidar",
    'search: "drifts otherwise"': f"{SESSIONS}?q=%22drifts+otherwise%22",
    "search: no such word": f"{SESSIONS}?q=xyzzy",
    "search within failed": f"{SESSIONS}?q=lidar&failed=yes",
    "message list": "/admin/chat/message/",
    "insights, 30 days": "/admin/insights/",
}
BOOK = "examples/docusaurus/docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200_000)
    options = parser.parse_args()
    manage("migrate", "--verbosity", "0")
    index_book("http://localhost:3000/")
    seeded, _ = manage("seed_demo", "--sessions", str(options.sessions), "--seed", "1")
    index_book("http://moved.example/")
    User.objects.create_superuser("bench", password=None)
    print(f"{described()}\n")
    print("| page | median | slowest | queries |\n|---|---|---|---|")
    for name, path in pages().items():
        times, queries = measured(path)
        print(f"| {name} | {median(times):.0f} ms | {max(times):.0f} ms | {queries} |")
    exported, export_memory = manage("export_conversations", "--output", os.devnull)
    purged, purge_memory = manage("purge_conversations", "--older-than", "1h")
    print("\n| command | time | peak memory |\n|---|---|---|")
    print(f"| `seed_demo --sessions {options.sessions}` | {seeded:.0f} s | |")
    print(f"| `export_conversations` | {exported:.0f} s | {export_memory:.0f} MB |")
    print(f"| `purge_conversations` of all | {purged:.0f} s | {purge_memory:.0f} MB |")


def index_book(site: str) -> None:
    """The example book as an edition; at another address all its sections are others."""
    manage("index_book", BOOK, BOOK_URL=site, BOOK_QUESTIONS="0", OPENAI_API_KEY="")


def described() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
    return (
        f"{Message.objects.count():,} messages in {ChatSession.objects.count():,} sessions, "
        f"PostgreSQL {version}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )


def pages() -> dict[str, str]:
    by_session = Message.objects.order_by().values("session").annotate(count=Count("pk"))
    longest = by_session.order_by("-count").first()
    long = f"{SESSIONS}{longest['session']}/change/" if longest else SESSIONS
    count = longest["count"] if longest else 0
    today = datetime.now(UTC).date()
    section, edition = Section.objects.earliest("pk"), Edition.objects.get(is_current=True)
    within = "?_changelist_filters=q%3Dlidar%26failed%3Dyes"
    return PAGES | {
        "insights, 90 days": f"/admin/insights/?since={today - timedelta(days=89)}&until={today}",
        "the section cited most": f"/admin/book/section/{section.pk}/change/",
        "an edition that changed all": f"/admin/book/edition/{edition.pk}/change/",
        f"a transcript of {count} messages": long,
        "the same, within a search and filter": long + within,
    }


def measured(path: str) -> tuple[list[float], int]:
    """Milliseconds of each round, and the number of queries of the last."""
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get(username="bench"))
    client.get(path)
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        times.append((time.perf_counter() - begin) * 1000)
        if answer.status_code != 200 or b"takes too long" in answer.content:
            raise SystemExit(f"{path} answered {answer.status_code}, or was too slow")
    return times, len(queries)


if __name__ == "__main__":
    main()
