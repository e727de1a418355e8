"""Telemetry: what a collector gets of a turn, and that it costs no turn anything."""

import asyncio
import json
import subprocess
import sys
import time

import pytest

from chat import checks
from chatbackend import telemetry
from llm.telemetry import measure, span
from tests.helpers import CHECKOUT
from tests.helpers.collector import attributes, collecting
from tests.helpers.indexed_book import BOOK_SETTINGS
from tests.helpers.marks import mark_of
from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.server import running_server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = (f"00-{TRACE}-{PARENT}-{flags}".encode() for flags in ("01", "00"))
QUESTION = "How must a node be named?"
ANSWER = "Each node has a name that is unique in the graph"
MOMENTS = {"open", "embed", "search", "ask", "close"}


@pytest.fixture(scope="module")
def telemetry_of_two_turns(environment, published, _model, tmp_path_factory):
    """What a collector gets of a server that answers, then fails, and then ends; and its log."""
    _model.forget()
    settings = environment | {"EMBEDDING_MODEL": BOOK_SETTINGS["EMBEDDING_MODEL"]}
    settings |= {"WEB_CONCURRENCY": "1", "OTEL_SERVICE_NAME": "a-book", "LLM_TIMEOUT_SECONDS": "2"}
    settings["CHAT_EXCERPTS_INSTEAD_OF_ERRORS"] = "false"
    with collecting() as collector:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with running_server(tmp_path_factory.mktemp("server") / "log", **settings) as server:
            _model.decides(lambda body: Reply(f"{ANSWER} [{mark_of(body, 'Names')}]."))
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            server.client.post("/chat", json={"message": QUESTION}, headers=headers)
            _model.decides(lambda _: refusal(401))
            server.client.post("/chat", json={"message": "Why?", "selected_text": "A passage."})
        yield collector, server.log
    _model.forget()


@pytest.fixture
def collector(telemetry_of_two_turns):
    return telemetry_of_two_turns[0]


@pytest.fixture
def spans(collector):
    """Those of the first turn, by name."""
    return {each.name: each for each in collector.spans() if each.trace_id.hex() == TRACE}


def test_a_turn_is_a_trace_within_the_clients(spans):
    turn = spans["turn"]

    assert turn.parent_span_id.hex() == PARENT
    assert spans.keys() >= MOMENTS
    assert {spans[name].parent_span_id for name in MOMENTS} == {turn.span_id}
    found = attributes(turn)
    assert (found["chat.door"], found["chat.outcome"]) == ("chat", "complete")
    assert found["chat.grounding"] == "book"
    assert 0 < found["chat.support"] <= 1


def test_a_call_of_the_model_follows_the_conventions_for_generative_ai(spans):
    call = spans["chat scripted"]

    assert call.parent_span_id == spans["ask"].span_id
    assert call.kind == call.SPAN_KIND_CLIENT
    found = attributes(call)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai-compatible"
    assert found["gen_ai.request.model"] == "scripted"
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (11, 7)
    (embedding,) = [each for name, each in spans.items() if name.startswith("embeddings ")]
    assert embedding.parent_span_id == spans["embed"].span_id


def test_what_failed_is_marked_with_its_code_and_begins_a_trace_of_its_own(collector):
    (turn,) = [
        each for each in collector.spans() if each.name == "turn" and not each.parent_span_id
    ]
    calls = [each for each in collector.spans() if each.name == "chat scripted"]
    failed = [each for each in calls if each.trace_id == turn.trace_id]

    assert attributes(turn)["chat.outcome"] == "failed"
    assert attributes(turn)["error.type"] == "model_misconfigured"
    assert failed
    for each in failed:
        assert attributes(each)["error.type"] == "model_misconfigured"
        assert each.status.code == each.status.STATUS_CODE_ERROR


def test_no_text_leaves_the_service(collector):
    sent = b"".join(body for _, body in collector.bodies)

    assert b"chat.outcome" in sent
    for text in (QUESTION, ANSWER, "Why?", "A passage.", "unique in the graph"):
        assert text.encode() not in sent


