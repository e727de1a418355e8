"""PostgreSQL goes away between a question's storing and the search of its sections."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection

from book.search import Found, Hit
from chat import database
from chat.database import Statement
from chat.errors import DatabaseUnavailable
from chat.turn import close, limits, retrieve
from chat.turn.open import Opened
from chat.turn.turn import Question
from tests.helpers.books import index_book
from tests.helpers.scripted_model import Reply
from tests.helpers.turns import new_turn
from tests.helpers.waiting import eventually


def test_the_question_is_kept_and_the_reader_may_ask_again(serve, cluster, model, tmp_path):
    index_book(tmp_path, cluster, model, "# Questions\n\nEach question has a number.\n")
    server = serve(DATABASE_URL=cluster.url(), EMBEDDING_MODEL="word-vectors", WEB_CONCURRENCY="1")
    body, key = {"message": "Which number?", "session_id": str(uuid4())}, {"Idempotency-Key": "a"}
    embedding = threading.Event()
    model.embeds(lambda _: embedding.set() or Reply(delay=0.5))
    with ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        asking = pool.submit(server.client.post, "/chat", json=body, headers=key)
        assert embedding.wait(10)  # of a process's first question, after it was stored
        cluster.stop()
        answer = asking.result()
        took = time.monotonic() - begin
    cluster.start()
    again = eventually(
        lambda: (found := server.client.post("/chat", json=body, headers=key)).is_success and found,
        30,
    )

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert took < 10
    messages = server.client.get(f"/chat/{body['session_id']}").json()["messages"]
    assert [each["status"] for each in messages] == ["complete", "complete"]
    assert messages[1]["id"] == again.json()["message_id"]


@pytest.mark.django_db
def test_a_search_without_end_is_cancelled_in_the_server():
    async def searching():
        with pytest.raises(DatabaseUnavailable):
            await database.read_rows(Statement("SELECT pg_sleep(60), 'endless'", {}), 0.2)
        return await database.read_rows(Statement("SELECT 1", {}), 5)

    async def all_of_it():
        try:
            return await searching()
        finally:
            await database.close_connections()

    assert asyncio.run(all_of_it()) == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(60)%%endless%%'"
        )
        assert cursor.fetchone() == (0,)


def test_an_answer_is_worth_more_than_what_it_rests_on(monkeypatch, logged):
    turn = new_turn(Question("What is it?", selected_text="A node."))
    turn.has_book = True
    monkeypatch.setattr(close, "of_passage", lambda *_: 1 / 0)

    evidence = asyncio.run(close._evidence(turn, "It is a node."))

    assert evidence.grounding == "passage"
    assert any("was not found" in line for line in logged)


FIRST, SECOND, RESTORED = (datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3))


def opened(published_at=FIRST, **of_session):
    return Opened(uuid4(), uuid4(), [], edition=1, published_at=published_at, **of_session)


def test_the_same_question_is_searched_once_in_an_edition(settings, monkeypatch):
    settings.EMBEDDING_MODEL = "none"
    searched, published = [], [FIRST]

    async def find(query, limit):
        searched.append(query)
        text = "A node has a name." * (10_000 if "long" in query.question else 1)
        hit = Hit(1, "https://b.example/", "", ["Nodes"], 1, "en", text, 1, None, None, None, 1)
        return Found(1, [hit], None, published_at=published[-1])

    monkeypatch.setattr(retrieve, "find_sections", find)

    def searches(text, opened, page_url=None):
        before = len(searched)

        async def retrieved():
            return await retrieve.Retrieval(Question(text, page_url=page_url)).excerpts(opened)

        excerpts = asyncio.run(retrieved())
        assert [hit.section_id for hit in excerpts.sections] == [1]
        return len(searched) - before

    assert searches("What is a node?", opened()) == 1
    assert searches("What is a node?", opened()) == 0
    assert searches("What is a node?", opened(cited=[1])) == 0
    assert searches("What is a node?", opened(), "https://b.example/") == 1
    published.append(SECOND)
    assert searches("What is a node?", opened(SECOND)) == 1
    assert searches("What is a node?", opened(SECOND)) == 0
    assert searches("What is a topic?", opened()) == 1  # opened before the second was published
    assert searches("What is a topic?", opened(SECOND)) == 0
    assert searches("What is a topic?", opened()) == 1  # it is not the first one's
    published.append(RESTORED)  # a backup, indexed again: the number is the same
    assert searches("What is a node?", opened(RESTORED)) == 1
    assert searches("What is long?", opened()) == 1
    assert searches("What is long?", opened()) == 1  # too much to be kept


def test_a_question_that_many_ask_at_once_is_searched_once(settings, monkeypatch):
    settings.EMBEDDING_MODEL = "none"
    searched = []

    async def find(query, limit):
        searched.append(query.question)
        await asyncio.sleep(0.01)
        if "fails" in query.question:
            raise DatabaseUnavailable
        hit = Hit(1, "https://b.example/", "", ["Nodes"], 1, "en", "N.", 1, None, None, None, 1)
        return Found(1, [hit], None, published_at=FIRST)

    monkeypatch.setattr(retrieve, "find_sections", find)

    async def ask(text):
        return await retrieve.Retrieval(Question(text)).excerpts(opened())

    async def all_ask():
        first, *rest = (asyncio.create_task(ask("What do all of us ask?")) for _ in range(9))
        failing = [ask("What is it that fails now?") for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()  # the one that has begun the search
        return await asyncio.gather(*rest, *failing, return_exceptions=True)

    *found, one, two, three = asyncio.run(all_ask())

    assert [excerpts.sections[0].section_id for excerpts in found] == [1] * 8
    assert len({excerpts.silent_mark for excerpts in found}) == 8
    assert {type(each) for each in (one, two, three)} == {DatabaseUnavailable}
    assert sorted(searched) == ["What do all of us ask?", "What is it that fails now?"]


def test_what_the_last_answers_cited_is_lifted_among_the_best(settings, monkeypatch):
    settings.EMBEDDING_MODEL = "none"

    async def find(query, limit):
        url, path = "https://b.example/", ["Nodes"]
        hits = [
            Hit(number, url, "", path, 1, "en", "Text.", 1 - number / 100, None, None, None, 1)
            for number in range(limit)
        ]
        return Found(1, hits, None, published_at=FIRST)

    monkeypatch.setattr(retrieve, "find_sections", find)

    def sections(**of_session):
        async def retrieved():
            retrieval = retrieve.Retrieval(Question("Which section is lifted here?"))
            return await retrieval.excerpts(opened(**of_session))

        return [hit.section_id for hit in asyncio.run(retrieved()).sections]

    assert sections() == [*range(10)]
    assert sections(cited=[11]) == [*range(8), 11, 8]
    assert sections() == [*range(10)]  # what is remembered stays as it was


def test_a_client_that_is_refused_has_no_question_embedded(settings, monkeypatch):
    settings.CHAT_RATE = (1, 60)
    embedded = []

    async def embed(query):
        embedded.append(query.question)
        return query

    monkeypatch.setattr(retrieve, "_has_book", True)
    monkeypatch.setattr(retrieve, "_embedded", embed)
    monkeypatch.setattr(limits, "_used_up", {})
    limits._remember("eve", 60)

    async def ask(client):
        retrieval = retrieve.Retrieval(Question(f"What does {client} want?", client=client))
        await asyncio.sleep(0)
        await retrieval.drop()

    for client in ("eve", "ada"):
        asyncio.run(ask(client))

    assert embedded == ["What does ada want?"]
