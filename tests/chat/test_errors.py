"""Every error is a problem document with one human sentence, and reveals nothing internal."""

import json
import socket
import time
from contextlib import suppress
from uuid import uuid4

import httpx2
import pytest

from chat.api.invisible import is_blank
from chat.api.problems import FIELDS, PROBLEMS
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.server import running_server

JSON = {"Content-Type": "application/json"}
LONGEST = 4000


def check_problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["retryable"] is PROBLEMS[code].retryable
    assert body["type"].endswith(code)
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert body["detail"][0].isascii()
    assert body["detail"].endswith(".")
    assert isinstance(body["detail"], str)
    for inside in ("Traceback", "psycopg", "openai", "sk-", "/v1", "chat_message", "Error("):
        assert inside not in answer.text
    return body


# Its media type -----------------------------------------------------------------------------
JSON_ONLY = [
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    "application/json;q=0.1",
    "text/event-stream, application/json",
    "application/json, application/problem+json;q=0",
    "application/problem+json; q=0.000, application/*",
    "application/problem+json;q=0, */*",
    "application/*;q=0, application/json",
    "text/html, , application/json;q=oops",
]
PROBLEM = [
    "",
    "*/*",
    "application/*",
    "application/problem+json",
    "application/json, text/plain, */*",
    "application/json, */*;q=0.1",
    "application/json, application/problem+json;q=0.5",
    "application/json;q=0",
    "application/json;q=0, */*",
    "*/*;q=0",
    "text/html",
    "text/event-stream",
    ";;,=,q=0",
]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [(accept, "application/json") for accept in JSON_ONLY]
    + [(accept, "application/problem+json") for accept in PROBLEM],
)
def test_an_error_is_plain_json_for_clients_that_accept_nothing_else(client, accept, media_type):
    answer = client.post("/chat", json={"message": ""}, headers={"Accept": accept})

    assert (answer.status_code, answer.headers["Content-Type"]) == (422, media_type)
    assert answer.json()["code"] == "invalid_request"
    assert "Accept" in answer.headers["Vary"].split(", ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/chat", 405),
        ("POST", "/chat", 400),
        ("GET", "/chat/7", 422),
        ("GET", "/chat/00000000-0000-4000-8000-000000000000", 404),
        ("PUT", "/docs", 405),
    ],
)
def test_every_error_may_be_plain_json(client, method, path, status):
    headers = {"Accept": "application/json", "Content-Type": "application/json"}

    answer = client.request(method, path, headers=headers)

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")


def test_an_error_of_the_model_may_be_plain_json(client, model):
    model.says(refusal(500))
    headers = {"Accept": "application/json"}

    for stream in (False, True):
        body = {"message": "?", "stream": stream}
        answer = client.post("/chat", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (502, "model_unavailable")
        assert answer.headers["Content-Type"] == "application/json"


# What the reader sends ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "body", [b"", b"{", b"{'message': 'x'}", b"\xff\xfe", b"\x80", b"[" * 100_000, b"1" * 5000]
)
def test_a_body_that_is_not_json_is_refused(client, body):
    answer = client.post("/chat", content=body, headers=JSON)

    check_problem(answer, 400, "invalid_json")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
@pytest.mark.parametrize("body", [b'{"message": "x"}', b""])
def test_only_json_is_accepted(client, content_type, body):
    answer = client.post("/chat", content=body, headers={"Content-Type": content_type})

    check_problem(answer, 415, "unsupported_media_type")


