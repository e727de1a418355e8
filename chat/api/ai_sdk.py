"""The body that the AI SDK's own transport sends (useChat, assistant-ui).

Answered as a stream. `regenerate`, and a message that was edited, replace the question that the
session has in that place. Errors are plain sentences (`chat.api.refusals`), since those clients
show the text of a refusal as it is.
"""

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Field
from pydantic import BeforeValidator

from chat import sessions
from chat.api.asking import as_stream, question_of
from chat.api.client import client_of_request
from chat.api.last_question import Messages, uuid_or_none
from chat.api.schemas import PageUrl, Passage, Request
from chat.api.session_ids import NOBODYS_OWN, AnySessionId, SessionId, session_named

DOOR = "ai-sdk"
SHORTEST_MESSAGE_ID = 16  # as the SDK makes them
REGENERATE = "regenerate-message"


def is_ai_sdk(body: object) -> bool:
    """Whether a request's body, as JSON, is meant as an `AiSdkRequest`."""
    return isinstance(body, dict) and "messages" in body and "message" not in body


def none_if_nobodys(value: object) -> object:
    return None if isinstance(value, str) and value in NOBODYS_OWN else value


class AiSdkRequest(Request):
    """As `DefaultChatTransport` sends it. Answered as a stream."""

    id: Annotated[AnySessionId | None, BeforeValidator(none_if_nobodys)] = Field(
        None, description="The conversation's."
    )
    messages: Messages = Field(
        description="The conversation. The text of the user's last message is the question; what "
        "is said of earlier ones is ignored."
    )
    trigger: str | None = Field(
        None, description=f"`{REGENERATE}`: another answer, in the place of the earlier one."
    )
    message_id: str | None = Field(None, alias="messageId", description="What is replaced.")
    selected_text: Passage = Field(
        None, description="A passage of the book: the answer then rests on it alone."
    )
    page_url: PageUrl | None = Field(None, description="The page the reader is on.")

    @property
    def replaces(self) -> bool:
        """Another answer is wanted, or the question was edited."""
        return self.trigger == REGENERATE or self.message_id is not None

    @property
    def session(self) -> SessionId | None:
        """Without an id of its own, a conversation is known by its first message's, if that is
        long enough not to be guessed.
        """
        first = self.messages.first_id or ""
        if self.id or len(first) < SHORTEST_MESSAGE_ID:
            return self.id
        return session_named("messages", first)


async def answer(request: HttpRequest, payload: AiSdkRequest, key: str) -> HttpResponseBase:
    session = payload.session
    question = question_of(
        request,
        payload.messages.text,
        session,
        selected_text=payload.selected_text,
        page_url=payload.page_url,
        idempotency_key=key,
        door=DOOR,
        replaces=await _replaced(request, payload, session),
    )
    return await as_stream(request, question, session)


async def _replaced(
    request: HttpRequest, payload: AiSdkRequest, session: SessionId | None
) -> UUID | None:
    """Replies have our ids, but users' messages usually have their client's: such a question is
    the one after the reply before it. None where it was never stored, such as after a refusal.
    """
    if session is None or not payload.replaces:
        return None
    return await sessions.question_at(
        session.uuid,
        uuid_or_none(payload.message_id),
        payload.messages.after,
        client_of_request(request),
    )
