"""The kinds of bodies that one path takes."""

from typing import Annotated

from pydantic import Discriminator, Tag

from chat.api.ai_sdk import AiSdkRequest, is_ai_sdk
from chat.api.schemas import ChatRequest

OWN, AI_SDK = "own", "ai-sdk"
KINDS = (OWN, AI_SDK)


def _kind(body: object) -> str:
    return AI_SDK if is_ai_sdk(body) else OWN


BY_KIND = Discriminator(_kind)
ChatBody = Annotated[
    Annotated[ChatRequest, Tag(OWN)] | Annotated[AiSdkRequest, Tag(AI_SDK)], BY_KIND
]