def test_a_charset_with_the_content_type_is_fine(client):
    headers = {"Content-Type": "application/json; charset=utf-8"}

    assert client.post("/chat", content=b'{"message": "x"}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("message", {}),
        ("message", {"message": None}),
        ("message", {"message": 7}),
        ("message", {"message": ["x"]}),
        ("message", {"message": ""}),
        ("message", {"message": " \n\t\u3000"}),
        ("message", {"message": "x" * (LONGEST + 1)}),
        ("message", {"message": "a\0b"}),
        ("message", {"message": "\ud83d"}),
        ("session_id", {"message": "x", "session_id": "7"}),
        ("session_id", {"message": "x", "session_id": ""}),
        ("session_id", {"message": "x", "session_id": 7}),
        ("selected_text", {"message": "x", "selected_text": "y" * 20_001}),
        ("selected_text", {"message": "x", "selected_text": "a\0b"}),
        ("selected_text", {"message": "x", "selected_text": {}}),
        ("stream", {"message": "x", "stream": "maybe"}),
        ("stream", {"message": "x", "stream": 1}),
        ("page_url", {"message": "x", "page_url": "javascript:alert(1)"}),
        ("page_url", {"message": "x", "page_url": "/chapter-1"}),
        ("page_url", {"message": "x", "page_url": "https://book.example/" + "x" * 2048}),
        ("page_url", {"message": "x", "page_url": "https://book.example/\0"}),
    ],
)
def test_a_wrong_field_is_named(client, model, field, body):
    answer = client.post("/chat", content=json.dumps(body), headers=JSON)

    problem = check_problem(answer, 422, "invalid_request")
    assert problem["errors"][0]["loc"] == ["body", field]
    assert problem["errors"][0].keys() == {"loc", "msg", "type"}
    assert problem["detail"].startswith(FIELDS[field])
    assert problem["detail"] == problem["errors"][0]["msg"]
    assert model.requests == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Your question is missing."),
        ({"message": ""}, "Your question must not be empty."),
        ({"message": "x" * 4001}, "Your question must have at most 4000 characters."),
        ({"message": "\0"}, "Your question contains a character that is not allowed."),
        (
            {"session_id": "7"},
            "The session id must be a UUID or have 16 to 128 letters, digits, dots, colons, "
            "hyphens and underscores.",
        ),
        ({"selected_text": 7}, "The selected text must be a text."),
        ({"page_url": "file:///a"}, "The page address must start with http:// or https://."),
        ({"page_url": "https://"}, "The page address is not a valid web address."),
        ({"page_url": "https://a b/"}, "The page address is not a valid web address."),
        ({"stream": "yes"}, "The choice of streaming must be true or false."),
    ],
)
def test_an_error_says_in_a_sentence_what_to_change(client, body, sentence):
    body = body if "message" in body or not body else {"message": "x"} | body

    assert client.post("/chat", json=body).json()["detail"] == sentence


def test_each_wrong_field_has_a_sentence(client):
    problem = client.post("/chat", json={"message": "", "stream": 1}).json()

    assert [error["msg"] for error in problem["errors"]] == [
        "Your question must not be empty.",
        "The choice of streaming must be true or false.",
    ]


# Blanks, format characters, fillers, variation selectors, tags, controls.
INVISIBLE = [
    *("\u200b", "\u200c\u200d", "\ufeff", "\u2060", "\u00ad", "\u200e\u200f", "\u202e", "\u061c"),
    *("\u034f", "\u115f\u1160", "\u17b4", "\u180e", "\u2065", "\u2800", "\u3164", "\uffa0"),
    *("\ufe0f", "\U000e0001", "\U000e0020\U000e007f", "\U000e0100", "\U0001d173", "\ufff0"),
    *("\u00a0", "\u2028", "\u2029", "\u0085", "\u3000", "\x07", "\x7f", " \u200b\n\u200b "),
]


@pytest.mark.parametrize("text", INVISIBLE, ids=ascii)
def test_a_text_that_shows_nothing_is_empty(client, model, text):
    problem = check_problem(client.post("/chat", json={"message": text}), 422, "invalid_request")
    assert problem["detail"] == "Your question must not be empty."
    assert model.requests == []

    answer = client.post("/chat", json={"message": "?", "selected_text": text}).json()
    path = f"/chat/{answer['session_id']}"
    feedback = f"{path}/messages/{answer['message_id']}/feedback"
    client.put(feedback, json={"rating": "up", "comment": text})

    question, reply = client.get(path).json()["messages"]
    assert question["selected_text"] is None
    assert reply["feedback"] == {"rating": "up", "comment": ""}


def test_the_longest_text_that_shows_nothing_costs_little():
    """It is looked at before it is refused, and refusals are not counted."""
    begin = time.process_time()

    assert is_blank("\ufff8" * 118_000)
    assert time.process_time() - begin < 0.3


