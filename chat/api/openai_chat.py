"""OpenAI's chat completions, for clients that speak them.

The last message of the user is the question; the model, and what was said before, are the server's.
Sources are links at the end of the text, and `sources` on the message.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase, StreamingHttpResponse
from loguru import logger
from ninja import Field, Router, Schema
from pydantic import BeforeValidator

from book.models import BETWEEN_HEADINGS
from chat.api import asking
from chat.api.client import client_of_request
from chat.api.grounds import grounds
from chat.api.last_question import Messages
from chat.api.media_types import EVENT_STREAM
from chat.api.openai_errors import error_body
from chat.api.openapi import answers
from chat.api.problems import detail, problem_of
from chat.api.responses import json_response
from chat.api.schemas import AnsweredSessionId, Grounds, PageUrl, Passage, Request
from chat.api.session_ids import SessionId, session_id, session_named
from chat.api.ui_stream import BASIC_HEADERS, DONE, KEEPALIVE, deltas, event
from chat.citations.evidence import Source
from chat.errors import InternalError
from chat.turn.following import Followed
from chat.turn.turn import Answer
from llm.errors import CodedError

DOOR = "openai"
# deep-chat drops the events that arrive together with a stream's end, which are the sources.
PAUSE_SECONDS = 0.05
MODEL = "book"
FINISH_REASONS = {"length": "length", "content-filter": "content_filter"}
SPECIAL = re.compile(r"[\\\[\]]")

EVENT = {
    "type": "object",
    "description": "A server-sent event whose data is a `chat.completion.chunk`, or `[DONE]`.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}},
}

router = Router(tags=["OpenAI"])


# Shapes -------------------------------------------------------------------------------------
def _text_or_none(value: object) -> object:
    return value if isinstance(value, str) and value.strip() else None


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) else None


class CompletionRequest(Request):
    """Further parameters of OpenAI's are ignored."""

    messages: Messages = Field(
        description="The text of the user's last message is the question; what is said of earlier "
        "ones is ignored."
    )
    stream: bool | None = None
    stream_options: Annotated[dict[str, Any] | None, BeforeValidator(_object_or_none)] = Field(
        None, description="`include_usage`: a last chunk has the `usage`."
    )
    user: Annotated[str | None, BeforeValidator(_text_or_none)] = Field(
        None,
        description="The conversation to continue; without one a new one begins. An id that "
        "`POST /chat` would not take counts for the client's address alone.",
    )
    selected_text: Passage = Field(None, description="As in `POST /chat`.")
    page_url: PageUrl | None = Field(None, description="As in `POST /chat`.")


class CompletionMessage(Grounds):
    role: Literal["assistant"]
    content: str = Field(description="With the sources as links at its end.")
    refusal: None


class CompletionChoice(Schema):
    index: Literal[0]
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop", "length", "content_filter"]


class CompletionUsage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionResponse(Schema):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None
    session_id: AnsweredSessionId


class ModelOut(Schema):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsResponse(Schema):
    object: Literal["list"]
    data: list[ModelOut]


# Endpoints ----------------------------------------------------------------------------------
@router.post(
    "/v1/chat/completions",
    **answers(
        {200: CompletionResponse},
        *asking.BODY_ERRORS,
        *asking.TURN_ERRORS,
        openai=True,
        event=EVENT,
    ),
    summary="Ask a question, as OpenAI's chat completions",
    description="No key is asked for. With `stream` answered in chunks, which end with `[DONE]`.",
)
async def create_completion(request: HttpRequest, payload: CompletionRequest) -> HttpResponseBase:
    session = session_of(payload.user, client_of_request(request))
    question = asking.question_of(
        request,
        payload.messages.text,
        session,
        selected_text=payload.selected_text,
        page_url=payload.page_url,
        door=DOOR,
    )
    if payload.stream:
        followed = await asking.begin(request, question)
        include_usage = bool((payload.stream_options or {}).get("include_usage"))
        name = asking.as_sent(session, followed.session_id)
        content = chunks(followed, name, include_usage=include_usage)
        return StreamingHttpResponse(content, content_type=EVENT_STREAM, headers=BASIC_HEADERS)
    found = await asking.answer(request, question)
    return json_response(_completion(found, asking.as_sent(session, found.session_id)))


