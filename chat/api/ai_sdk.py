"""The body that the AI SDK's own transport sends (useChat, assistant-ui).

Answered as a stream. `regenerate`, and a message that was edited, replace the question that the
session has in that place. Errors are plain sentences (`chat.api.refusals`), since those clients
show the text of a refusal as it is.
"""

from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Field

from chat import sessions
from chat.api.asking import as_stream, question_of
from chat.api.client import client_of_request
from chat.api.last_question import Messages, uuid_or_none
from chat.api.schemas import PageUrl, Passage, Request
from chat.api.session_ids import AnySessionId

DOOR = "ai-sdk"
REGENERATE = "regenerate-message"


def is_ai_sdk(body: object) -> bool:
    """Whether a request's body, as JSON, is meant as an `AiSdkRequest`."""
    return isinstance(body, dict) and "messages" in body and "message" not in body


class AiSdkRequest(Request):
    """As `DefaultChatTransport` sends it. Answered as a stream."""

    id: AnySessionId | None = Field(None, description="The conversation's.")
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


async def answer(request: HttpRequest, payload: AiSdkRequest, key: str) -> HttpResponseBase:
    question = question_of(
        request,
        payload.messages.text,
        payload.id,
        selected_text=payload.selected_text,
        page_url=payload.page_url,
        idempotency_key=key,
        door=DOOR,
        replaces=await _replaced(request, payload),
    )
    return await as_stream(request, question, payload.id)


async def _replaced(request: HttpRequest, payload: AiSdkRequest) -> UUID | None:
    """Replies have our ids, but users' messages usually have their client's: such a question is
    the one after the reply before it. None where it was never stored, such as after a refusal.
    """
    if payload.id is None or not payload.replaces:
        return None
    return await sessions.question_at(
        payload.id.uuid,
        uuid_or_none(payload.message_id),
        payload.messages.after,
        client_of_request(request),
    )
