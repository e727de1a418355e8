"""The OpenAPI document, and the pages that are served from here alone."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from chat.api import front_ends
from chat.api.problems import PROBLEMS
from chat.api.schemas import FAILURES
from llm import errors
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.streams import stream
from tests.helpers.waiting import eventually

SNAPSHOT = Path(__file__).with_name("openapi.json")


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


@pytest.fixture
def operations(document):
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


@pytest.fixture
def schema_of(document):
    """Validates against one of the document's schemas."""

    def validator(name):
        return Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]},
            format_checker=Draft202012Validator.FORMAT_CHECKER,
        )

    return validator


# What it says -------------------------------------------------------------------------------
def test_the_document_names_every_call_and_error(document, operations):
    assert set(operations) == {
        ("post", "/chat"),
        ("get", "/chat/{session_id}"),
        ("delete", "/chat/{session_id}"),
        ("post", "/chat/{session_id}/stop"),
        ("put", "/chat/{session_id}/messages/{message_id}/feedback"),
        ("get", "/book"),
        ("get", "/book/search"),
        ("get", "/book/sections/{section_id}"),
        ("get", "/chat/{session_id}/stream"),
        ("get", "/api/chat/{session_id}/stream"),
        *(("post", path) for path in front_ends.PATHS),
        ("post", "/v1/chat/completions"),
        ("get", "/v1/models"),
        ("post", "/mcp"),
        ("get", "/.well-known/mcp/server-card.json"),
        ("get", "/health"),
        ("head", "/health"),
        ("get", "/health/ready"),
        ("head", "/health/ready"),
    }
    answers = operations["post", "/chat"]["responses"]
    assert set(map(int, answers)) == {200, 400, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504}
    assert answers["200"]["content"].keys() == {"application/json", "text/event-stream"}
    names = document["components"]["schemas"].keys()
    assert {"ChatRequest", "ChatResponse", "HealthResponse", "ProblemResponse"} <= names
    message = document["components"]["schemas"]["ChatRequest"]["properties"]["message"]
    assert (message["minLength"], message["maxLength"]) == (1, 4000)


def test_a_change_of_the_api_is_seen_in_review(document):
    written = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("RENEW_OPENAPI"):
        SNAPSHOT.write_text(written)

    assert SNAPSHOT.read_text() == written, (
        "The OpenAPI document has changed. If the API was meant to change, run `make openapi` "
        f"and commit {SNAPSHOT.name}."
    )


def test_strict_validators_accept_the_document(document, operations):
    validate(document)

    counts = Counter(operation["operationId"] for operation in operations.values())
    assert max(counts.values()) == 1
    assert document["servers"]
    assert document["security"] == []
    tags = {tag["name"] for tag in document["tags"]}
    assert all(set(operation["tags"]) <= tags for operation in operations.values())


def test_an_answer_to_head_has_no_content(operations):
    for method, path in operations:
        if method == "head":
            responses = operations[method, path]["responses"].values()
            assert not any("content" in response for response in responses)


def test_parameters_are_never_null(operations):
    for operation in operations.values():
        for parameter in operation.get("parameters", ()):
            assert "null" not in json.dumps(parameter["schema"])


def test_what_need_not_be_sent_has_no_default(document):
    """Or generated TypeScript would demand it."""
    for name in ("ChatRequest", "FeedbackRequest"):
        for field in document["components"]["schemas"][name]["properties"].values():
            assert "default" not in field


def test_every_error_has_both_media_types_and_its_codes(operations):
    for operation in operations.values():
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            if "application/problem+json" in content:
                assert content["application/problem+json"] == content["application/json"]
                codes = re.findall(r"`(\w+)`", response["description"])
                assert codes
                assert {PROBLEMS[code].status for code in codes} == {int(status)}


def test_codes_and_statuses_are_enumerated(document):
    schemas = document["components"]["schemas"]
    problem, message = schemas["ProblemResponse"]["properties"], schemas["MessageOut"]["properties"]

    assert set(problem["code"]["enum"]) == set(PROBLEMS)
    assert set(problem["status"]["enum"]) == {each.status for each in PROBLEMS.values()}
    assert set(message["status"]["enum"]) == {"pending", "complete", "stopped", "failed"}
    assert {"type": "string", "enum": FAILURES} in message["error_code"]["anyOf"]


def test_every_failure_of_a_model_may_be_the_reason_of_a_failed_reply():
    codes = {
        each.code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.CodedError)
    }
    assert codes | {"interrupted"} == set(FAILURES)


# What it promises ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "kinds"),
    [
        (Reply("One  two.\n\nتین 🤖"), {"start", "text-start", "text-delta", "text-end", "finish"}),
        (Reply("One two three.", cut=2), {"text-delta", "data-error", "error"}),
    ],
    ids=["answered", "failed"],
)
def test_every_event_of_a_stream_is_described(client, model, schema_of, reply, kinds):
    model.says(reply)

    *events, done = stream(client)

    assert done == "[DONE]"
    assert kinds <= {event["type"] for event in events}
    for event in events:
        schema_of("StreamEvent").validate(event)


def test_answers_are_as_described(client, model, ask, schema_of):
    answer = ask().json()
    path = f"/chat/{answer['session_id']}"
    feedback = client.put(
        f"{path}/messages/{answer['message_id']}/feedback", json={"rating": "up", "comment": "Yes."}
    )
    model.says(refusal(401))
    problem = ask("And now?", session_id=answer["session_id"])

    schema_of("ChatResponse").validate(answer)
    schema_of("FeedbackOut").validate(feedback.json())
    schema_of("ProblemResponse").validate(problem.json())
    schema_of("ProblemResponse").validate(ask("").json())
    schema_of("HistoryResponse").validate(client.get(path).json())
    schema_of("HealthResponse").validate(client.get("/health").json())
    schema_of("ReadyResponse").validate(client.get("/health/ready").json())
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    schema_of("McpSuccess").validate(client.post("/mcp", json=ping).json())
    schema_of("McpFailure").validate(client.post("/mcp", json=ping | {"id": None}).json())
    schema_of("McpServerCard").validate(client.get("/.well-known/mcp/server-card.json").json())


# Its address --------------------------------------------------------------------------------
def test_the_document_is_sent_again_only_after_a_change(client):
    first = client.get("/openapi.json")

    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    other = client.get("/openapi.json", headers={"If-None-Match": '"of yesterday"'})

    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (other.status_code, other.content) == (200, first.content)


def test_every_worker_has_the_same_document(client):
    assert len({client.get("/openapi.json").headers["ETag"] for _ in range(20)}) == 1


def test_the_document_is_not_written_anew_for_each_request(server):
    server.client.get("/openapi.json")

    cpu_per_request = eventually(lambda: cpu_of_documents(server), seconds=30)

    assert cpu_per_request < 0.01  # writing it takes about 0.08


def cpu_of_documents(server, requests=50):
    """In seconds, of all workers."""
    before = cpu_of(server)
    for _ in range(requests):
        assert server.client.get("/openapi.json").status_code == 200
    return (cpu_of(server) - before) / requests


def cpu_of(server):
    return sum(sum(worker.cpu_times()[:2]) for worker in server.workers())


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_document_and_its_page_are_only_read(client, path, method):
    answer = client.request(method, path, json={})

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


# Pages --------------------------------------------------------------------------------------
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


def test_the_page_mentions_a_demonstration_only_without_a_model(client):
    page = client.get("/").text

    assert "Physical AI &amp; Humanoid Robotics" in page
    assert "demonstration" not in page


def test_browsers_find_an_icon(client):
    icon = client.get("/favicon.ico", follow_redirects=True)

    assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")
