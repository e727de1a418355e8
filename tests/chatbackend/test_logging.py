"""What is logged, and what never is."""

import json
import logging
import time
from uuid import uuid4

import pytest

from chatbackend import logs
from tests.helpers.scripted_model import refusal
from tests.helpers.server import running_server


def lines_of(server, request_id, count=1):
    """The log's lines of one request, once there are `count` of them."""
    end = time.monotonic() + 5
    lines = []
    while len(lines) < count and time.monotonic() < end:
        lines = [json.loads(line) for line in server.log.splitlines() if request_id in line]
        time.sleep(0.02)
    return lines


def test_a_request_has_one_line_and_its_model_call_another(server, client, ask):
    session = str(uuid4())

    answer = ask("What is secret?", session_id=session)

    request_id = answer.headers["X-Request-ID"]
    call, request = lines_of(server, request_id, 2)
    assert request["level"] == call["level"] == "INFO"
    assert (request["method"], request["path"], request["status"]) == ("POST", "/chat", 200)
    assert request["session_id"] == session[:8]
    assert request["duration_ms"] > 0
    assert (call["model"], call["outcome"]) == ("scripted", "stop")
    assert (call["prompt_tokens"], call["completion_tokens"]) == (11, 7)
    assert call["duration_ms"] >= 0


def test_a_failure_is_an_error_line(server, ask, model):
    model.says(refusal(401))

    call, request = lines_of(server, ask().headers["X-Request-ID"], 2)

    assert (call["level"], call["outcome"]) == ("ERROR", "model_misconfigured")
    assert (request["level"], request["status"]) == ("ERROR", 502)


