"""The shapes and limits of requests and answers."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from ninja import Field, Schema
from pydantic import (
    AfterValidator,
    BeforeValidator,
    HttpUrl,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

# What ninja does not serialise is serialised the same way, times above all.
encode = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def must_be_storable(value: object) -> object:
    """Refuse what PostgreSQL cannot store as text: NUL and lone surrogates."""
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise ValueError("contains a character that is not allowed")
    return value


def none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


WEB_ADDRESS = TypeAdapter(HttpUrl)


def web_address(value: str) -> str:
    """Checked as an address, kept as it was sent."""
    if not value.isprintable():
        raise ValueError("must be a web address that starts with http:// or https://")
    try:
        WEB_ADDRESS.validate_python(value)
    except ValidationError as error:
        raise ValueError("must be a web address that starts with http:// or https://") from error
    return value


# As much of these rules as a pattern in the OpenAPI document can express.
NO_NUL = {"pattern": "^[^\\x00]*$"}
Text = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=settings.CHAT_MESSAGE_MAX_CHARS
    ),
    BeforeValidator(must_be_storable),
    Field(json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}),
]
Passage = Annotated[
    Annotated[
        str,
        StringConstraints(max_length=settings.CHAT_SELECTED_TEXT_MAX_CHARS),
        Field(json_schema_extra=NO_NUL),
    ]
    | None,
    BeforeValidator(must_be_storable),
    BeforeValidator(none_if_blank),
]
PageUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048),
    AfterValidator(web_address),
    BeforeValidator(must_be_storable),
    Field(json_schema_extra={"pattern": "^https?://"}),
]
Comment = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=settings.CHAT_MESSAGE_MAX_CHARS),
    BeforeValidator(must_be_storable),
    Field(json_schema_extra=NO_NUL),
]
IdempotencyKey = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern="^[!-~]+$")  # visible ASCII
]


class ChatRequest(Schema):
    message: Text = Field(description="The reader's question.")
    session_id: UUID | None = Field(
        None, description="The conversation to continue; null starts a new one."
    )
    selected_text: Passage = Field(
        None, description="A passage of the book: the answer then rests on it alone."
    )
    stream: StrictBool = Field(False, description="Answer as a stream of events.")
    page_url: PageUrl | None = Field(None, description="The page the reader is on.")


class ChatResponse(Schema):
    response: str
    session_id: UUID
    timestamp: datetime = Field(description="When the reply was finished.")
    message_id: UUID = Field(description="The reply's id.")


class FeedbackRequest(Schema):
    rating: Literal["up", "down"] | None = Field(description="null takes it back.")
    comment: Comment | None = None


class FeedbackOut(Schema):
    rating: Literal["up", "down"] | None
    comment: str


class CorrectionOut(Schema):
    text: str
    at: datetime


class MessageOut(Schema):
    id: UUID
    role: Literal["user", "assistant", "system"]
    content: str
    status: Literal["pending", "complete", "stopped", "failed"]
    error_code: str | None
    created_at: datetime
    selected_text: str | None
    page_url: str | None
    reply_to: UUID | None
    feedback: FeedbackOut | None
    correction: CorrectionOut | None


class HistoryResponse(Schema):
    session_id: UUID
    created_at: datetime
    updated_at: datetime
    messages: list[MessageOut] = Field(description="Oldest first.")
    has_more: bool = Field(description="Whether older messages exist before this page.")


class HealthResponse(Schema):
    status: Literal["healthy"] = "healthy"


class ReadyResponse(Schema):
    status: Literal["ready", "unready"]
    checks: dict[str, str]


class InvalidField(Schema):
    loc: list[str | int]
    msg: str
    type: str


class ProblemResponse(Schema):
    """Problem details (RFC 9457); `detail` is always one human sentence."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    request_id: str
    errors: list[InvalidField] | None = None
