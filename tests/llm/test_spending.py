"""All tokens are counted: also those of calls that failed, timed out or were stopped."""

import asyncio
import json
import threading
from uuid import uuid4

import pytest

from chat.models import DailyTokens, Message
from llm import completions
from llm.errors import ModelError, ModelTimeout
from llm.spending import Spending, Usage
from tests.helpers.scripted_model import Reply, chunk, frames, refusal
from tests.helpers.waiting import eventually
from tests.llm.conftest import PROMPT

USAGE = {"prompt_tokens": 1000, "completion_tokens": 124, "total_tokens": 1124}
OF_THE_PROMPT = sum(len(message["content"]) for message in PROMPT) // 4 + 1


def empty(usage=USAGE):
    return Reply(" ", usage=usage)


def test_an_answers_tokens_are_counted(model, ask, asked):
    ask()

    assert asked.spending == Spending(11, 7, 0)
    assert asked.spending.tokens == 18


def test_an_answers_tokens_are_estimated_where_nobody_reports_them(model, ask, asked):
    model.says(Reply("word " * 400, usage=None))

    ask()

    assert (asked.spending.prompt_tokens, asked.spending.completion_tokens) == (None, None)
    assert asked.spending.estimated == OF_THE_PROMPT + 500


def test_every_try_is_counted(model, ask, asked):
    model.says(empty())

    with pytest.raises(ModelError):
        ask()

    assert asked.spending == Spending(3000, 372, 0)


def test_what_was_spent_before_an_answer_is_the_answers(model, ask, fallback):
    model.says(empty())

    completion = ask()

    assert (completion.prompt_tokens, completion.completion_tokens) == (3011, 379)


def test_an_error_may_report_usage(model, ask, asked):
    body = {"error": {"message": "filtered", "code": "content_filter"}, "usage": USAGE}
    model.says(Reply(status=400, body=json.dumps(body).encode()))

    with pytest.raises(ModelError):
        ask()

    assert asked.spending.tokens == 1124


def test_usage_counts_that_came_before_the_end_of_a_stream(model, stream, asked):
    model.says(frames({"usage": USAGE, **chunk("Half")}, {"error": {"message": "down"}}))

    with pytest.raises(ModelError):
        stream()

    assert asked.spending.tokens == 1124


@pytest.mark.parametrize(
    "reply",
    [
        Reply(("x" * 49 + " ") * 40, cut=20),
        frames(chunk("x" * 1000), {"error": {"message": "overloaded"}}),
        frames(chunk(reasoning_content="x" * 1000), {"error": {"message": "overloaded"}}),
        frames(chunk("<think>" + "x" * 993), {"error": {"message": "overloaded"}}),
        frames(chunk("x" * 1000), chunk(finish_reason="error")),
    ],
)
def test_half_an_answer_is_estimated(model, stream, asked, reply):
    model.says(reply, refusal(400))

    with pytest.raises(ModelError):
        stream()

    assert asked.spending.estimated == OF_THE_PROMPT + 250


@pytest.mark.parametrize("status", [400, 401, 402, 404, 429, 500, 503, 302])
def test_a_refusal_costs_nothing(model, ask, asked, status):
    model.says(refusal(status))

    with pytest.raises(ModelError):
        ask()

    assert asked.spending.tokens == 0


def test_a_service_that_cannot_be_reached_costs_nothing(ask, asked, settings, nobody_listens):
    settings.OPENAI_BASE_URL = nobody_listens

    with pytest.raises(ModelError):
        ask()

    assert asked.spending.tokens == 0


def test_a_call_that_timed_out_is_estimated(model, ask, asked, settings):
    settings.LLM_TIMEOUT_SECONDS = 0.5
    model.says(Reply(hold=True))

    with pytest.raises(ModelTimeout):
        ask()

    assert asked.spending.estimated == OF_THE_PROMPT


def test_a_service_that_was_given_up_for_another_is_estimated(
    model, ask, fallback, asked, settings
):
    settings.LLM_TIMEOUT_SECONDS = 6  # half of it for each, also on a busy machine
    model.says(Reply(hold=True))

    ask()

    assert asked.spending == Spending(11, 7, OF_THE_PROMPT)


