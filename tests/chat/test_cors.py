"""The book's site may call the API, errors included; no other site may read an answer."""

import httpx2
import pytest

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


def test_the_browsers_question_before_a_post_is_answered(client):
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
    assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost:3001", "null", "http://localhost:3000.x"]
)
def test_other_origins_get_no_cors_headers(client, origin):
    answer = client.get("/health", headers={"Origin": origin})

    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_frontend_url_adds_the_books_own_addresses(environment, tmp_path):
    settings = environment | {"FRONTEND_URL": "https://book.example/, https://a.github.io/book"}
    with running_server(tmp_path / "log", **settings) as server:
        for origin in (BOOK, "https://book.example", "https://a.github.io"):
            answer = httpx2.get(f"{server.base_url}/health", headers={"Origin": origin})
            assert answer.headers["Access-Control-Allow-Origin"] == origin
