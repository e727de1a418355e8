"""POST /chat: a turn, and exactly what the model is told."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from django.db import transaction

from chat.models import ChatSession, Message
from tests.helpers.scripted_model import Reply, ScriptedModel, refusal
from tests.helpers.waiting import eventually

Ask = Callable[..., httpx2.Response]
PASSAGE = 'A **node** is an executable process. <b>Not</b> & "never" {{ book_title }} {% now %}'


def test_a_first_question_starts_a_session(ask: Ask, model: ScriptedModel):
    model.says("Nodes compute.")

    answer = ask("  What is a node?\n")

    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {
        *("response", "session_id", "timestamp", "message_id", "sources", "grounding")
    }
    assert (body["sources"], body["grounding"]) == ([], None)  # no book is indexed
    assert body["response"] == "Nodes compute."
    assert UUID(body["session_id"]).version == 4
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    system, question = model.prompt
    assert system["role"] == "system"
    assert "Physical AI & Humanoid Robotics" in system["content"]
    assert question == {"role": "user", "content": "What is a node?"}


def test_a_follow_up_carries_the_conversation_so_far(ask: Ask, model: ScriptedModel):
    model.says("First answer.")
    session = ask("First?").json()["session_id"]

    second = ask("Second?", session_id=session)

    assert second.json()["session_id"] == session
    assert model.prompt[1:] == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "First answer."},
        {"role": "user", "content": "Second?"},
    ]


def test_the_model_gets_the_last_ten_messages_as_whole_pairs(ask: Ask, model: ScriptedModel):
    session = str(uuid4())
    for number in range(7):
        model.says(f"answer {number}")
        ask(f"question {number}", session_id=session)
    ask("and now?", session_id=session)

    told = [message["content"] for message in model.prompt[1:]]
    expected = [text for n in range(2, 7) for text in (f"question {n}", f"answer {n}")]
    assert told == [*expected, "and now?"]


def test_a_session_id_that_is_unknown_is_adopted(ask: Ask, model: ScriptedModel):
    mine = str(uuid4())

    first = ask("One?", session_id=mine)
    ask("Two?", session_id=mine)

    assert first.json()["session_id"] == mine
    assert [m["content"] for m in model.prompt[1:]] == ["One?", "A scripted answer.", "Two?"]


def test_two_sessions_do_not_see_each_other(ask: Ask, model: ScriptedModel):
    ask("Alice's secret", session_id=str(uuid4()))
    ask("Bob's question", session_id=str(uuid4()))

    assert "Alice" not in str(model.prompt)


def test_a_selected_passage_is_answered_from_the_passage_alone(ask: Ask, model: ScriptedModel):
    session = ask("Earlier question?").json()["session_id"]

    ask("What does this mean?", session_id=session, selected_text=PASSAGE)

    system, user = model.prompt
    assert (system["role"], user["role"]) == ("system", "user")
    assert "Earlier" not in str(model.prompt)
    assert "executable process" not in system["content"]
    assert PASSAGE in user["content"]
    assert user["content"].endswith("What does this mean?")


def test_what_was_asked_about_a_passage_is_part_of_the_conversation(ask: Ask, model: ScriptedModel):
    session = ask("About this?", selected_text=PASSAGE).json()["session_id"]

    ask("And more?", session_id=session)

    assert [m["content"] for m in model.prompt[1:]] == [
        "About this?",
        "A scripted answer.",
        "And more?",
    ]


@pytest.mark.parametrize("blank", [None, "", "  \n\t"])
def test_a_blank_passage_is_no_passage(ask: Ask, model: ScriptedModel, blank: str | None):
    session = ask("Before?").json()["session_id"]

    ask("Now?", session_id=session, selected_text=blank)

    assert len(model.prompt) == 4


def test_a_failed_turn_keeps_the_question_and_says_why(
    ask: Ask, model: ScriptedModel, client: httpx2.Client
):
    session = str(uuid4())
    model.says(refusal(401))

    assert ask("Will it fail?", session_id=session).json()["code"] == "model_misconfigured"

    question, reply = client.get(f"/chat/{session}").json()["messages"]
    assert (question["content"], question["status"]) == ("Will it fail?", "complete")
    assert (reply["content"], reply["status"]) == ("", "failed")
    assert reply["error_code"] == "model_misconfigured"
    assert reply["reply_to"] == question["id"]


def test_a_failed_turn_is_no_history(ask: Ask, model: ScriptedModel):
    session = str(uuid4())
    model.says(refusal(401))
    ask("Failed?", session_id=session)
    model.says("Fine.")

    ask("Better?", session_id=session)

    assert [m["content"] for m in model.prompt[1:]] == ["Better?"]


@pytest.mark.usefixtures("stored")
def test_a_stopped_reply_is_history_only_where_it_has_text(ask: Ask, model: ScriptedModel):
    session = ask("Stopped early?").json()["session_id"]
    ask("Stopped later?", session_id=session)
    early, later = Message.objects.filter(session_id=session, role="assistant").order_by("id")
    Message.objects.filter(id=early.id).update(status="stopped", content="")
    Message.objects.filter(id=later.id).update(status="stopped", content="Half an")

    ask("Next?", session_id=session)

    told = [m["content"] for m in model.prompt[1:]]
    assert told == ["Stopped later?", "Half an", "Next?"]


def test_question_and_reply_are_stored_before_the_model_answers(
    ask: Ask, model: ScriptedModel, client: httpx2.Client
):
    session = str(uuid4())
    model.says(Reply("Slow.", delay=1.5))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, "Slow?", session_id=session)
        while not model.requests and not asking.done():
            time.sleep(0.02)
        meanwhile = client.get(f"/chat/{session}").json()["messages"]
        answer = asking.result().json()

    assert [m["status"] for m in meanwhile] == ["complete", "pending"]
    assert meanwhile[1]["id"] == answer["message_id"]


@pytest.mark.usefixtures("stored")
def test_a_reader_who_goes_away_does_not_end_the_turn(client: httpx2.Client, model: ScriptedModel):
    session = str(uuid4())
    model.says(Reply("Finished all the same.", delay=1))

    with pytest.raises(httpx2.ReadTimeout):
        client.post("/chat", json={"message": "Gone?", "session_id": session}, timeout=0.4)

    replies = Message.objects.filter(session_id=session, role="assistant")
    reply = eventually(lambda: replies.exclude(status="pending").get())
    assert (reply.status, reply.content) == ("complete", "Finished all the same.")


@pytest.mark.usefixtures("stored")
def test_a_reader_who_goes_away_before_the_question_is_stored_does_not_end_the_turn(client, ask):
    session = ask("Before?").json()["session_id"]

    with transaction.atomic():
        ChatSession.objects.select_for_update().get(id=session)  # nothing is stored while it lasts
        with pytest.raises(httpx2.ReadTimeout):
            client.post("/chat", json={"message": "Gone?", "session_id": session}, timeout=0.5)

    replies = Message.objects.filter(session_id=session, reply_to__content="Gone?")
    assert eventually(lambda: replies.get(status="complete")).content == "A scripted answer."


@pytest.mark.usefixtures("stored")
def test_everything_about_a_turn_is_stored(ask: Ask):
    body = ask(
        "Where?", selected_text=PASSAGE, page_url="https://book.example/ch1?x=1#nodes"
    ).json()

    reply = Message.objects.get(id=body["message_id"])
    question = reply.reply_to
    assert (question.selected_text, question.page_url) == (
        PASSAGE,
        "https://book.example/ch1?x=1#nodes",
    )
    assert (reply.model, reply.finish_reason) == ("scripted", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens) == (11, 7)
    assert reply.latency_ms is not None
    assert reply.finished_at >= reply.created_at
    session = ChatSession.objects.get(id=body["session_id"])
    assert session.updated_at == reply.finished_at


def test_turns_side_by_side_in_one_session_are_all_answered(ask: Ask, client: httpx2.Client):
    session = str(uuid4())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: ask(f"question {n}", session_id=session), range(8)))

    assert {answer.status_code for answer in answers} == {200}
    messages = client.get(f"/chat/{session}").json()["messages"]
    assert len(messages) == 16
    pairs = zip(messages[0::2], messages[1::2], strict=True)
    assert all(reply["reply_to"] == question["id"] for question, reply in pairs)


def test_a_session_deleted_while_the_model_works_stays_deleted(
    ask: Ask, model: ScriptedModel, client: httpx2.Client
):
    session = str(uuid4())
    model.says(Reply("Too late.", delay=1))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, "Still there?", session_id=session)
        while not model.requests and not asking.done():
            time.sleep(0.02)
        assert client.delete(f"/chat/{session}").status_code == 204
        answer = asking.result()

    assert (answer.status_code, answer.json()["code"]) == (409, "answer_stopped")
    assert client.get(f"/chat/{session}").status_code == 404


def test_unknown_fields_are_ignored(ask: Ask):
    assert ask("Hello?", colour="blue", id=7).status_code == 200


def test_text_of_any_script_comes_back_as_it_was(ask: Ask, client: httpx2.Client, model):
    text = "روبوٹ کیا ہے؟ 机器人 🤖 e\u0301 \u200f\u2028 <script>&amp;"
    model.says(text)

    session = ask(text).json()["session_id"]

    assert [m["content"] for m in client.get(f"/chat/{session}").json()["messages"]] == [text] * 2


def test_what_the_database_cannot_store_is_left_out_of_an_answer(ask: Ask, model: ScriptedModel):
    model.says("before\0after \ud800!")

    assert ask().json()["response"] == "beforeafter \ufffd!"


def test_many_requests_over_one_connection_are_all_answered(server, model: ScriptedModel):
    with httpx2.Client(
        base_url=server.base_url, timeout=10, limits=httpx2.Limits(max_connections=1)
    ) as client:
        for number in range(40):
            assert client.get("/health").status_code == 200
            assert client.post("/chat", json={"message": f"{number}"}).status_code == 200


def test_no_database_connection_is_held_while_300_readers_wait(serve, cluster, model):
    server = serve(DATABASE_URL=cluster.url(), LLM_TIMEOUT_SECONDS="60")
    model.says(Reply("At last.", hold=True))

    async def everyone() -> tuple[set[int], int, int]:
        limits = httpx2.Limits(max_connections=None)
        base_url = server.base_url
        async with httpx2.AsyncClient(base_url=base_url, timeout=60, limits=limits) as client:
            asking = [
                asyncio.create_task(client.post("/chat", json={"message": str(number)}))
                for number in range(300)
            ]
            try:
                await asyncio.to_thread(model.wait_for_requests, 300)
                found = await asyncio.to_thread(idle_connections, cluster.url())
            finally:
                model.release()
            return {answer.status_code for answer in await asyncio.gather(*asking)}, *found

    statuses, connections, busy = asyncio.run(everyone())

    assert statuses == {200}
    assert connections <= 20
    assert busy == 0


def idle_connections(url: str) -> tuple[int, int]:
    """How many connections the server holds, and how many of them are at work.

    They are for a moment when partial answers are saved, hence the second looks.
    """
    for _ in range(50):
        with psycopg.connect(url) as connection:
            connections, busy = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            ).fetchone()
        if not busy:
            break
        time.sleep(0.05)
    return connections, busy
