"""Telemetry of whatever may become of a turn: refused, replayed, stopped, orphaned; and no text."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from tests.helpers import CHECKOUT
from tests.helpers.collector import attributes, collecting
from tests.helpers.indexed_book import BOOK_SETTINGS
from tests.helpers.marks import mark_of
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.server import Server
from tests.helpers.streams import stream, streaming
from tests.helpers.waiting import eventually

HASTY = "tests/helpers/gunicorn_hasty.py"
PAGE_OF_DOCS = (CHECKOUT / "docs" / "telemetry.md").read_text()
BUDGET = 10**9
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INVALID = [
    "garbage",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE}-{PARENT}-01-more",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-01" * 400,
    f"00-{TRACE}-{PARENT}-\xff\xfe",
]
# What readers, the book and the model say, and who readers are.
QUESTION = "How must a quokka be named?"
PASSAGE = "A passage on wombats."
ANSWER = "Each node carries a name that is unique in the graph, as a numbat does"
PAGE = "https://book.example/docs/bandicoot"
OF_THE_BOOK = ("camera_driver", "unique in the graph", "Parameters configure")
CLIENT = "203.0.113.99"
SESSION, KEY = str(uuid4()), str(uuid4())


class Readers:
    """Each question is another client's, so that only one of them asks too often."""

    def __init__(self, server, model):
        self.server, self.model, self.count = server, model, 0

    def ask(self, client=None, headers=(), **body):
        self.count += 1
        forwarded = {"X-Forwarded-For": client or f"203.0.113.{self.count}"}
        body = {"message": QUESTION} | body
        headers = forwarded | dict(headers)
        return self.server.client.post("/chat", json=body, headers=headers).status_code

    def all_endings(self):
        self.model.decides(lambda body: Reply(f"{ANSWER} [{mark_of(body, 'Names')}]."))
        body = {"session_id": SESSION, "page_url": PAGE}
        assert self.ask(CLIENT, {"Idempotency-Key": KEY, "User-Agent": "quoll"}, **body) == 200
        assert self.ask(CLIENT, {"Idempotency-Key": KEY}, **body) == 200
        assert self.ask(CLIENT) == 429
        assert stream(self.server.client, QUESTION)
        self.model.decides(lambda _: Reply(ANSWER))
        assert self.ask(selected_text=PASSAGE) == 200
        self.stop_one()
        self.model.decides(lambda _: refusal(401))
        assert self.ask() == 200  # excerpts stand in

    def stop_one(self):
        session = str(uuid4())
        self.model.decides(lambda _: Reply("One two three.", hold_after=2))
        headers = {"X-Forwarded-For": "203.0.113.200"}
        with streaming(self.server.client, QUESTION, headers, session_id=session) as events:
            next(events)
            next(events)
            self.server.client.post(f"/chat/{session}/stop")
            list(events)

    def ask_with_invalid_parents(self):
        self.model.decides(lambda _: Reply("A quoll."))
        for value in INVALID:
            assert self.ask(headers={"traceparent": value.encode("latin-1")}) == 200


def has_found_orphan(server, database):
    """Of a reply that looks as if its worker had been killed a minute ago.

    Servers of other tests may be quicker to find it; then it is orphaned again.
    """
    orphaned = database.execute(
        "UPDATE chat_message SET status = 'pending', error_code = '',"
        " beat_at = now() - interval '1 minute'"
        " WHERE session_id = %s AND role = 'assistant' AND status <> 'pending'",
        [SESSION],
    )
    if orphaned.rowcount:
        server.client.post(f"/chat/{SESSION}/stop")
    return "Orphaned replies" in server.log


def use_up_the_budget(database):
    database.execute(
        "INSERT INTO chat_daily_tokens (day, tokens) VALUES (%s, %s)"
        " ON CONFLICT (day) DO UPDATE SET tokens = excluded.tokens",
        [datetime.now(UTC).date(), BUDGET],
    )


@pytest.fixture(scope="module")
def collector(environment, published, _model, tmp_path_factory):
    """What a collector gets of all that may become of a turn, once its server has ended."""
    settings = environment | {"EMBEDDING_MODEL": BOOK_SETTINGS["EMBEDDING_MODEL"]}
    settings |= {"WEB_CONCURRENCY": "1", "NUM_PROXIES": "1", "CHAT_RATE": "1/h"}
    settings |= {"CHAT_DAILY_TOKEN_BUDGET": str(BUDGET)}
    log = tmp_path_factory.mktemp("server") / "log"
    _model.forget()
    with (
        psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database,
        collecting() as collector,
    ):
        database.execute("DELETE FROM chat_rate_window; DELETE FROM chat_daily_tokens")
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        server = Server(log, settings, HASTY)
        try:
            readers = Readers(server, _model)
            readers.all_endings()
            readers.ask_with_invalid_parents()
            eventually(lambda: has_found_orphan(server, database), 30)
            use_up_the_budget(database)
            assert readers.ask() == 200  # excerpts stand in
        finally:
            server.stop()
        database.execute("DELETE FROM chat_rate_window; DELETE FROM chat_daily_tokens")
        yield collector
    _model.forget()


