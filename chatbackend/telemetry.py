"""OpenTelemetry: spans and metrics over OTLP, from each worker.

Imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set; the package is an optional extra. Everything
is sent by threads of the SDK from bounded queues: a collector that hangs costs what it should have
got, and no turn waits for it.
"""

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chat.database import connection_counts
from llm.telemetry import Attributes, record_with

SCOPE = "chatbackend"
FLUSH_SECONDS = 5  # at the end of a worker, whatever the collector does
# Of services whose name in the conventions is not ours.
PROVIDERS = {"gemini": "gcp.gemini"}
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
OPERATION_DURATION, TOKEN_USAGE = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
ERROR_TYPE = "error.type"

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)
TOKENS = (16, 64, 256, 1024, 2048, 4096, 8192, 16384, 65536)
SHARES = tuple(each / 10 for each in range(11))


class Metric(NamedTuple):
    """An instrument: a histogram if it has bounds, or else a counter."""

    unit: str
    description: str
    bounds: tuple[float, ...] = ()


METRICS = {
    "chat.turns": Metric("{turn}", "Turns by door, outcome and grounding"),
    "chat.turn.duration": Metric("s", "From the question to the end of its answer", SECONDS),
    "chat.turn.first_token": Metric("s", "From the question to the first text", SECONDS),
    "chat.turn.tokens": Metric("{token}", "Tokens of all calls made for a turn", TOKENS),
    "chat.turn.support": Metric("1", "How much of an answer its sources support", SHARES),
    "chat.retrieval.duration": Metric("s", "Embedding and searching for a question", SECONDS),
    "chat.orphaned_replies": Metric("{reply}", "Replies whose worker was killed"),
    OPERATION_DURATION: Metric("s", "Requests to model services", SECONDS),
    TOKEN_USAGE: Metric("{token}", "Tokens as model services report them", TOKENS),
}


# Recording ----------------------------------------------------------------------------------
class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.attributes: dict[str, object] = {}

    def set(self, attributes: Attributes) -> None:
        known = {name: value for name, value in attributes.items() if value is not None}
        self.attributes |= known
        self._span.set_attributes(known)


class OpenTelemetry:
    """Records with the SDK, for `llm.telemetry`."""

    def __init__(self, tracer: trace.Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._instruments = {name: _instrument(meter, name) for name in METRICS}

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    ) -> Iterator[_Span]:
        """No exception's text is recorded: it may quote what a reader or a model wrote."""
        with self._tracer.start_as_current_span(
            name, kind=kind, record_exception=False, set_status_on_exception=False
        ) as current:
            span = _Span(current)
            span.set(attributes)
            try:
                yield span
            except BaseException as error:
                span.set({ERROR_TYPE: error_type(error)})
                if not isinstance(error, asyncio.CancelledError):
                    current.set_status(trace.StatusCode.ERROR)
                raise

    @contextmanager
    def model_call(self, operation: str, provider: str, model: str) -> Iterator[_Span]:
        """By the semantic conventions for generative AI."""
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": model,
        }
        begin = time.monotonic()
        span = None
        try:
            with self.span(f"{operation} {model}", attributes, trace.SpanKind.CLIENT) as span:
                yield span
        finally:
            self._measure_call(
                time.monotonic() - begin, attributes, span.attributes if span else {}
            )

    def _measure_call(
        self, seconds: float, attributes: dict[str, str], found: Mapping[str, object]
    ) -> None:
        error = found.get(ERROR_TYPE)
        self.measure(
            OPERATION_DURATION, seconds, attributes | ({ERROR_TYPE: str(error)} if error else {})
        )
        for kind, name in (("input", INPUT_TOKENS), ("output", OUTPUT_TOKENS)):
            if isinstance(count := found.get(name), int):
                self.measure(TOKEN_USAGE, count, attributes | {"gen_ai.token.type": kind})

    def measure(self, name: str, value: float, attributes: Attributes) -> None:
        instrument = self._instruments[name]
        known = {key: found for key, found in attributes.items() if found is not None}
        if isinstance(instrument, Histogram):
            instrument.record(value, known)
        else:
            instrument.add(value, known)

    def log_fields(self) -> Mapping[str, str]:
        current = trace.get_current_span().get_span_context()
        if not current.is_valid:
            return {}
        return {
            "trace_id": trace.format_trace_id(current.trace_id),
            "span_id": trace.format_span_id(current.span_id),
        }


def error_type(error: BaseException) -> str:
    """Our code for it, or its class; few different ones, and no text."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return str(getattr(error, "code", "") or type(error).__name__)


def _instrument(meter: Meter, name: str) -> Counter | Histogram:
    unit, description, bounds = METRICS[name]
    if bounds:
        return meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=bounds
        )
    return meter.create_counter(name, unit, description)


def _observe_pool(meter: Meter) -> None:
    """By the semantic conventions for database clients."""
    pool = {"db.client.connection.pool.name": "turns"}

    def count(_: CallbackOptions) -> Iterable[Observation]:
        used, idle, _most = connection_counts()
        yield Observation(used, pool | {"db.client.connection.state": "used"})
        yield Observation(idle, pool | {"db.client.connection.state": "idle"})

    def most(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(connection_counts()[2], pool)

    unit = "{connection}"
    meter.create_observable_up_down_counter("db.client.connection.count", [count], unit)
    meter.create_observable_up_down_counter("db.client.connection.max", [most], unit)


# A worker's life ----------------------------------------------------------------------------
_providers: list[TracerProvider | MeterProvider] = []


def start() -> None:
    """In a worker, once it is forked: each sends as an instance of its own."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    resource = _resource()
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    if _is_sent("OTEL_TRACES_EXPORTER"):
        tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    is_metered = _is_sent("OTEL_METRICS_EXPORTER")
    readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if is_metered else []
    metering = MeterProvider(readers, resource, shutdown_on_exit=False)
    meter = metering.get_meter(SCOPE)
    _observe_pool(meter)
    _providers[:] = [tracing, metering]
    record_with(OpenTelemetry(tracing.get_tracer(SCOPE), meter))


def _resource() -> Resource:
    """What the usual variables say, with a name where they give none."""
    attributes = {SERVICE_INSTANCE_ID: str(uuid.uuid4())}
    named = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not os.environ.get("OTEL_SERVICE_NAME") and f"{SERVICE_NAME}=" not in named:
        attributes[SERVICE_NAME] = SCOPE
    return Resource.create(attributes)


def _is_sent(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() != "none"


async def finish() -> None:
    """Send what is left, for `FLUSH_SECONDS` at most.

    By daemon threads: those of the event loop's executor are waited for when the process ends.
    """
    record_with(None)
    threads = [threading.Thread(target=each.shutdown, daemon=True) for each in _providers]
    for thread in threads:
        thread.start()
    end = time.monotonic() + FLUSH_SECONDS
    while any(each.is_alive() for each in threads) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    _providers.clear()


@contextmanager
def continued(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[None]:
    """Within the client's trace, if its `traceparent` is a valid one."""
    carrier = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if name in (b"traceparent", b"tracestate")
    }
    token = context.attach(TraceContextTextMapPropagator().extract(carrier, context.Context()))
    try:
        yield
    finally:
        context.detach(token)
