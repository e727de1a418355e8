"""Asking in this process, over real HTTP, with one event loop for all tests of a module."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from llm import completions, dialects, providers, retries, transport
from llm.completions import Completion
from llm.spending import Spending
from tests.helpers.scripted_model import ScriptedModel
from tests.helpers.services import with_gemini_at

PROMPT = [
    {"role": "system", "content": "You are here to help."},
    {"role": "user", "content": "Hello, ünï🤖?"},
]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
        yield runner
        runner.run(completions.close_clients())


@pytest.fixture(autouse=True)
def usual_settings(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Quick tries, no pace, and nothing known of any service."""
    monkeypatch.setattr(transport, "PAUSES", 0)
    settings.LLM_TIMEOUT_SECONDS = 20
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)
    dialects.forget()
    yield
    dialects.forget()


class Asked:
    """An answer's deltas, when they came, and what it has cost."""

    def __init__(self) -> None:
        self.deltas: list[str] = []
        self.times: list[float] = []
        self.spending = Spending()

    def add(self, delta: str) -> None:
        self.deltas.append(delta)
        self.times.append(time.monotonic())

    def discard(self) -> None:
        self.deltas.clear()

    @property
    def text(self) -> str:
        return "".join(self.deltas)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def complete(runner: asyncio.Runner, ask_llm: None, asked: Asked) -> Callable[[], Completion]:
    """Ask for an answer in one piece."""
    return lambda: runner.run(completions.complete(PROMPT, spending=asked.spending))


@pytest.fixture
def stream(runner: asyncio.Runner, ask_llm: None, asked: Asked) -> Callable[[], Completion]:
    """Ask for a stream; `asked` has its deltas."""
    return lambda: runner.run(
        completions.complete(
            PROMPT,
            asked.add,
            spending=asked.spending,
            on_discard=asked.discard,
        )
    )


@pytest.fixture(params=["in one piece", "as a stream"])
def ask(request: pytest.FixtureRequest) -> Callable[[], Completion]:
    """Both ways to ask."""
    name = "complete" if request.param == "in one piece" else "stream"
    found: Callable[[], Completion] = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="module")
def second_model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    yield model
    model.close()


@pytest.fixture
def second(second_model: ScriptedModel) -> ScriptedModel:
    """Another scripted model, to fall back on."""
    second_model.forget()
    return second_model


@pytest.fixture
def fallback(settings: Any, second: ScriptedModel, monkeypatch: Any) -> ScriptedModel:
    settings.GEMINI_API_KEY = "gemini-key"
    monkeypatch.setattr(providers, "SERVICES", with_gemini_at(second.base_url))
    return second