def test_each_turn_is_counted_by_its_outcome(collector):
    points = collector.metrics()["chat.turns"].sum.data_points
    names = ("chat.outcome", "chat.grounding", "error.type")
    counts = {tuple(attributes(each).get(name) for name in names): each.as_int for each in points}

    assert counts == {
        ("complete", "book", None): 2,
        ("complete", "passage", None): 1,
        ("complete", "uncited", None): len(INVALID),
        ("replayed", "book", None): 1,
        ("refused", None, "rate_limited"): 1,
        ("stopped", "uncited", None): 1,
        ("complete", "excerpts", "model_misconfigured"): 1,
        ("complete", "excerpts", "budget_exhausted"): 1,
    }


def test_first_tokens_are_measured_of_streams_and_orphaned_replies_are_counted(collector):
    metrics = collector.metrics()

    first = metrics["chat.turn.first_token"].histogram.data_points
    by_outcome = {attributes(each)["chat.outcome"]: each.count for each in first}
    assert by_outcome == {"complete": 1, "stopped": 1}
    assert all(0 < each.sum < 10 for each in first)
    (orphaned,) = metrics["chat.orphaned_replies"].sum.data_points
    assert orphaned.as_int >= 1


def test_an_invalid_traceparent_begins_a_trace_of_its_own(collector):
    turns = [each for each in collector.spans() if each.name == "turn"]

    assert len(turns) == 8 + len(INVALID)
    assert len({each.trace_id for each in turns}) == len(turns)
    assert TRACE not in {each.trace_id.hex() for each in turns}
    assert {each.parent_span_id for each in turns} == {b""}


def test_no_text_no_address_and_no_id_of_a_reader_is_sent(collector):
    sent = b"".join(body for _, body in collector.bodies)

    assert b"chat.outcome" in sent
    secret = [*OF_THE_BOOK, CLIENT, SESSION, SESSION.replace("-", ""), KEY, PAGE]
    secret += ["quokka", "wombat", "numbat", "bandicoot", "quoll", "203.0.113."]
    assert [text for text in secret if text.encode() in sent] == []


# docs/telemetry.md --------------------------------------------------------------------------
def prometheus_names(metric):
    """As OpenTelemetry's specification derives them."""
    name = metric.name.replace(".", "_") + {"s": "_seconds"}.get(metric.unit, "")
    if metric.WhichOneof("data") == "histogram":
        return {f"{name}_{part}" for part in ("bucket", "sum", "count")}
    return {f"{name}_total" if metric.sum.is_monotonic else name}


def labels_of(metric):
    points = getattr(metric, metric.WhichOneof("data")).data_points
    return {name.replace(".", "_") for each in points for name in attributes(each)}


def test_the_documented_queries_are_about_metrics_and_labels_that_are_sent(collector):
    sent = collector.metrics().values()
    queries = "\n".join(re.findall(r"```text\n(.*?)```", PAGE_OF_DOCS, re.DOTALL))
    labels = re.findall(r"(\w+)(?:=|!=|!~)\"", queries)
    labels += [name for names in re.findall(r"by \((.*?)\)", queries) for name in names.split(", ")]

    named = set(re.findall(r"\b(?:chat|gen_ai|db)_\w+(?=[{[]| unless| offset)|db_\w+_max", queries))
    assert len(named) >= 6
    assert named <= {name for metric in sent for name in prometheus_names(metric)}
    assert set(labels) - {"le"} <= {label for metric in sent for label in labels_of(metric)}


def test_the_documented_metrics_and_spans_are_those_that_are_sent(collector):
    rows = [line.split("|")[1] for line in PAGE_OF_DOCS.splitlines() if line[:3] == "| `"]
    documented = {name for row in rows for name in re.findall(r"`([a-z][\w.]+)`", row)}
    metrics = {name for name in documented if "." in name}

    assert metrics == collector.metrics().keys()
    spans = {each.name.partition(" ")[0] for each in collector.spans()}
    assert documented - metrics | {"chat", "embeddings"} == spans