def test_metrics_tell_how_turns_ended_and_what_they_took(collector):
    metrics = collector.metrics()

    turns = {
        attributes(each)["chat.outcome"]: each for each in metrics["chat.turns"].sum.data_points
    }
    assert {name: each.as_int for name, each in turns.items()} == {"complete": 1, "failed": 1}
    assert attributes(turns["complete"])["chat.grounding"] == "book"
    assert attributes(turns["failed"])["error.type"] == "model_misconfigured"
    assert metrics.keys() >= {
        "chat.turn.duration",
        "chat.turn.tokens",
        "chat.turn.support",
        "chat.retrieval.duration",
        "gen_ai.client.operation.duration",
        "db.client.connection.count",
        "db.client.connection.max",
    }
    tokens = metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {"input", "output"} == {attributes(each)["gen_ai.token.type"] for each in tokens}


def test_lines_of_the_log_carry_the_trace(telemetry_of_two_turns):
    lines = [json.loads(line) for line in telemetry_of_two_turns[1].splitlines() if line[:1] == "{"]

    (call,) = [
        each for each in lines if each["message"] == "Model call" and each.get("trace_id") == TRACE
    ]
    assert len(call["span_id"]) == 16


def test_a_collector_that_hangs_delays_neither_turns_nor_the_end(environment, model, tmp_path):
    settings = {"WEB_CONCURRENCY": "1", "OTEL_BSP_SCHEDULE_DELAY": "50", "CHAT_RATE": ""}
    with collecting(hangs=True) as collector:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with running_server(tmp_path / "log", **environment | settings) as server:
            server.client.post("/chat", json={"message": "One"})
            assert collector.reached.wait(20)
            begin = time.monotonic()
            for _ in range(5):
                assert server.client.post("/chat", json={"message": "More"}).status_code == 200
            assert time.monotonic() - begin < 5
            begin = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begin < 15  # the flush's bound is 5 s


def test_a_collector_that_refuses_delays_neither_work_nor_the_end(monkeypatch, nobody_listens):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", nobody_listens)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setattr(telemetry, "FLUSH_SECONDS", 0.5)

    async def work():
        telemetry.start()
        for _ in range(3000):  # more than wait in the queue
            with span("turn"):
                measure("chat.turns", 1)
        worked = time.monotonic() - begin
        await telemetry.finish()
        return worked

    begin = time.monotonic()
    assert asyncio.run(work()) < 5
    assert time.monotonic() - begin < 6


def test_without_the_setting_nothing_of_it_is_imported():
    code = "import sys, chatbackend.asgi; print(any('opentelemetry' in m for m in sys.modules))"

    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )

    assert printed.stdout == "False\n"


def test_without_the_extra_a_check_says_so(monkeypatch, settings):
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318"
    assert checks.telemetry() == []

    monkeypatch.setattr(checks, "TELEMETRY_PACKAGE", "no_such_package.within")

    (message,) = checks.telemetry()
    assert message.id == "chat.E009"
    assert "telemetry extra" in message.msg


# Sampling, in this process ------------------------------------------------------------------
async def recorded(parent=None):
    """A turn is recorded by an exporter of its own, within the client's trace if it has one."""
    headers = [(b"traceparent", parent)] if parent else []
    telemetry.start()
    with telemetry.continued(headers), span("turn"):
        measure("chat.turns", 1)
    await telemetry.finish()


@pytest.mark.parametrize(
    ("sampler", "argument", "parent", "is_traced"),
    [
        ("always_off", "", None, False),
        ("always_off", "", SAMPLED, False),
        ("parentbased_traceidratio", "0", None, False),
        ("parentbased_traceidratio", "0", SAMPLED, True),
        ("parentbased_traceidratio", "1", NOT_SAMPLED, False),
        ("parentbased_traceidratio", "1", b"garbage", True),
    ],
)
def test_the_sampler_decides_on_traces_and_not_on_metrics(
    monkeypatch, sampler, argument, parent, is_traced
):
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
        asyncio.run(recorded(parent))

    assert [each.name for each in collector.spans()] == ["turn"] * is_traced
    (turns,) = collector.metrics()["chat.turns"].sum.data_points
    assert turns.as_int == 1
