"""The peer that turns are measured against: FastAPI and asyncpg, as fast as we can write it.

It does less than this project: it stores a question and its answer, and that is all. No stop, no
idempotency, no limits, no problem documents; an answer whose reader leaves is lost, and so is one
whose worker is killed. What it does, it does in the same way: one statement before the model, one
after it, no connection in between; the last ten messages; the same words in the prompt.

    uvicorn benchmarks.peer:app --loop uvloop --http httptools --no-access-log
"""

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, DefaultAioHttpClient
from pydantic import BaseModel, Field

TABLES = """
CREATE TABLE IF NOT EXISTS peer_session (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS peer_message (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    session_id uuid NOT NULL REFERENCES peer_session ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('user', 'assistant')),
    content text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS peer_message_of_session ON peer_message (session_id, id);
"""
# The question is not among the ten: a statement does not see the rows that it inserts.
OPEN = """
WITH session AS (INSERT INTO peer_session (id) VALUES ($1) ON CONFLICT DO NOTHING),
question AS (INSERT INTO peer_message (session_id, role, content) VALUES ($1, 'user', $2))
SELECT role, content FROM (
    SELECT id, role, content FROM peer_message WHERE session_id = $1 ORDER BY id DESC LIMIT 10
) AS said ORDER BY id
"""
BEGIN = """
WITH session AS (INSERT INTO peer_session (id) VALUES ($1))
INSERT INTO peer_message (session_id, role, content) VALUES ($1, 'user', $2)
"""
CLOSE = "INSERT INTO peer_message (session_id, role, content) VALUES ($1, 'assistant', $2)"

MODEL = os.environ.get("OPENAI_MODEL", "")
CONNECTIONS = 16

type Prompt = list[Any]  # the SDK tells each role by a type of its own


# Prompts ------------------------------------------------------------------------------------
def words(name: str) -> str:
    folder = Path(__file__).resolve().parents[1] / "templates" / "chat" / "prompts"
    return re.sub(r"{% *(end)?autoescape.*?%}", "", (folder / f"{name}.txt").read_text()).strip()


BOOK = "Physical AI & Humanoid Robotics"
CONVERSATION = words("conversation").replace("{{ book_title }}", BOOK)
PASSAGE = words("passage").replace("{{ book_title }}", BOOK)
PASSAGE_QUESTION = words("passage_question")


def prompt_for(question: "Question", said: list[asyncpg.Record]) -> Prompt:
    if question.selected_text:
        asked = (
            PASSAGE_QUESTION.replace("{{ fence }}", "quoted")
            .replace("{{ passage }}", question.selected_text)
            .replace("{{ question }}", question.message)
        )
        return [{"role": "system", "content": PASSAGE}, {"role": "user", "content": asked}]
    return [
        {"role": "system", "content": CONVERSATION},
        *({"role": role, "content": content} for role, content in said),
        {"role": "user", "content": question.message},
    ]


# The application ----------------------------------------------------------------------------
class Question(BaseModel):
    message: str = Field(min_length=1, max_length=4000)
    session_id: UUID | None = None
    selected_text: str | None = Field(default=None, max_length=20_000)
    stream: bool = False


class State:
    pool: asyncpg.Pool
    model: AsyncOpenAI


async def keep(connection: asyncpg.Connection) -> None:
    """In place of asyncpg's own RESET, a round trip more: our statements leave nothing behind."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    pool = asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=CONNECTIONS, max_size=CONNECTIONS, reset=keep
    )
    model = AsyncOpenAI(http_client=DefaultAioHttpClient())
    async with pool as State.pool, model as State.model:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000"],
    allow_methods=["*"],
    allow_headers=["*"],
)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.post("/chat")
async def chat(question: Question) -> Response:
    session = question.session_id or uuid4()
    said = []
    if question.session_id:
        said = await State.pool.fetch(OPEN, session, question.message)
    else:
        await State.pool.execute(BEGIN, session, question.message)
    prompt = prompt_for(question, said)
    if question.stream:
        return StreamingResponse(events(session, prompt), media_type="text/event-stream")
    completion = await State.model.chat.completions.create(model=MODEL, messages=prompt)
    text = completion.choices[0].message.content or ""
    await State.pool.execute(CLOSE, session, text)
    answer = {"response": text, "session_id": str(session), "timestamp": now()}
    return Response(json.dumps(answer), media_type="application/json")


async def events(session: UUID, prompt: Prompt) -> AsyncIterator[bytes]:
    stream = await State.model.chat.completions.create(model=MODEL, messages=prompt, stream=True)
    pieces = []
    yield event(type="start", session_id=str(session))
    async for chunk in stream:
        if chunk.choices and (piece := chunk.choices[0].delta.content):
            pieces.append(piece)
            yield event(type="text-delta", delta=piece)
    await State.pool.execute(CLOSE, session, "".join(pieces))
    yield event(type="finish", timestamp=now())


def event(**content: str) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def now() -> str:
    return datetime.now(UTC).isoformat()
