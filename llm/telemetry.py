"""What can be observed of a turn: spans and measurements, for whoever records them.

Nothing is recorded until `record_with` names a recorder, as `chatbackend.telemetry` does. Until
then a span is one shared object that does nothing. No attribute ever holds a text of a reader, of
the book or of a model.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

type Attributes = Mapping[str, str | int | float | bool | Sequence[str] | None]


class Span(Protocol):
    """A piece of work, from entering it to leaving it."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes; those that are None are left out."""


class Recorder(Protocol):
    """Who records."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]: ...

    def model_call(
        self, operation: str, provider: str, model: str
    ) -> AbstractContextManager[Span]: ...

    def measure(self, name: str, value: float, attributes: Attributes) -> None: ...

    def log_fields(self) -> Mapping[str, str]: ...


class _NoSpan:
    """A span that nobody records."""

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def set(self, attributes: Attributes) -> None:
        pass


NO_SPAN = _NoSpan()
NOTHING: Attributes = {}

_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """From now on, in this process; None: nothing is recorded any more."""
    global _recorder  # noqa: PLW0603 - the one recorder of this process
    _recorder = recorder


def span(name: str, attributes: Attributes = NOTHING) -> AbstractContextManager[Span]:
    """Work within a turn. Its parent is the span that it is entered in."""
    return NO_SPAN if _recorder is None else _recorder.span(name, attributes)


def model_call(operation: str, provider: str, model: str) -> AbstractContextManager[Span]:
    """One request to a model service; `operation` is `chat` or `embeddings`."""
    return NO_SPAN if _recorder is None else _recorder.model_call(operation, provider, model)


def measure(name: str, value: float, attributes: Attributes = NOTHING) -> None:
    """Add a value to a metric, one of those that the recorder knows."""
    if _recorder is not None:
        _recorder.measure(name, value, attributes)


def log_fields() -> Mapping[str, str]:
    """The ids of the trace and the span that a line of the log belongs to; empty without."""
    return {} if _recorder is None else _recorder.log_fields()
