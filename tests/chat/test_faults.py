"""1,000 turns while workers and the database are killed, models fail and readers come and go.

Afterwards every question is stored once, every answer that was delivered in full is stored in
full, and nothing is pending. Run by `make faults`; the seed decides which faults come in which
order (when exactly they strike is the machine's business).
"""

import asyncio
import json
import os
import random
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import httpx2
import psutil
import psycopg
import pytest

from tests.helpers.books import index_book
from tests.helpers.marks import marks_of
from tests.helpers.scripted_model import Reply, refusal, word_vector
from tests.helpers.streams import parsed

TURNS, READERS, SESSIONS = 1000, 25, 150
SEED = int(os.environ.get("FAULTS_SEED") or 1)
PATIENCE_SECONDS = 180
BOOK = """# Questions

A question has a number, and each question is asked once. Its answer names the number.

## Robots

A robot asks no question of its own.
"""
pytestmark = [pytest.mark.faults]


def random_uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))


def model_of(chance):
    """A model that answers each question in words of its own, mostly."""

    def decide(body):
        question = body["messages"][-1]["content"].split()[-1]
        cited = [f"[{mark}]" for mark in marks_of(body).values() if chance.random() < 0.7]
        words = " ".join([*(f"{question}/{n}" for n in range(chance.randint(1, 60))), *cited])
        return chance.choices(
            [
                Reply(words),
                Reply(words, gap=0.01),
                Reply(words, gap=0.1),
                Reply(words, delay=chance.random()),
                Reply(words, cut=chance.randint(0, 30)),
                Reply(drop=True),
                Reply(""),
                refusal(500),
                refusal(429, retry_after="1"),
                Reply(body=b"{]"),
            ],
            [40, 20, 15, 5, 5, 3, 3, 3, 3, 3],
        )[0]

    return decide


def embeddings_of(chance):
    """A service that embeds, mostly: or else it hangs, refuses and lies."""

    def decide(body):
        data = [{"embedding": word_vector(text, 100)} for text in body["input"]]
        lie = json.dumps({"data": data * chance.randint(1, 2)}).encode()
        replies = [Reply(), Reply(delay=0.7), Reply(hold=True), Reply(drop=True), refusal(401)]
        replies += [refusal(500), Reply(body=lie), Reply(body=b"{]")]
        return chance.choices(replies, [40, 10, 10, 5, 5, 10, 15, 5])[0]

    return decide


@dataclass
class Delivered:
    """What a reader was told in full."""

    text: str
    reply_id: str
    stopped: bool = False


class Reader:
    """Asks one question after the other, each until it is settled, as a good front end does."""

    def __init__(self, client, chance, delivered, seen):
        self.client, self.chance = client, chance
        self.delivered, self.seen = delivered, seen
        self.last = ""

    async def ask(self, number: int) -> None:
        question, chance = f"question {number}", self.chance
        session = random_uuid(random.Random(chance.randrange(SESSIONS)))
        body = {"message": question, "session_id": session, "stream": chance.random() < 0.6}
        if chance.random() < 0.2:
            body["selected_text"] = "A passage."
        headers = {"Idempotency-Key": random_uuid(chance)}
        tries: list[str] = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await self.settled(number, body, headers):
                    self.seen["tried again"] += 1
                    tries.append(self.last)
                    await asyncio.sleep(chance.uniform(0.1, 0.6))
        except TimeoutError as error:
            raise AssertionError(f"{question} of {session} was never settled: {tries}") from error

    async def settled(self, number, body, headers) -> bool:
        """One try, which the reader may give up, or have stopped."""
        self.last = "no answer"
        trying = asyncio.ensure_future(self.try_once(number, body, headers))
        whim = self.chance.random()
        if whim < 0.1:
            await asyncio.wait({trying}, timeout=self.chance.random())
            if not trying.done():
                self.seen["reader left"] += 1
                trying.cancel()
        elif whim < 0.2:
            await asyncio.wait({trying}, timeout=self.chance.random())
            with suppress(httpx2.TransportError):
                stop = await self.client.post(f"/chat/{body['session_id']}/stop")
                self.seen[f"stop {stop.status_code}"] += 1
        try:
            return await trying
        except httpx2.TransportError as error:
            self.seen[type(error).__name__] += 1
        except asyncio.CancelledError:
            if not trying.cancelled():
                raise
        return False

    async def try_once(self, number, body, headers) -> bool:
        async with self.client.stream("POST", "/chat", json=body, headers=headers) as answer:
            self.seen[str(answer.status_code)] += 1
            self.last = str(answer.status_code)
            if answer.headers.get("Content-Type") == "text/event-stream":
                return await self.read_stream(number, answer)
            content = await answer.aread()
        problem = answer.json()
        if answer.status_code == 200:
            self.delivered[number] = Delivered(problem["response"], problem["message_id"])
            return True
        if problem["code"] == "answer_stopped":
            return True
        assert problem["retryable"], content
        return False

    async def read_stream(self, number, answer) -> bool:
        text, reply_id = "", ""
        async for event in events_of(answer):
            match event:
                case {"type": "start", "messageId": reply_id}:
                    pass
                case {"type": "text-delta", "delta": delta}:
                    text += delta
                case {"type": "finish" | "abort" as kind}:
                    self.delivered[number] = Delivered(text, reply_id, kind == "abort")
                    return True
                case {"type": "data-error", "data": {"code": code}}:
                    self.seen[f"frame {code}"] += 1
                    self.last = f"200 {code}"
        return False


