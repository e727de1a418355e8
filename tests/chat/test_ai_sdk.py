"""The real client: Vercel's AI SDK reads our stream, its current version and the strictest one."""

import json
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.helpers.scripted_model import Reply, refusal
from tests.helpers.waiting import eventually

CHECKOUT = Path(__file__).parents[2]
CLIENT = CHECKOUT / "tests" / "helpers" / "ai_sdk.mjs"
NODE = shutil.which("node")
pytestmark = [
    pytest.mark.skipif(not NODE, reason="node is missing"),
    pytest.mark.skipif(
        not (CHECKOUT / "node_modules" / "ai").is_dir(), reason="the AI SDK is missing (npm ci)"
    ),
]
FAILED = ["data-error", "error"]


@pytest.fixture(params=["ai", "ai-v5"])
def begin(request, server, model):
    def beginning(message="?", **body):
        return subprocess.Popen(
            [
                NODE,
                CLIENT,
                request.param,
                server.base_url,
                json.dumps(body | {"message": message}),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )

    return beginning


@pytest.fixture
def read(begin):
    """What the SDK's client makes of an answer."""

    def reading(message="?", **body):
        with begin(message, **body) as process:
            return json.loads(process.communicate(timeout=60)[0])

    return reading


def test_an_answer_becomes_a_message(read, model):
    model.says(Reply("Nodes  compute.\n\nروبوٹ 🤖"))
    session = str(uuid4())

    result = read(session_id=session)

    assert result["errors"] == []
    assert result["chunks"][:2] == ["start", "text-start"]
    assert result["chunks"][-2:] == ["text-end", "finish"]
    message = result["message"]
    assert message["role"] == "assistant"
    (part,) = message["parts"]
    assert (part["type"], part["state"]) == ("text", "done")
    assert part["text"] == "Nodes  compute.\n\nروبوٹ 🤖"
    metadata = message["metadata"]
    assert metadata.keys() == {"session_id", "timestamp", "usage"}
    assert metadata["session_id"] == session
    assert metadata["usage"] == {"prompt_tokens": 11, "completion_tokens": 7}
    assert result["states"] > 3  # it grew


def test_its_id_is_the_stored_replys(read, client):
    session = str(uuid4())

    message = read(session_id=session)["message"]

    assert client.get(f"/chat/{session}").json()["messages"][1]["id"] == message["id"]


def test_a_stopped_answer_keeps_its_text(begin, client, model):
    session = str(uuid4())
    model.says(Reply("One two three.", hold_after=2))

    with begin(session_id=session) as process:
        model.wait_for_requests(1)
        eventually(lambda: client.get(f"/chat/{session}").json()["messages"][1]["content"])
        assert client.post(f"/chat/{session}/stop").status_code == 202
        result = json.loads(process.communicate(timeout=60)[0])

    assert result["errors"] == []
    assert result["chunks"][-2:] == ["text-end", "abort"]
    assert result["message"]["parts"][0]["text"] == "One two "


def test_a_failure_half_way_is_an_error_with_our_sentence(read, model):
    model.says(Reply("One two three.", cut=2))

    result = read()

    assert result["chunks"][-2:] == FAILED
    assert result["errors"] == ["The language model could not answer just now; please try again."]
    text, data = result["message"]["parts"]
    assert text["text"] == "One two "
    assert data == {
        "type": "data-error",
        "data": {"code": "model_unavailable", "retryable": True},
    }


def test_a_refusal_before_the_first_word_is_an_error_too(read, model):
    model.says(refusal(401))

    (error,) = read()["errors"]

    assert json.loads(error)["code"] == "model_misconfigured"