@pytest.mark.parametrize("path", ["/admin/", "/admin/chat/chatsession/", "/admin/insights/"])
def test_a_page_that_crashes_leaves_its_traceback(serve, path):
    """Here because PostgreSQL is away."""
    server = serve(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing", LOG_FORMAT="json")

    answer = server.client.get(path, headers={"Cookie": f"sessionid={uuid4().hex}"})

    assert answer.status_code == 500
    assert "Traceback" not in answer.text
    lines = lines_of(server, answer.headers["X-Request-ID"], 2)
    (crash,) = [line for line in lines if "exception" in line]
    assert (crash["level"], crash["message"]) == ("ERROR", f"Internal Server Error: {path}")
    assert crash["exception"]["what"].startswith("OperationalError: connection failed")
    assert any("django/contrib/sessions" in frame for frame in crash["exception"]["frames"])


def test_a_question_beyond_the_budget_is_no_error_of_the_service(serve):
    server = serve(CHAT_DAILY_TOKEN_BUDGET="1", LOG_FORMAT="json")
    answers = [server.client.post("/chat", json={"message": "?"}) for _ in range(2)]

    assert answers[1].json()["code"] == "budget_exhausted"
    (line,) = lines_of(server, answers[1].headers["X-Request-ID"])
    assert (line["level"], line["status"]) == ("WARNING", 503)


def test_the_callers_request_id_is_kept(server, client):
    mine = f"front-end.{uuid4()}"

    answer = client.get("/health", headers={"X-Request-ID": mine})

    assert answer.headers["X-Request-ID"] == mine
    assert lines_of(server, mine)[0]["request_id"] == mine


def test_a_long_path_does_not_fill_the_log(server, client):
    answer = client.get("/" + "%01" * 9000)

    (line,) = lines_of(server, answer.headers["X-Request-ID"])
    assert (line["path"][:2], line["path"][-1]) == ("/\x01", "…")
    assert len(line["path"]) < 1000


@pytest.mark.parametrize("sent", ["", "x" * 129, "with space", 'quote"', "ümlaut"])
def test_a_request_id_that_is_unusable_is_replaced(client, sent):
    answer = client.get("/health", headers={"X-Request-ID": sent.encode("latin1")})

    made = answer.headers["X-Request-ID"]
    assert made != sent
    assert len(made) == 16


def test_no_text_key_or_whole_id_is_logged(server, client, ask, model):
    session = str(uuid4())
    model.says("A telling answer.")
    ask("A telling question?", session_id=session, selected_text="A telling passage.")
    model.says(refusal(401, "Incorrect API key provided: sk-tests-only-0123456789"))
    last = ask(session_id=session)
    client.get(f"/chat/{session}")
    client.get(f"/chat/{session.replace('-', '')}")
    lines_of(server, last.headers["X-Request-ID"], 2)

    for secret in (
        "telling",
        "sk-tests-only",
        "a key for tests",
        session,
        session.replace("-", ""),
    ):
        assert secret not in server.log


def test_every_line_in_production_is_json(server, client):
    client.get("/health")

    for line in server.log.splitlines():
        assert json.loads(line).keys() >= {"time", "level", "logger", "message"}


def test_the_files_of_a_page_are_no_warnings(server, client):
    for path in (
        "/static/review/review.css",
        "/static/review/insights.js",
        "/static/admin/css/base.css",
    ):
        assert client.get(path).status_code == 200

    assert "py.warnings" not in server.log


def test_texts_are_logged_at_debug_and_lines_are_readable(environment, model, tmp_path):
    settings = environment | {"LOG_LEVEL": "debug", "LOG_FORMAT": "pretty", "WEB_CONCURRENCY": "1"}
    with running_server(tmp_path / "log", **settings) as server:
        server.client.post("/chat", json={"message": "A telling question?"})
        assert "A telling question?" in server.log
        assert "A scripted answer." in server.log
        assert "status=200" in server.log


@pytest.fixture
def log(capsys):
    """Configures logging here, and reads what was written."""

    def configured(form, level="INFO", secrets=()):
        logs.configure({"level": level, "format": form, "secrets": list(secrets)})
        return lambda: capsys.readouterr().err

    yield configured
    logs.logger.remove()
    logging.basicConfig(handlers=[], force=True)


def crash(secret):
    raise RuntimeError(f"cannot do it with {secret}\nDETAIL: a row's value")


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_an_exception_is_told_without_values(log, form):
    read = log(form, secrets=["hunter2hunter2"])
    session = uuid4()

    try:
        crash("hunter2hunter2")
    except RuntimeError:
        logging.getLogger("anything").exception("It broke for %s", session)

    told = read()
    assert "RuntimeError: cannot do it with ***" in told
    assert "test_logging.py" in told
    assert str(session)[:8] in told
    for hidden in ("hunter2", "a row's value", str(session)):
        assert hidden not in told


def test_levels_of_other_libraries_are_kept(log):
    read = log("pretty", level="DEBUG")

    logging.getLogger("httpx2").info("a request")
    logging.getLogger("gunicorn.error").info("a worker")
    logging.getLogger("x").log(25, "between")

    told = read()
    assert "a worker" in told
    assert "between" in told
    assert "a request" not in told


@pytest.mark.parametrize("around", ["{}", "/chat/{}undefined", "s{}_", "{}{}"])
def test_an_id_is_shortened_whatever_stands_around_it(around):
    session = str(uuid4())

    told = logs.scrub(around.format(session, session))

    assert session[:8] in told
    assert session[9:] not in told


HARMFUL = {
    "\x1b[2J": r"\x1b[2J",
    "a\rb": r"a\rb",
    "\x9b31m": r"\x9b31m",
    "\x7f": r"\x7f",
    "\u202egpj": r"\u202egpj",
    "\u2028": r"\u2028",
}


@pytest.mark.parametrize("form", ["json", "pretty"])
@pytest.mark.parametrize("text", HARMFUL)
def test_nothing_in_a_line_is_obeyed_by_a_terminal(log, form, text):
    read = log(form)

    logs.logger.bind(path=f"/{text}").info("Request of {}", text)

    written = read().removesuffix("\n")
    assert written.isprintable()
    if form == "json":
        line = json.loads(written)
        assert (line["message"], line["path"]) == (f"Request of {text}", f"/{text}")
    else:
        assert f"Request of {HARMFUL[text]} path=/{HARMFUL[text]}" in written


def test_a_line_feed_begins_no_line_that_looks_like_ours(log):
    read = log("pretty")

    logs.logger.bind(path="/\n12:00:00.000 ERROR    forged").info("Request\nforged")

    first, *others = read().splitlines()
    assert first.endswith("Request")
    assert all(line.startswith("    ") for line in others)


def test_emoji_and_languages_are_logged_as_they_are(log):
    read = log("pretty")

    logs.logger.info("{}", "👩\u200d🚀 नमस्\u200cते Bücher")

    assert "👩\u200d🚀 नमस्\u200cते Bücher" in read()


def test_postgresql_going_and_coming_back_are_a_line_each(serve, cluster):
    server = serve(DATABASE_URL=cluster.url(), WEB_CONCURRENCY="1")

    def statuses(count):
        return {
            server.client.post("/chat", json={"message": "?"}).status_code for _ in range(count)
        }

    assert statuses(1) == {200}
    cluster.stop()
    assert statuses(3) == {503}
    assert server.client.get("/health/ready").status_code == 503
    cluster.start()
    assert statuses(3) == {200}

    lines = [json.loads(line) for line in server.log.splitlines() if "PostgreSQL is" in line]
    gone, back = lines
    assert (gone["level"], back["level"]) == ("ERROR", "INFO")
    assert gone["message"].startswith("PostgreSQL is unavailable: connection")
    assert "connection to server on socket" in gone["message"]
    assert back["message"].startswith("PostgreSQL is available again after ")