@pytest.mark.parametrize("text", ["\u200ba\u200b", "क्\u200dष", "👩\u200d🚀", "❤\ufe0f", "।", "?"])
def test_invisible_characters_within_a_text_are_kept(client, model, text):
    assert client.post("/chat", json={"message": text}).status_code == 200
    assert model.prompt[-1]["content"] == text


@pytest.mark.parametrize("body", [[], "x", 7, None, True])
def test_a_body_that_is_not_an_object_is_refused(client, body):
    answer = client.post("/chat", content=json.dumps(body), headers=JSON)

    check_problem(answer, 422, "invalid_request")


@pytest.mark.parametrize("text", ["x" * LONGEST, " " + "x" * LONGEST + "\n", "🤖" * LONGEST])
def test_the_longest_message_is_accepted(ask, text):
    assert ask(text).status_code == 200


def test_the_longest_request_is_accepted_however_it_is_escaped(client):
    body = json.dumps({"message": "🤖" * LONGEST, "selected_text": "🤖" * 20_000})

    assert client.post("/chat", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(client, model, chunked):
    body = json.dumps({"message": "x" * 3_000_000}).encode()

    answer = client.post("/chat", content=iter([body]) if chunked else body, headers=JSON)

    check_problem(answer, 413, "payload_too_large")
    assert model.requests == []


@pytest.mark.parametrize("path", ["/nowhere", "/chat/", "/chat/x/y/z", "/health/", "/%ff", "/a%00"])
def test_an_unknown_path_is_not_found(client, path):
    check_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/chat", {"POST"}),
        ("PUT", "/chat", {"POST"}),
        ("POST", "/chat/00000000-0000-4000-8000-000000000000", {"GET", "DELETE"}),
        ("POST", "/health", {"GET", "HEAD"}),
    ],
)
def test_a_method_that_is_not_offered_is_refused(client, method, path, allowed):
    answer = client.request(method, path)

    check_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_an_unknown_host_is_refused(client):
    answer = client.post("/chat", json={"message": "x"}, headers={"Host": "evil.example"})

    check_problem(answer, 400, "bad_request")


def test_load_balancers_may_ask_for_health_under_any_name(client):
    assert client.get("/health", headers={"Host": "10.0.0.7"}).status_code == 200


# What the model does ------------------------------------------------------------------------
TOO_LONG = "This model's maximum context length is 8192 tokens."


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (refusal(500), 502, "model_unavailable"),
        (refusal(503), 502, "model_unavailable"),
        (refusal(400, "bad parameter"), 502, "model_unavailable"),
        (refusal(401, "Incorrect API key provided: sk-tests-only"), 502, "model_misconfigured"),
        (refusal(400, "API key not valid. Please pass a valid key"), 502, "model_misconfigured"),
        (refusal(403), 502, "model_misconfigured"),
        (refusal(404, "model not found"), 502, "model_misconfigured"),
        (refusal(400, TOO_LONG, "context_length_exceeded"), 422, "context_too_long"),
        (refusal(400, "exceeds the available context size"), 422, "context_too_long"),
        (Reply(text=""), 502, "model_unavailable"),
        (Reply(text=" \n"), 502, "model_unavailable"),
        (Reply(text="\0"), 502, "model_unavailable"),
        (Reply(text=None), 502, "model_unavailable"),
        (Reply(body=b"<html>nope</html>"), 502, "model_unavailable"),
        (Reply(body=b"<html>", headers={"Content-Type": "text/html"}), 502, "model_unavailable"),
        (Reply(body=b"[]"), 502, "model_unavailable"),
        (Reply(body=b"null"), 502, "model_unavailable"),
        (Reply(body=b'{"choices": []}'), 502, "model_unavailable"),
        (Reply(body=b'{"choices": null}'), 502, "model_unavailable"),
        (Reply(body=b'{"choices": [{"message": null}]}'), 502, "model_unavailable"),
        (Reply(body=b'{"choices": [{"message": {"content": 7}}]}'), 502, "model_unavailable"),
        (Reply(drop=True), 502, "model_unavailable"),
    ],
)  # fmt: skip
def test_a_failure_of_the_model_is_answered_and_stored(ask, client, model, reply, status, code):
    session = str(uuid4())
    model.says(reply)

    check_problem(ask("Well?", session_id=session), status, code)

    stored = client.get(f"/chat/{session}").json()["messages"][1]
    assert (stored["status"], stored["error_code"]) == ("failed", code)


