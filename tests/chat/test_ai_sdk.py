"""The real client: the AI SDK's own chat and transport, as its packages bring them.

In its current version, and in the two before, whose schemas of events are the strictest.
"""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from chat.models import Message
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
PASSAGE = "A node is an executable process that performs computation."
UNAVAILABLE = "The language model could not answer just now; please try again."
AI_6, ASSISTANT_UI = (
    pytest.param(name, marks=pytest.mark.doors) for name in ("ai-v6", "assistant-ui")
)
MISCONFIGURED = "The language model is not set up correctly; please tell the author of this book."


@pytest.fixture(scope="module", params=["ai", AI_6, "ai-v5", ASSISTANT_UI])
def client_process(request):
    with subprocess.Popen(
        [NODE, CLIENT, request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def chat(client_process, server, model):
    """A chat of the SDK's; each call gives what its reader then sees."""

    def call(name, options=None):
        print(json.dumps([name, options]), file=client_process.stdin, flush=True)
        return SimpleNamespace(**json.loads(client_process.stdout.readline()))

    def opened(path="/chat", **options):
        return call("open", {"api": server.base_url + path} | options)

    call.open = opened
    opened()
    return call


def texts(seen):
    """Role and text of each message."""
    return [
        (message["role"], "".join(p["text"] for p in message["parts"] if p["type"] == "text"))
        for message in seen.messages
    ]


def stored_with_text(client, session):
    """The session's messages, as soon as the reply has some text."""
    messages = client.get(f"/chat/{session}").json().get("messages")
    return messages if messages and messages[1]["content"] else None


def send(chat, text="?", **options):
    return chat("send", {"text": text} | options)


def test_an_answer_becomes_a_message_with_the_stored_replys_id(chat, client, model):
    model.says(Reply("Nodes  compute.\n\nروبوٹ 🤖"))

    seen = send(chat, "What is a node?")

    assert (seen.status, seen.error) == ("ready", None)
    message = seen.messages[1]
    (part,) = (p for p in message["parts"] if p["type"] == "text")
    assert (part["text"], part["state"]) == ("Nodes  compute.\n\nروبوٹ 🤖", "done")
    assert message["metadata"]["session_id"] == seen.id
    assert message["metadata"]["usage"] == {"prompt_tokens": 11, "completion_tokens": 7}
    assert message["metadata"]["sources"] == []
    question, reply = client.get(f"/chat/{seen.id}").json()["messages"]
    assert question["content"] == "What is a node?"
    assert reply["id"] == message["id"]


def test_its_own_ids_continue_a_conversation_by_the_servers_history(chat, model):
    send(chat, "First?")

    seen = send(chat, "Second?")

    assert len(seen.id) == 16
    assert [m["content"] for m in model.prompt[1:]] == ["First?", "A scripted answer.", "Second?"]


def test_a_passage_and_a_page_are_fields_beside_the_messages(chat, client, model):
    page = "https://book.example/1"
    seen = chat.open(id=str(uuid4()), body={"selected_text": PASSAGE, "page_url": page})

    send(chat, "What is that?")

    assert PASSAGE in model.prompt[-1]["content"]
    question = client.get(f"/chat/{seen.id}").json()["messages"][0]
    assert (question["selected_text"], question["page_url"]) == (PASSAGE, page)


def test_regenerate_replaces_the_last_question(chat, client, model):
    model.says("One.", "Two.", "Another.")
    send(chat, "First?")
    send(chat, "Second?")

    seen = chat("regenerate")

    expected = [("user", "First?"), ("assistant", "One."), ("user", "Second?")]
    assert texts(seen) == [*expected, ("assistant", "Another.")]
    assert [m["content"] for m in model.prompt[1:]] == ["First?", "One.", "Second?"]
    stored = client.get(f"/chat/{seen.id}").json()["messages"]
    assert [m["content"] for m in stored if not m["replaced"]] == [text for _, text in texts(seen)]


def test_an_earlier_answer_is_regenerated_and_a_question_edited_in_its_place(chat, client, model):
    send(chat, "First?")
    seen = send(chat, "Second?")
    send(chat, "Third?")

    chat("regenerate", {"messageId": seen.messages[3]["id"]})
    assert [m["content"] for m in model.prompt[1:]] == ["First?", "A scripted answer.", "Second?"]
    seen = send(chat, "Edited?", messageId=seen.messages[2]["id"])

    assert [m["content"] for m in model.prompt[1:]] == ["First?", "A scripted answer.", "Edited?"]
    stored = client.get(f"/chat/{seen.id}").json()["messages"]
    assert [m["content"] for m in stored if not m["replaced"]] == [text for _, text in texts(seen)]


def test_a_refused_question_is_asked_again_and_replaces_nothing(chat, client):
    send(chat, "First?")
    seen = send(chat, " ")
    assert seen.error == "Your question must not be empty."

    seen = send(chat, "Second?", messageId=seen.messages[-1]["id"])

    assert [text for _, text in texts(seen)][::2] == ["First?", "Second?"]
    stored = client.get(f"/chat/{seen.id}").json()["messages"]
    assert [m["replaced"] for m in stored] == [False] * 4


def test_a_refusal_is_a_sentence_that_its_reader_sees(chat, model):
    model.says(refusal(401))

    seen = send(chat)

    assert seen.status == "error"
    assert seen.error == MISCONFIGURED


def test_a_failure_half_way_is_a_sentence_too_and_its_code_is_no_part_of_the_message(chat, model):
    model.says(Reply("One two three.", cut=2))

    seen = send(chat)

    assert (seen.status, seen.error) == ("error", UNAVAILABLE)
    assert [part["type"] for part in seen.messages[1]["parts"]] == ["text"]
    assert texts(seen)[1] == ("assistant", "One two ")
    (data,) = seen.data
    assert data["type"] == "data-error"
    assert data["data"] == {"code": "model_unavailable", "retryable": True}


def test_a_stopped_answer_keeps_its_text(chat, client, model):
    model.says(Reply("One two three.", hold_after=2))
    begun = chat("begin", {"text": "?"})
    _, reply = eventually(lambda: stored_with_text(client, begun.id))

    assert client.post(f"/chat/{begun.id}/stop").status_code == 202
    seen = chat("end")

    assert (seen.status, seen.error) == ("ready", None)
    assert texts(seen)[1] == ("assistant", "One two ")
    assert seen.messages[1]["id"] == reply["id"]


def test_a_page_that_is_loaded_anew_resumes_the_answer(chat, client, model):
    model.says(Reply("One two three.", hold_after=2))
    begun = chat("begin", {"text": "?"})
    history = eventually(lambda: stored_with_text(client, begun.id))

    question = {"id": history[0]["id"], "role": "user", "parts": [{"type": "text", "text": "?"}]}
    chat.open(id=begun.id, messages=[question])
    model.release()
    seen = chat("resume")

    assert (seen.status, seen.error) == ("ready", None)
    assert texts(seen) == [("user", "?"), ("assistant", "One two three.")]
    assert seen.messages[1]["id"] == history[1]["id"]


def test_with_nothing_to_resume_nothing_happens(chat):
    seen = chat("resume")

    assert (seen.status, seen.error, seen.messages) == ("ready", None, [])


def test_readers_whose_client_gives_them_all_one_id_have_conversations_of_their_own(chat, model):
    """assistant-ui has a constant for the only conversation of a page."""
    for reader in ("Alice", "Bob"):
        chat.open(id="DEFAULT_THREAD_ID")
        send(chat, f"First of {reader}?")
        send(chat, f"Second of {reader}?")
        told = [m["content"] for m in model.prompt[1:]]
        assert told == [f"First of {reader}?", "A scripted answer.", f"Second of {reader}?"]


@pytest.mark.usefixtures("stored")
def test_its_door_is_stored(chat):
    seen = send(chat, session := uuid4().hex)

    assert Message.objects.get(content=session).door == "ai-sdk"
    assert UUID(seen.messages[1]["id"])
