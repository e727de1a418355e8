"""The paths and names of other chat backends, so that a front end made for one of them changes its
base URL and nothing else.
"""

from typing import Annotated

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Body, Field, Header, Router
from pydantic import AliasChoices, BeforeValidator, Tag

from chat.api import ai_sdk, asking
from chat.api.ai_sdk import AiSdkRequest
from chat.api.bodies import AI_SDK, BY_KIND, OWN
from chat.api.openapi import answers
from chat.api.schemas import (
    ChatRequest,
    ChatResponse,
    IdempotencyKey,
    Passage,
    SourceOut,
    Text,
    none_if_blank,
)
from chat.api.session_ids import AnySessionId

DOOR = "front-end"
PATHS = ("/api/chat", "/api/v1/chat", "/ask", "/query", "/api/query")
QUESTION = ("message", "query", "question", "query_text", "question_text")
SELECTED_TEXT = ("selected_text", "selectedText", "context")
SESSION_ID = ("session_id", "sessionId", "conversation_id")
# In an answer, and what each says again.
OTHER_NAMES = {"answer": "response", "citations": "sources"}


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names[1:])


class FrontEndRequest(ChatRequest):
    message: Text = Field(
        validation_alias=AliasChoices(*QUESTION),
        description=f"The reader's question. May also be called {_or(QUESTION)}.",
    )
    session_id: Annotated[AnySessionId | None, BeforeValidator(none_if_blank)] = Field(
        None,
        validation_alias=AliasChoices(*SESSION_ID),
        description=f"The conversation to continue. May also be called {_or(SESSION_ID)}.",
    )
    selected_text: Passage = Field(
        None,
        validation_alias=AliasChoices(*SELECTED_TEXT),
        description=f"A passage of the book. May also be called {_or(SELECTED_TEXT)}.",
    )


class FrontEndResponse(ChatResponse):
    answer: str = Field(description="The `response`.")
    citations: list[SourceOut] = Field(description="The `sources`.")


FrontEndBody = Annotated[
    Annotated[FrontEndRequest, Tag(OWN)] | Annotated[AiSdkRequest, Tag(AI_SDK)], BY_KIND
]

router = Router(tags=["front ends"])


async def ask_elsewhere(
    request: HttpRequest,
    payload: Annotated[FrontEndBody, Body()],
    idempotency_key: Annotated[IdempotencyKey | None, Header(alias="Idempotency-Key")] = None,
) -> HttpResponseBase:
    key = idempotency_key or ""
    if isinstance(payload, AiSdkRequest):
        return await ai_sdk.answer(request, payload, key)
    return await asking.respond(request, payload, key, door=DOOR, other_names=OTHER_NAMES)


for _path in PATHS:
    router.post(
        _path,
        **answers(
            {200: FrontEndResponse},
            *asking.BODY_ERRORS,
            *asking.TURN_ERRORS,
            streams=True,
            sentences=True,
        ),
        operation_id=f"ask_at{_path.replace('/', '_')}",
        summary="Ask a question",
        description="As `POST /chat`, with the names that other chat backends have.",
    )(ask_elsewhere)