@pytest.mark.parametrize(
    ("sent", "seconds"), [({"retry_after": "7"}, "7"), ({"retry_after": "soon"}, "10"), ({}, "10")]
)
def test_a_model_with_too_many_requests_says_when_to_retry(ask, model, sent, seconds):
    model.says(refusal(429, **sent))

    answer = ask()

    check_problem(answer, 503, "model_rate_limited")
    assert answer.headers["Retry-After"] == seconds


def test_a_model_that_hangs_times_out(ask, model):
    model.says(Reply(delay=8))

    answer = ask()

    check_problem(answer, 504, "model_timeout")
    assert answer.elapsed.total_seconds() > 4.5


def test_a_passing_failure_of_the_model_is_retried(ask, model):
    model.says(refusal(500), Reply(drop=True), "Third time lucky.")

    assert ask().json()["response"] == "Third time lucky."


def test_a_refusal_in_the_models_words_is_an_answer(ask, model):
    model.says(Reply(message={"role": "assistant", "content": None, "refusal": "I will not."}))

    assert ask().json()["response"] == "I will not."


def test_a_model_whose_server_is_down_is_unavailable(environment, nobody_listens, tmp_path):
    settings = environment | {"OPENAI_BASE_URL": nobody_listens, "WEB_CONCURRENCY": "1"}
    with running_server(tmp_path / "log", **settings) as server:
        check_problem(server.client.post("/chat", json={"message": "?"}), 502, "model_unavailable")


# What goes wrong on our side ----------------------------------------------------------------
def test_a_crash_is_answered_without_its_reason_and_logged_with_it(rf, monkeypatch):
    from chat.api import routes

    lines = []
    sink = routes.logger.add(lambda line: lines.append(line.record))
    request = rf.post("/chat", headers={"X-Request-ID": "r1"})

    answer = routes.unforeseen(request, RuntimeError("secret reason"))

    routes.logger.remove(sink)
    assert answer.status_code == 500
    assert json.loads(answer.content)["code"] == "internal_error"
    assert b"secret" not in answer.content
    assert "secret reason" in str(lines[0]["exception"].value)


def test_a_request_that_is_not_http_does_no_harm(server):
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        sock.recv(1000)

    assert httpx2.get(f"{server.base_url}/health").status_code == 200


@pytest.mark.parametrize("path", ["/chat", "/nowhere"])
def test_a_body_far_too_large_is_refused_as_readably(client, path):
    answer = client.post(
        path,
        content=b"x" * 8_000_000,
        headers={"Content-Type": "application/json", "Origin": "http://localhost:3000"},
    )

    assert answer.status_code == (413 if path == "/chat" else 404)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


def test_a_large_body_beside_another_mistake_is_too_large(client):
    answer = client.post("/chat/zz/stop", content=b"x" * 1_000_000)

    check_problem(answer, 413, "payload_too_large")


def test_a_head_without_end_is_cut_off(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ")
        with suppress(OSError):
            for _ in range(100):
                sock.sendall(b"x" * 10_000)
        answer = b""
        with suppress(OSError):
            while data := sock.recv(1000):
                answer += data

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_the_page_is_not_posted_to(client):
    check_problem(client.post("/"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("https://book.example/a?b#c", 200),
        ("  https://book.example/\n", 200),
        ("https://book.example/\x07", 422),
        ("https://book.example/ \n x", 422),
    ],
    ids=["plain", "blanks-around", "control", "line-inside"],
)
def test_an_address_is_kept_without_blanks_and_has_no_control_characters(client, sent, status):
    answer = client.post("/chat", json={"message": "?", "page_url": sent})

    assert answer.status_code == status
    if status == 200:
        history = client.get(f"/chat/{answer.json()['session_id']}").json()
        assert history["messages"][0]["page_url"] == sent.strip()
