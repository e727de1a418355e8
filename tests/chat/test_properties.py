"""Whatever is sent, no answer is a server error, and every client error is a problem document."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT = st.text() | st.text(st.characters(codec=None, categories=None), max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
LONG = st.integers(0, 60_000).map("ñ".__mul__)
UUIDS = st.uuids().map(str)
PATHS = st.from_regex(r"[!-~]{0,40}", fullmatch=True)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "message": TEXT | LONG | JSON,
        "query": TEXT,
        "session_id": UUIDS | st.none() | JSON,
        "selected_text": TEXT | LONG | JSON,
        "stream": st.booleans() | JSON,
        "page_url": st.just("https://book.example/") | TEXT | JSON,
    },
)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text") | TEXT, "text": TEXT | JSON}))
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]) | TEXT},
        optional={"id": UUIDS | TEXT, "parts": PARTS | JSON, "content": TEXT | PARTS | JSON},
    )
)
CONVERSATION = st.fixed_dictionaries(
    {"messages": MESSAGES | JSON},
    optional={
        "id": UUIDS | PATHS | JSON,
        "trigger": st.just("regenerate-message") | TEXT | JSON,
        "messageId": UUIDS | TEXT | JSON,
        "user": UUIDS | TEXT | JSON,
        "stream": st.booleans() | JSON,
        "stream_options": JSON,
    },
)
CALL = st.fixed_dictionaries(
    {"name": st.sampled_from(["search", "fetch", "ask"]) | TEXT},
    optional={
        "arguments": st.dictionaries(
            st.sampled_from(["query", "id", "question", "session_id", "selected_text"]),
            TEXT | LONG | JSON,
        )
        | JSON,
        "_meta": st.fixed_dictionaries({}, optional={"progressToken": JSON}) | JSON,
    },
)
METHODS = ["initialize", "ping", "tools/call", "tools/list", "resources/list", "resources/read"]
MESSAGE_TO_MCP = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": st.just("tools/call") | st.sampled_from(METHODS) | TEXT},
    optional={
        "id": st.integers() | TEXT | JSON,
        "params": CALL | st.dictionaries(st.sampled_from(["uri", "cursor", "requestId"]), JSON),
    },
)
# What HTTP allows in a header; anything else is refused before there is a request.
HEADER = st.binary(max_size=300).map(
    lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F).strip()
)
HEADERS = st.fixed_dictionaries(
    {"Content-Type": st.just(b"application/json") | HEADER},
    optional={
        "Accept": st.sampled_from([b"text/event-stream", b"*/*", b"application/json"]) | HEADER,
        "Idempotency-Key": HEADER,
        "X-Request-ID": HEADER,
        "X-Forwarded-For": HEADER,
        "Origin": HEADER,
    },
)
# The same examples each time, so that what is merged has passed them. Examples share fixtures.
many = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def check(answer):
    """No server error; every client error as a problem document with one sentence, or as that
    sentence.
    """
    assert answer.status_code < 500, answer.text
    assert answer.headers["X-Request-ID"]
    if answer.headers.get("Content-Type", "").startswith("text/plain"):
        assert answer.text.endswith(".")
    elif answer.request.url.path.startswith("/v1/") and answer.status_code >= 400:
        assert answer.json()["error"]["message"].endswith(".")
    elif answer.status_code >= 400:
        problem = answer.json()
        assert answer.headers["Content-Type"] in ("application/problem+json", "application/json")
        assert problem["status"] == answer.status_code
        assert problem["detail"].endswith(".")
        assert "Traceback" not in answer.text


@many
@given(body=BODY | CONVERSATION | JSON, headers=HEADERS)
def test_any_json_is_answered_or_refused(client, body, headers):
    content = json.dumps(body).encode()

    check(client.post("/chat", content=content, headers=list(headers.items())))


@many
@given(
    path=st.sampled_from(["/api/chat", "/ask", "/v1/chat/completions"]),
    body=BODY | CONVERSATION | JSON,
    headers=HEADERS,
)
def test_any_json_is_answered_or_refused_by_the_other_doors(client, path, body, headers):
    content = json.dumps(body).encode()

    check(client.post(path, content=content, headers=list(headers.items())))


@many
@given(message=MESSAGE_TO_MCP | JSON, headers=HEADERS)
def test_any_json_is_answered_or_refused_by_mcp(client, message, headers):
    content = json.dumps(message).encode()

    answer = client.post("/mcp", content=content, headers=list(headers.items()))

    assert answer.status_code < 500, answer.text
    assert '"code":-32603' not in answer.text  # an internal error


@many
@given(content=st.binary(max_size=2000), headers=HEADERS)
def test_any_bytes_are_refused(client, content, headers):
    check(client.post("/chat", content=content, headers=list(headers.items())))


@many
@given(
    session=UUIDS | PATHS,
    message=UUIDS | PATHS,
    query=st.dictionaries(st.sampled_from(["limit", "before"]) | TEXT, TEXT | st.integers()),
    body=JSON,
)
def test_any_address_is_answered_or_refused(client, session, message, query, body):
    session, message = session.replace("#", ""), message.replace("#", "")
    query = {name: str(value).encode("utf-8", "replace") for name, value in query.items()}
    query = {name.encode("utf-8", "replace"): value for name, value in query.items()}
    content = json.dumps(body).encode()

    path = f"/chat/{session}"
    check(client.get(path, params=query))
    check(client.get(f"{path}/stream"))
    check(client.post(f"{path}/stop", content=content))
    check(client.delete(path))
    check(client.put(f"{path}/messages/{message}/feedback", json=None, content=content))


def test_the_api_keeps_to_its_document(server, model, tmp_path):
    """Schemathesis makes every documented call, with valid and with invalid data.

    A question that fits the schema may still be refused (its key was used for another one): this
    no schema can express, so that check is left out.
    """
    run = subprocess.run(
        [
            *(Path(sys.executable).parent / "schemathesis", "run"),
            f"{server.base_url}/openapi.json",
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
            *("--exclude-path-regex", "^/(api/v1/chat|query|api/query)$"),  # as /ask
            *("--max-examples", "40", "--seed", "1", "--no-color", "--warnings", "off"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    assert "20 selected / 23 total" in run.stdout


@pytest.mark.parametrize("depth", [100, 100_000], ids=["deep", "very-deep"])
def test_any_depth_is_answered_or_refused(client, depth):
    content = b'{"message": "?", "x": ' + b"[" * depth + b"]" * depth + b"}"

    check(client.post("/chat", content=content, headers={"Content-Type": "application/json"}))
