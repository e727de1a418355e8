"""The examples of README.md and docs/api.md, run as they are written."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import pytest

from chat.api.problems import PROBLEMS
from tests.docs.pages import table_under, text_of
from tests.helpers.scripted_model import Reply, ScriptedModel
from tests.helpers.server import Server

NODE, CURL = shutil.which("node"), shutil.which("curl")
API = text_of("docs/api.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
# In the examples.
SESSION_ID = "26b64f67-e831-4e56-8f99-2a11eee29197"
REPLY_ID = "01a20653-c4cb-776b-87f0-b732bfd151c2"
# What does not depend on the moment or on the model.
FIXED = ("status", "code", "title", "detail", "type", "retryable", "errors", "checks", "rating")


def examples(page: str) -> list[tuple[str, str]]:
    """Each curl command with the answer that is shown below it, or with nothing."""
    blocks = BLOCK.findall(text_of(page))
    return [
        (command, shown if kind in ("json", "text") else "")
        for (language, command), (kind, shown) in pairwise([*blocks, ("", "")])
        if language == "sh" and command.startswith("curl")
    ]


@pytest.mark.skipif(not CURL, reason="curl is missing")
@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_every_curl_example_gets_the_answer_that_is_shown(page, server, model):
    reply_id = REPLY_ID
    for command, shown in examples(page):
        with pending_answer(server, model) if "/stop" in command else nullcontext():
            got = run(
                command.replace("localhost:8000", server.base_url).replace(REPLY_ID, reply_id)
            )
        if shown.startswith("{"):
            answer = json.loads(got)
            assert_alike(answer, json.loads(shown), command)
            reply_id = answer.get("message_id", reply_id)
        elif shown.startswith("data:"):
            assert kinds_of_events(got) == kinds_of_events(shown)
        elif shown:
            assert got.splitlines()[0] == shown, command


@contextmanager
def pending_answer(server: Server, model: ScriptedModel) -> Iterator[None]:
    """In the session of the examples, about a passage as there."""
    model.says(Reply("One two three.", hold_after=1))
    question = {
        "message": "What does that mean?",
        "session_id": SESSION_ID,
        "selected_text": "A node is a process.",
        "page_url": "https://book.example/chapter-1",
        "stream": True,
    }
    with server.client.stream("POST", "/chat", json=question) as stream:
        next(stream.iter_raw())
        yield


def run(command: str) -> str:
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def assert_alike(answer: Any, shown: Any, command: str) -> None:
    assert shape(answer) == shape(shown), command
    for name in FIXED:
        assert answer.get(name) == shown.get(name), command


def shape(value: Any) -> Any:
    """The fields, and of which type their values are."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


def kinds_of_events(stream: str) -> list[str]:
    """In order, each kind once: how many deltas there are is the model's affair."""
    return list(dict.fromkeys(re.findall(r'"type": ?"([\w-]+)"|(?<=data: )\[DONE\]', stream)))


def test_every_call_is_listed(server):
    paths = json.loads(server.client.get("/openapi.json").text)["paths"]
    calls = {f"{method.upper()} {path}" for path, of in paths.items() for method in of}
    table = API.partition("\n| call |")[2].partition("\n\n")[0]

    assert calls - {"HEAD /health", "HEAD /health/ready"} == set(
        re.findall(r"(?:GET|POST|PUT|DELETE) /[^`]+", table)
    )


def test_every_error_is_in_the_table():
    table = table_under("Errors", "docs/api.md")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes|no)", table, re.MULTILINE)

    assert {code: (int(status), retry == "yes") for status, code, retry in rows} == {
        code: (problem.status, problem.retryable) for code, problem in PROBLEMS.items()
    }


@pytest.mark.skipif(not NODE, reason="node is missing")
def test_the_example_that_reads_a_stream_works(server, model):
    model.says(Reply("One two three."), Reply("One two.", cut=1))
    (example,) = re.findall(r"```js\n(async function\* stream.*?)```", API, re.DOTALL)

    *words, failed, refused = run_in_node(f"""
        const API = {json.dumps(server.base_url)};
        {example}
        for await (const words of stream("What?")) console.log(words);
        try {{ for await (const words of stream("And?")) console.log(words); }}
        catch (error) {{ console.log(error.message); }}
        try {{ for await (const words of stream("")) console.log(words); }}
        catch (error) {{ console.log(error.message); }}
        """)

    assert "".join(words) == "One two three.One "
    assert failed == "The language model could not answer just now; please try again."
    assert refused == "Your question must not be empty."


@pytest.mark.skipif(not NODE, reason="node is missing")
def test_the_example_of_a_page_that_asks_works(server, model):
    model.says(Reply("One."), Reply("Two."))
    (example,) = re.findall(r"```js\n(const API = .*?)```", API, re.DOTALL)
    address = json.dumps(server.base_url)

    lines = run_in_node(f"""
        const kept = new Map();
        globalThis.localStorage = {{
          getItem: (name) => kept.get(name) ?? null,
          setItem: (name, value) => kept.set(name, value),
        }};
        globalThis.window = {{ getSelection: () => "" }};
        globalThis.location = {{ href: "https://book.example/1" }};
        {example.replace('"http://localhost:8000"', address)}
        console.log(await ask("What?"));
        console.log(await ask("And?"));
        try {{ await ask(""); }} catch (error) {{ console.log(error.message); }}
        const session = await fetch(`${{API}}/chat/${{kept.get("chat-session")}}`);
        console.log((await session.json()).messages.length);
        """)

    assert lines == ["One.", "Two.", "Your question must not be empty.", "4"]


def run_in_node(script: str) -> list[str]:
    ended = subprocess.run(
        [NODE, "--input-type=module", "--eval", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout.splitlines()