async def events_of(answer) -> AsyncIterator[object]:
    rest = ""
    async for text in answer.aiter_text():
        *blocks, rest = (rest + text).split("\n\n")
        for block in blocks:
            yield parsed(block)


class Faults:
    """Strikes every few seconds. (An outage puts off the giving up of killed workers' replies.)"""

    def __init__(self, server, cluster, chance, seen):
        self.server, self.cluster, self.chance, self.seen = server, cluster, chance, seen

    async def strike_on(self) -> None:
        kinds = [self.kill_worker, self.end_worker, self.reload, self.restart_database]
        kinds += [self.cut_connections, self.crash_database, self.kill_worker]
        while True:
            await asyncio.sleep(self.chance.uniform(0.8, 2.5))
            fault = self.chance.choice(kinds)
            self.seen[f"FAULT {fault.__name__}"] += 1
            await asyncio.to_thread(fault)

    def kill_worker(self, how: int = signal.SIGKILL) -> None:
        if workers := self.server.workers():
            with suppress(psutil.NoSuchProcess):
                self.chance.choice(workers).send_signal(how)

    def end_worker(self) -> None:
        self.kill_worker(signal.SIGTERM)

    def reload(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)

    def restart_database(self) -> None:
        self.cluster.stop()
        self.cluster.start()

    def cut_connections(self) -> None:
        with psycopg.connect(self.cluster.url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )

    def crash_database(self) -> None:
        """A killed backend makes PostgreSQL start over from its log."""
        with suppress(psycopg.Error):
            with psycopg.connect(self.cluster.url()) as connection:
                pid = connection.info.backend_pid
            with psycopg.connect(self.cluster.url()) as connection:
                pid = connection.info.backend_pid
                os.kill(pid, signal.SIGKILL)


def stored(cluster) -> list[tuple]:
    with psycopg.connect(cluster.url()) as connection:
        return connection.execute(
            "SELECT question.content, reply.id::text, reply.status, reply.content, "
            "reply.grounding, jsonb_array_length(reply.sources) "
            "FROM chat_message question "
            "LEFT JOIN chat_message reply ON reply.reply_to_id = question.id "
            "WHERE question.role = 'user'"
        ).fetchall()


@pytest.mark.parametrize("has_book", [False, True])
def test_1000_turns_under_random_faults_lose_nothing(serve, cluster, model, tmp_path, has_book):
    settings = {"EMBEDDING_MODEL": "word-vectors"} if has_book else {}
    if has_book:
        index_book(tmp_path, cluster, model, BOOK)
        model.embeds(embeddings_of(random.Random(SEED + 2)))
    server = serve(DATABASE_URL=cluster.url(), LLM_TIMEOUT_SECONDS="15", **settings)
    model.decides(model_of(random.Random(SEED + 1)))
    delivered: dict[int, Delivered] = {}
    seen: Counter[str] = Counter()

    async def everything() -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        numbers = iter(range(TURNS))
        async with httpx2.AsyncClient(
            base_url=server.base_url, timeout=PATIENCE_SECONDS, limits=limits
        ) as client:

            async def reader(seed: int) -> None:
                asking = Reader(client, random.Random(seed), delivered, seen)
                for number in numbers:
                    await asking.ask(number)

            faults = Faults(server, cluster, random.Random(SEED), seen)
            striking = asyncio.create_task(faults.strike_on())
            await asyncio.gather(*(reader(SEED * 1000 + n) for n in range(READERS)))
            striking.cancel()
            for _ in range(60):  # replies of killed workers are given up after a while
                await asyncio.sleep(0.5)
                with suppress(psycopg.Error):
                    if all(status != "pending" for _, _, status, *_ in stored(cluster)):
                        break

    asyncio.run(everything())
    rows = stored(cluster)
    told = [f"seed {SEED}", dict(sorted(seen.items())), Counter(row[2:5:2] for row in rows)]
    print("", *told, sep="\n")  # noqa: T201 - for whoever watches

    asked = Counter(question for question, *_ in rows)
    assert asked == Counter(f"question {number}" for number in range(TURNS))
    assert {status for _, _, status, *_ in rows} <= {"complete", "stopped", "failed"}
    replies = {question: row for question, *row in rows}
    for number, answer in delivered.items():
        reply_id, status, content, grounding, sources = replies[f"question {number}"]
        assert (reply_id, content) == (answer.reply_id, answer.text)
        assert status in (("stopped",) if answer.stopped else ("complete", "stopped"))
        if grounding != "excerpts":
            words = re.sub(r"\[\d+\]", " ", content).split()
            assert all(word.startswith(f"{number}/") for word in words)
            cited = {int(each) for each in re.findall(r"\[(\d+)\]", content)}
            assert cited == set(range(1, sources + 1))
    assert len(delivered) > 0.8 * TURNS
    assert sum(count for kind, count in seen.items() if kind.startswith("FAULT")) > 5
