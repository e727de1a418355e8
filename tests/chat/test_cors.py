"""The book's site may call the API, errors included; no other site may read an answer."""

import json

import httpx2
import pytest

from chatbackend import cors
from tests.helpers.scripted_model import refusal
from tests.helpers.server import running_server

BOOK = "http://localhost:3000"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/chat", 405),
        ("POST", "/chat", 415),
        ("GET", "/chat/7", 422),
    ],
)
def test_every_answer_to_the_book_may_be_read_by_it(client, method, path, status):
    answer = client.request(method, path, headers={"Origin": BOOK})

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == BOOK
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Retry-After", "X-Request-ID"} <= set(exposed)


def test_a_failed_turn_and_a_large_body_may_be_read_too(client, model):
    model.says(refusal(401))

    failed = client.post("/chat", json={"message": "?"}, headers={"Origin": BOOK})
    large = client.post("/chat", json={"message": "x" * 2_000_000}, headers={"Origin": BOOK})

    assert (failed.status_code, large.status_code) == (502, 413)
    assert failed.headers["Access-Control-Allow-Origin"] == BOOK
    assert large.headers["Access-Control-Allow-Origin"] == BOOK


def test_a_preflight_is_answered(client):
    answer = client.options(
        "/chat",
        headers={
            "Origin": BOOK,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,idempotency-key",
        },
    )

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == BOOK
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type,idempotency-key"
    assert answer.headers["Access-Control-Max-Age"] == "86400"
    assert "X-Request-ID" in answer.headers


ADDED_BY_OTHERS = "authorization,baggage,content-type,sentry-trace,x-stainless-os,x-what-ever"


def test_pages_may_send_any_header(client):
    """Monitoring, tracing and SDKs add their own to each request of a page."""
    preflight = {
        "Origin": BOOK,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ADDED_BY_OTHERS,
    }

    allowed = client.options("/chat", headers=preflight)
    refused = client.options("/chat", headers=preflight | {"Origin": "https://evil.example"})

    assert allowed.headers["Access-Control-Allow-Headers"] == ADDED_BY_OTHERS
    assert not [name for name in refused.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/chat", "/nowhere", "/static/x", "/admin/", "/docs"])
def test_a_preflight_is_answered_on_every_path(client, path):
    headers = {"Origin": BOOK, "Access-Control-Request-Method": "GET"}

    answer = client.options(path, headers=headers)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == BOOK
    assert "Access-Control-Allow-Headers" not in answer.headers


def test_options_without_a_preflights_header_is_no_preflight(client):
    assert client.options("/chat", headers={"Origin": BOOK}).status_code == 405


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:3001", "null", "http://localhost:3000.x"]
)
def test_other_origins_get_no_cors_headers(client, origin):
    answer = client.get("/health", headers={"Origin": origin})

    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "origin" in answer.headers["Vary"].lower()


def test_a_refused_origin_is_logged_once(serve):
    server = serve(WEB_CONCURRENCY="2")
    origins = ["https://one.example", "null", "https://two.example\\x"]

    for origin in origins * 3:
        for _ in range(2):  # a connection each, for both workers to be asked
            httpx2.get(f"{server.base_url}/health", headers={"Origin": origin})
    for own in (BOOK, server.base_url):
        server.client.get("/health", headers={"Origin": own})

    warnings = [
        line
        for line in map(json.loads, server.log.splitlines())
        if "FRONTEND_URL" in line["message"]
    ]
    assert [line["level"] for line in warnings] == ["WARNING"] * 3
    assert [line["message"].split()[2] for line in warnings] == origins


def test_reports_of_refused_origins_are_bounded(monkeypatch):
    """However many a client makes up."""
    warnings = []
    monkeypatch.setattr(cors.logger, "warning", lambda *line: warnings.append(line))

    for number in range(3000):
        cors.headers_for([(b"origin", b"https://%d.example/%s" % (number, b"x" * 5000))])

    assert 500 < len(warnings) <= 1024
    assert max(len(origin) for _, origin in warnings) <= 200


def test_frontend_url_adds_the_books_own_addresses(environment, tmp_path):
    addresses = "https://Book.example:443/, https://a.github.io/book, https://bücher.example"
    with running_server(tmp_path / "log", **environment | {"FRONTEND_URL": addresses}) as server:
        allowed = ["https://book.example", "https://a.github.io", "https://xn--bcher-kva.example"]
        for origin in (BOOK, *allowed):
            answer = httpx2.get(f"{server.base_url}/health", headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin
