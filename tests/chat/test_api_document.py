"""The OpenAPI document and its pages, served from here alone."""

import re

import pytest


def test_the_document_names_every_call_and_error(client):
    document = client.get("/openapi.json").json()

    calls = {(m, path) for path, item in document["paths"].items() for m in item}
    assert calls == {
        ("post", "/chat"),
        ("get", "/chat/{session_id}"),
        ("delete", "/chat/{session_id}"),
        ("post", "/chat/{session_id}/stop"),
        ("put", "/chat/{session_id}/messages/{message_id}/feedback"),
        ("get", "/health"),
        ("head", "/health"),
        ("get", "/health/ready"),
        ("head", "/health/ready"),
    }
    answers = document["paths"]["/chat"]["post"]["responses"]
    assert set(map(int, answers)) == {200, 400, 409, 413, 415, 422, 429, 500, 502, 503, 504}
    assert answers["200"]["content"].keys() == {"application/json", "text/event-stream"}
    names = document["components"]["schemas"].keys()
    assert {"ChatRequest", "ChatResponse", "HealthResponse", "ProblemResponse"} <= names
    message = document["components"]["schemas"]["ChatRequest"]["properties"]["message"]
    assert (message["minLength"], message["maxLength"]) == (1, 4000)


@pytest.mark.parametrize("path", ["/docs", "/"])
def test_pages_load_nothing_from_elsewhere(client, path):
    page = client.get(path)

    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert not link.startswith(("http", "//")), link
        if link.startswith("/static/"):
            assert client.get(link).status_code == 200


def test_the_page_is_silent_about_demonstration_when_a_model_is_set(client):
    page = client.get("/").text

    assert "Physical AI &amp; Humanoid Robotics" in page
    assert "demonstration" not in page


def test_browsers_find_an_icon(client):
    icon = client.get("/favicon.ico", follow_redirects=True)

    assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")
