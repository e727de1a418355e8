"""A question over HTTP, answered as JSON or as a stream: what the doors share."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase, StreamingHttpResponse

from chat.api import ui_stream
from chat.api.access_note import note_session
from chat.api.client import client_of_request
from chat.api.grounds import grounds
from chat.api.languages import language_of_request
from chat.api.responses import json_response
from chat.api.schemas import ChatRequest
from chat.api.session_ids import SessionId
from chat.errors import (
    AnswerInProgress,
    AnswerStopped,
    BudgetExhausted,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InvalidJson,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
    UnsupportedMediaType,
)
from chat.turn import service
from chat.turn.following import FollowedTurn
from chat.turn.turn import Answer, Question
from llm.errors import (
    ContextTooLong,
    ModelMisconfigured,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)

BODY_ERRORS = (InvalidJson, PayloadTooLarge, UnsupportedMediaType)
TURN_ERRORS = (
    *(InvalidRequest, AnswerInProgress, AnswerStopped, IdempotencyKeyReused, RateLimited),
    *(BudgetExhausted, ContextTooLong, ModelUnavailable, ModelMisconfigured, ModelRateLimited),
    *(ModelTimeout, DatabaseUnavailable),
)


def question_of(
    request: HttpRequest,
    text: str,
    session: SessionId | None,
    *,
    selected_text: str | None = None,
    page_url: str | None = None,
    **options: Any,
) -> Question:
    """A reader's question; `options` are further fields of `Question`."""
    return Question(
        text,
        session.uuid if session else None,
        selected_text,
        page_url,
        client_of_request(request),
        language=language_of_request(request),
        **options,
    )


def as_sent(session: SessionId | None, session_id: UUID) -> str:
    """The session's id as its client knows it: as it was sent, or a new UUID."""
    return session.sent if session else str(session_id)


async def answer(request: HttpRequest, question: Question) -> Answer:
    """Raises what `service.answer` raises."""
    if question.session_id:
        note_session(request, question.session_id)
    found = await service.answer(question)
    note_session(request, found.session_id)
    return found


async def begin(request: HttpRequest, question: Question) -> FollowedTurn:
    """The turn, when there is something to stream. Raises its error where it failed before."""
    deadline = asyncio.get_running_loop().time() + ui_stream.FIRST_TOKEN_SECONDS
    if question.session_id:
        note_session(request, question.session_id)
    turn = await service.begin(question, streaming=True)
    note_session(request, turn.session_id)
    return FollowedTurn(await ui_stream.ready_to_stream(turn, deadline))


async def respond(
    request: HttpRequest,
    payload: ChatRequest,
    key: str,
    *,
    door: str = "",
    other_names: Mapping[str, str] = MappingProxyType({}),
) -> HttpResponseBase:
    """As JSON or as a stream, whichever is asked for.

    `other_names` are further fields of the JSON, each with the one whose value it has.
    """
    question = question_of(
        request,
        payload.message,
        payload.session_id,
        selected_text=payload.selected_text,
        page_url=payload.page_url,
        idempotency_key=key,
        door=door,
        replaces=payload.replaces,
    )
    if payload.stream or ui_stream.is_wanted(request.headers.get("Accept", "")):
        return await as_stream(request, question, payload.session_id)
    found = await as_json(request, question, payload.session_id)
    return json_response(found | {name: found[of] for name, of in other_names.items()})


async def as_json(
    request: HttpRequest, question: Question, session: SessionId | None
) -> dict[str, Any]:
    """The fields of `ChatResponse`."""
    found = await answer(request, question)
    return {
        "response": found.text,
        "session_id": as_sent(session, found.session_id),
        "timestamp": found.at,
        "message_id": found.message_id,
        **grounds(found.evidence),
    }


async def as_stream(
    request: HttpRequest, question: Question, session: SessionId | None
) -> StreamingHttpResponse:
    followed = await begin(request, question)
    return ui_stream.stream_response(followed, as_sent(session, followed.session_id))
