"""OpenAI's own clients, for Python and JavaScript, with another base URL."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import openai
import pytest

from chat.models import Message
from tests.helpers.scripted_model import Reply, refusal

CHECKOUT = Path(__file__).parents[2]
NODE = shutil.which("node")
PASSAGE = "A node is an executable process that performs computation."


@pytest.fixture(scope="module")
def completions(server):
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client.chat.completions


@pytest.fixture
def complete(completions, model):
    def asking(question="What is a node?", **options):
        messages = [{"role": "user", "content": question}]
        return completions.create(model="gpt-5", **{"messages": messages} | options)

    return asking


def test_an_answer_is_a_completion(complete, client):
    found = complete(
        user=f"reader-{uuid4().hex}", temperature=0.3, tools=[], n=1, extra_body={"top_k": "?"}
    )

    (choice,) = found.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "A scripted answer.")
    assert choice.finish_reason == "stop"
    assert (found.object, found.model) == ("chat.completion", "book")
    assert found.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
    }
    assert (choice.message.sources, choice.message.grounding) == ([], None)
    reply = client.get(f"/chat/{found.session_id}").json()["messages"][1]
    assert found.id == f"chatcmpl-{reply['id']}"


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_is_chunks(complete, usage):
    chunks = [*complete(stream=True, stream_options={"include_usage": usage})]

    if usage:
        last = chunks.pop()
        assert (last.choices, last.usage.total_tokens) == ([], 18)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "A scripted answer."
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].session_id


def test_the_last_message_of_the_user_is_the_question(complete, model):
    messages = [
        {"role": "system", "content": "Talk like a pirate."},
        {"role": "user", "content": "Earlier?"},
        {"role": "assistant", "content": "Made up."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
                {"type": "text", "text": "a node?"},
            ],
        },
    ]

    complete(messages=messages)

    assert [m["content"] for m in model.prompt[1:]] == ["What is\na node?"]
    assert "pirate" not in json.dumps(model.requests[-1])


@pytest.mark.parametrize("user", ["alice", "session_{}", "{}"])
def test_a_user_is_a_conversation(complete, client, model, user):
    user = user.format(uuid4())
    first = complete("First?", user=user)
    second = complete("Second?", user=user)

    assert first.session_id == second.session_id
    assert [m["content"] for m in model.prompt[1:]][-3:] == [
        "First?",
        "A scripted answer.",
        "Second?",
    ]
    if user == "alice":  # which others would guess
        assert client.get("/chat/alice").status_code == 422
    else:
        assert first.session_id == user
    client.delete(f"/chat/{first.session_id}")


def test_without_a_user_each_question_is_a_conversation_of_its_own(complete):
    assert complete().session_id != complete().session_id


def test_a_passage_is_a_further_field(complete, model):
    complete(extra_body={"selected_text": PASSAGE})

    assert PASSAGE in model.prompt[-1]["content"]


@pytest.mark.usefixtures("stored")
def test_its_door_is_stored(complete):
    found = complete()

    assert Message.objects.get(session_id=found.session_id, role="user").door == "openai"


@pytest.mark.parametrize(
    ("reply", "error", "code"),
    [
        (refusal(401), openai.InternalServerError, "model_misconfigured"),
        (Reply(status=500, body=b"{}"), openai.InternalServerError, "model_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_refuses_is_never_the_clients_key(
    complete, model, reply, error, code, stream
):
    model.says(*[reply] * 5)

    with pytest.raises(error) as raised:
        complete(stream=stream)

    assert raised.value.code == code
    assert raised.value.type == "server_error"
    assert raised.value.body["message"].endswith(".")


@pytest.mark.parametrize(
    ("options", "param", "sentence"),
    [
        ({"messages": []}, "messages", "Your question is missing."),
        ({"question": " "}, "messages", "Your question must not be empty."),
        (
            {"question": "x" * 4001},
            "messages",
            "Your question must have at most 4000 characters.",
        ),
        (
            {"extra_body": {"page_url": "x"}},
            "page_url",
            "The page address must start with http:// or https://.",
        ),
    ],
)
def test_a_request_that_is_not_valid_is_a_bad_request(complete, options, param, sentence):
    with pytest.raises(openai.BadRequestError) as raised:
        complete(**options)

    assert raised.value.body == {
        "message": sentence,
        "type": "invalid_request_error",
        "param": param,
        "code": "invalid_request",
    }


def test_too_many_questions_are_a_rate_limit_with_its_time(serve, model):
    server = serve(CHAT_RATE="1/m", NUM_PROXIES="1")
    options = {"max_retries": 0, "default_headers": {"X-Forwarded-For": "192.0.2.17"}}
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none", **options) as client:
        messages = [{"role": "user", "content": "?"}]
        client.chat.completions.create(model="x", messages=messages)

        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(model="x", messages=messages)

    assert 1 <= int(raised.value.response.headers["Retry-After"]) <= 60
    assert raised.value.code == "rate_limited"


def test_a_stopped_question_is_not_asked_again(server, client, model):
    """OpenAI's clients try after a 409 again by themselves, unless a header of theirs says no."""
    session = f"session_{uuid4().hex}"
    model.says(Reply(hold=True))
    with (
        openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none") as patient,
        ThreadPoolExecutor(1) as pool,
    ):
        messages = [{"role": "user", "content": "?"}]
        asking = pool.submit(
            patient.chat.completions.create, model="x", messages=messages, user=session
        )
        model.wait_for_requests(1)
        assert client.post(f"/chat/{session}/stop").status_code == 202

        with pytest.raises(openai.ConflictError, match="stopped before its first word"):
            asking.result()

    assert len(client.get(f"/chat/{session}").json()["messages"]) == 2