@pytest.mark.usefixtures("ask_llm")
def test_a_cancelled_call_is_counted(model, runner, asked):
    model.says(Reply("word " * 400, hold_after=200))

    async def cancelled():
        begun = asyncio.Event()
        asking = completions.complete(PROMPT, lambda _: begun.set(), spending=asked.spending)
        task = asyncio.create_task(asking)
        await begun.wait()
        task.cancel()
        await asyncio.wait({task})

    runner.run(cancelled())

    assert asked.spending.estimated >= OF_THE_PROMPT


def test_an_answer_that_was_cut_off_is_estimated(model, ask, asked):
    model.says(Reply("word " * 100_000, chunks=("word " * 100,) * 1000, usage=None))

    ask()

    assert asked.spending.estimated == OF_THE_PROMPT + 50_000


def test_other_ways_to_ask_are_counted_too(model, ask, asked):
    no = Reply(body=b'{"error": {"message": "max_tokens: no"}, "usage": {"prompt_tokens": 5}}')
    model.says(no, Reply())

    ask()

    assert asked.spending == Spending(16, 7, 0)


def test_sums_fit_the_database():
    spending = Spending()
    for _ in range(3):
        spending.add(Usage(2**31 - 1, 2**31 - 1))

    assert spending.prompt_tokens == spending.completion_tokens == 2**31 - 1


# In the whole product -------------------------------------------------------------------------
@pytest.fixture
def budgeted(serve, stored):
    DailyTokens.objects.all().delete()
    return serve(CHAT_DAILY_TOKEN_BUDGET="1000000", WEB_CONCURRENCY="1")


def counted():
    return DailyTokens.objects.get().tokens


@pytest.mark.parametrize("streaming", [False, True])
def test_a_failed_turn_is_counted_and_stored(budgeted, model, streaming):
    session = str(uuid4())
    model.says(empty())

    answer = budgeted.client.post(
        "/chat", json={"message": "?", "session_id": session, "stream": streaming}
    )

    assert answer.status_code == 502
    reply = Message.objects.get(session_id=session, role="assistant")
    assert (reply.status, reply.prompt_tokens, reply.completion_tokens) == ("failed", 3000, 372)
    assert counted() == 3372


def test_a_stopped_turn_is_counted_and_stored(budgeted, model):
    session = str(uuid4())
    early = frames({"usage": USAGE, **chunk("Half")}, done=False).body

    def pieces():
        yield early
        model.released.wait(20)

    model.says(Reply(pieces=pieces()))
    asking = threading.Thread(
        target=budgeted.client.post,
        args=["/chat"],
        kwargs={"json": {"message": "?", "session_id": session, "stream": True}},
    )
    asking.start()
    eventually(lambda: Message.objects.filter(session_id=session, content="Half").exists())

    budgeted.client.post(f"/chat/{session}/stop")
    asking.join()

    reply = Message.objects.get(session_id=session, role="assistant")
    assert (reply.status, reply.prompt_tokens, reply.completion_tokens) == ("stopped", 1000, 124)
    assert counted() == 1124


def test_a_turn_that_timed_out_is_counted(serve, model, stored):
    DailyTokens.objects.all().delete()
    server = serve(CHAT_DAILY_TOKEN_BUDGET="1000000", LLM_TIMEOUT_SECONDS="1")
    model.says(Reply(hold=True))

    assert server.client.post("/chat", json={"message": "word " * 400}).status_code == 504

    assert counted() > 500


def test_failures_use_the_budget_up(serve, model, stored):
    DailyTokens.objects.all().delete()
    server = serve(CHAT_DAILY_TOKEN_BUDGET="3000")
    model.says(empty())

    first = server.client.post("/chat", json={"message": "?"})
    second = server.client.post("/chat", json={"message": "?"})

    assert first.json()["code"] == "model_unavailable"
    assert second.json()["code"] == "budget_exhausted"
