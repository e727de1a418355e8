"""Conversations as clients send them, whole: what is new in them is the user's last message.

What they say of earlier messages is ignored: the server has its own history.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from chat.api.schemas import Text


class LastQuestion(BaseModel):
    text: Text
    after: UUID | None = None  # the reply before it, if that is one of ours
    first_id: str | None = None  # the id of the conversation's first message


def _last_question(messages: object) -> dict[str, object]:
    """Raises ValueError where no message is the user's."""
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise ValueError("must be in a list of messages")
    after = None
    last: Mapping[str, Any] | None = None
    for message in messages:
        if message.get("role") == "user":
            last = message | {"after": after}
        elif message.get("role") == "assistant":
            after = uuid_or_none(message.get("id"))
    if last is None:
        raise ValueError("is missing")
    first_id = messages[0].get("id")
    first_id = first_id if isinstance(first_id, str) else None
    return {"text": _text(last), "after": last["after"], "first_id": first_id}


def _text(message: Mapping[str, Any]) -> str:
    """Its `content`, or the text of its parts; files and images are left out."""
    content = message.get("parts", message.get("content"))
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in _objects(content) if part.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))


def uuid_or_none(value: object) -> UUID | None:
    """Of an id that may be the client's own."""
    try:
        return UUID(value) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None


Messages = Annotated[
    LastQuestion,
    BeforeValidator(_last_question),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "object", "additionalProperties": True},
            "contains": {
                "type": "object",
                "required": ["role"],
                "properties": {"role": {"const": "user"}},
            },
        }
    ),
]