def test_a_failure_half_way_is_raised_from_the_stream(complete, model):
    model.says(Reply("One two three.", cut=2))
    texts = []
    deltas = (chunk.choices[0].delta.content for chunk in complete(stream=True))

    with pytest.raises(openai.APIError, match="could not answer just now"):
        texts.extend(deltas)

    assert "".join(texts) == "One two "


def test_errors_outside_of_the_door_have_its_form(client):
    for answer in (
        client.get("/v1/chat/completions"),
        client.post("/v1/embeddings", json={}),
        client.post("/v1/chat/completions", content=b"x" * 2**20),
        client.post(
            "/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"}
        ),
    ):
        assert answer.json().keys() == {"error"}
        assert answer.headers["Content-Type"] == "application/json"


def test_there_is_one_model(server):
    with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none") as client:
        assert [model.id for model in client.models.list()] == ["book"]


JAVASCRIPT = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[1], apiKey: "none", maxRetries: 0 });
const create = (content, options) =>
  client.chat.completions.create({
    model: "any", messages: [{ role: "user", content }], ...options,
  });
const plain = await create("Plain?");
let text = "";
for await (const chunk of await create("Stream?", { stream: true, user: plain.session_id }))
  text += chunk.choices[0].delta.content ?? "";
const refused = await create(" ").catch((error) => error);
console.log(JSON.stringify([
  plain.choices[0].message.content, text, refused.constructor.name, refused.error.message,
  (await client.models.list()).data[0].id,
]));
"""


@pytest.mark.skipif(not NODE, reason="node is missing")
@pytest.mark.skipif(
    not (CHECKOUT / "node_modules" / "openai").is_dir(), reason="openai is missing (npm ci)"
)
def test_the_client_for_javascript_is_served_too(server, model):
    model.says("One.", "Two three.")
    command = [NODE, "--input-type=module", "-e", JAVASCRIPT, f"{server.base_url}/v1"]

    run = subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )

    assert json.loads(run.stdout) == [
        "One.",
        "Two three.",
        "BadRequestError",
        "Your question must not be empty.",
        "book",
    ]
    assert [m["content"] for m in model.prompt[1:]] == ["Plain?", "One.", "Stream?"]