@router.get(
    "/v1/models",
    **answers({200: ModelsResponse}, openai=True),
    summary="The models: one",
    description="Whatever model a request names, this one answers.",
)
async def list_models(request: HttpRequest) -> HttpResponseBase:
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "book"}
    return json_response({"object": "list", "data": [model]})


def session_of(user: str | None, client: str) -> SessionId | None:
    """The session that a `user` continues.

    What is too short to be a session's id would be guessed: it counts together with the client.
    """
    if user is None:
        return None
    try:
        return session_id(user)
    except ValueError:
        return session_named(client, user)


# Answers ------------------------------------------------------------------------------------
def _completion(answer: Answer, session: str) -> dict[str, Any]:
    message = {
        "role": "assistant",
        "content": answer.text + links(answer.evidence.sources),
        "refusal": None,
        **grounds(answer.evidence),
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(answer),
    }
    return {
        **_head("chat.completion", answer.message_id, int(answer.at.timestamp())),
        "choices": [choice],
        "usage": _usage(answer),
        "session_id": session,
    }


def _head(kind: str, reply_id: UUID, created: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{reply_id}", "object": kind, "created": created, "model": MODEL}


def _finish_reason(answer: Answer) -> str:
    return FINISH_REASONS.get(answer.finish_reason, "stop")


def _usage(answer: Answer) -> dict[str, int] | None:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    if prompt is None or completion is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def links(sources: Iterable[Source]) -> str:
    """What comes after a text that cites these: a numbered list in Markdown."""
    lines = [f"{source['number']}. {_link(source)}" for source in sources]
    return "\n\n" + "\n".join(lines) if lines else ""


def _link(source: Source) -> str:
    label = BETWEEN_HEADINGS.join(dict.fromkeys((source["title"], source["section"])))
    url = source["url"].replace("(", "%28").replace(")", "%29")
    return f"[{SPECIAL.sub(r"\\\g<0>", label)}]({url})"


async def chunks(followed: Followed, session: str, *, include_usage: bool) -> AsyncIterator[bytes]:
    """The answer from its start to its end, each part as soon as there is one."""
    created = followed.reply_id.int >> 80  # ms, as its time-ordered id begins with
    head = _head("chat.completion.chunk", followed.reply_id, created // 1000)
    try:
        yield _chunk(head, {"role": "assistant", "content": ""}, session_id=session)
        async for delta in deltas(followed):
            yield KEEPALIVE if delta is None else _chunk(head, {"content": delta})
        end = _end(followed.outcome, head, include_usage)
    except Exception as error:  # noqa: BLE001 - Django does not clean up after what escapes
        logger.opt(exception=error).error("A stream broke")
        end = _end(InternalError(str(error)), head, include_usage)
    yield end
    await asyncio.sleep(PAUSE_SECONDS)
    yield DONE


def _chunk(head: dict[str, Any], delta: dict[str, Any], reason: str = "", **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason or None}
    return event({**head, "choices": [choice], **more})


def _end(outcome: Answer | CodedError | None, head: dict[str, Any], include_usage: bool) -> bytes:
    """All that comes before the last event."""
    if not isinstance(outcome, Answer):
        error = outcome or InternalError()
        return event(error_body(problem_of(error).status, detail(error), error.code, None))
    found = b""
    if text := links(outcome.evidence.sources):
        found = _chunk(head, {"content": text})
    found += _chunk(head, grounds(outcome.evidence), _finish_reason(outcome))
    if include_usage:
        found += event({**head, "choices": [], "usage": _usage(outcome)})
    return found
