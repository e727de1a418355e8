"""MCP's `ask`: a turn, answered at once or as a stream, with progress; and what stops it.

A client of the stateless revision stops an answer by closing its request; one of the earlier
revisions by a notification, which any worker may get: hence the idempotency key, which says what
session of the client's and which of its requests a question belongs to.
"""

import hashlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse
from loguru import logger

from chat.api import asking, mcp_tools
from chat.api.access_note import note_session
from chat.api.client import client_of_request
from chat.api.mcp_messages import (
    INTERNAL_ERROR,
    WITH_BATCHES,
    McpError,
    Message,
    Reply,
    Version,
    failure,
    result,
    success,
    usable_id,
)
from chat.api.media_types import EVENT_STREAM
from chat.api.schemas import encode
from chat.api.session_ids import SessionId
from chat.api.ui_stream import BASIC_HEADERS, KEEPALIVE, KEEPALIVE_SECONDS
from chat.errors import AnswerStopped, InternalError
from chat.models import Message as Row
from chat.turn import limits, service
from chat.turn.following import FollowedTurn
from chat.turn.turn import Turn
from llm.errors import CodedError

DOOR = "mcp"
PROGRESS_SECONDS = 0.3
SESSION = "Mcp-Session-Id"
USABLE_SESSION = re.compile("[!-~]{16,128}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way; `session` is as its client sent it, if it did."""

    turn: Turn
    session: SessionId | None
    version: Version

    def left(self) -> None:
        """In the stateless revision a closed request is a stop, and before it is not."""
        if self.version.is_stateless and self.turn.outcome is None:
            self.turn.stop()

    def result(self) -> Reply:
        outcome = self.turn.outcome or InternalError()
        if isinstance(outcome, CodedError):
            return result(self.version, mcp_tools.failed(outcome))
        if outcome.stopped and not outcome.text:
            return result(self.version, mcp_tools.failed(AnswerStopped()))
        session_id = asking.as_sent(self.session, outcome.session_id)
        return result(self.version, mcp_tools.answered(outcome, session_id))


async def ask(
    request: HttpRequest, arguments: mcp_tools.Ask, version: Version, sent_id: int | str | None
) -> Asked:
    """The model is being asked when this returns. Raises what `service.begin` raises."""
    question = asking.question_of(
        request,
        arguments.question,
        arguments.session_id,
        selected_text=arguments.selected_text,
        idempotency_key=_key(request, version, sent_id),
        door=DOOR,
    )
    turn = await service.begin(question, streaming=True, stop_if_cancelled=version.is_stateless)
    note_session(request, turn.session_id)
    return Asked(turn, arguments.session_id, version)


async def answered(asked: Asked) -> Reply:
    """Wait for the answer."""
    try:
        while asked.turn.outcome is None:
            await asked.turn.wait_for_change()
    finally:
        asked.left()
    return asked.result()


async def stream(asked: Asked, message: Message) -> StreamingHttpResponse:
    # Begun here: the `finally` of a generator that never began does not run, and the client may
    # be gone before the first byte is sent.
    frames = _frames(asked, message)
    await anext(frames)
    return StreamingHttpResponse(frames, content_type=EVENT_STREAM, headers=BASIC_HEADERS)


async def _frames(asked: Asked, message: Message) -> AsyncGenerator[bytes]:
    try:
        yield b""
        async for frame in _progress(asked.turn, message.progress_token):
            yield frame
        yield _frame(success(message, asked.result()))
    except Exception as error:  # noqa: BLE001 - Django does not clean up after what escapes
        logger.opt(exception=error).error("A stream broke")
        broken = McpError(INTERNAL_ERROR, mcp_tools.sentence(InternalError()))
        yield _frame(failure(broken, message.id))
    finally:
        asked.left()


async def _progress(turn: Turn, token: int | str | None) -> AsyncIterator[bytes]:
    """The text as it comes, in notifications; their `progress` counts its characters."""
    characters, sent_at, followed = 0, 0.0, FollowedTurn(turn)
    while turn.outcome is None:
        if not await followed.wait_for_change(KEEPALIVE_SECONDS):
            yield KEEPALIVE
            continue
        is_due = token is not None and time.monotonic() - sent_at >= PROGRESS_SECONDS
        if is_due and (delta := followed.unread_text()):
            characters, sent_at = characters + len(delta), time.monotonic()
            params = {"progressToken": token, "progress": characters, "message": delta}
            yield _frame({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def _frame(content: Reply) -> bytes:
    return b"event: message\ndata: " + encode(content).encode() + b"\n\n"


# Notifications ------------------------------------------------------------------------------
async def heed(request: HttpRequest, message: Message) -> None:
    """Of all notifications only a cancellation means anything here."""
    sent_id = usable_id(message.params.get("requestId"))
    if message.method != "notifications/cancelled" or sent_id is None:
        return
    if key := _key(request, Version(WITH_BATCHES), sent_id):
        try:
            await _cancel(client_of_request(request), key)
        except CodedError as error:
            logger.warning("A cancellation was not heeded: {}", error.code)


async def _cancel(client: str, key: str) -> None:
    def session_of_pending() -> Any:
        pending = Row.objects.pending().filter(reply_to__idempotency_key=key)
        return pending.values_list("session_id", flat=True).first()

    session_id = await limits.run_counted(client, "stop", session_of_pending)
    if session_id:
        await service.stop(session_id, None)


def _key(request: HttpRequest, version: Version, sent_id: int | str | None) -> str:
    """What a later notification finds the question by; empty where none can come."""
    session = request.headers.get(SESSION, "")
    if version.is_stateless or not USABLE_SESSION.fullmatch(session):
        return ""
    name = f"{session} {type(sent_id).__name__} {sent_id}"  # together longer than a key may be
    return f"mcp {hashlib.sha256(name.encode()).hexdigest()}"
