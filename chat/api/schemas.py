"""The shapes and limits of requests, answers and events."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from ninja import Field, Schema
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    HttpUrl,
    RootModel,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticKnownError

from chat.api.invisible import is_blank
from chat.api.session_ids import PATTERN, AnySessionId
from chat.errors import Interrupted
from llm.errors import CodedError, ModelError

# Every JSON answer and every event of a stream; text is written as UTF-8, not as \uXXXX.
encode = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
SURROGATE = re.compile("[\ud800-\udfff]")


# What readers send --------------------------------------------------------------------------
def may_be_stored(value: object) -> object:
    """Refuse what PostgreSQL cannot store as text: NUL and lone surrogates."""
    if isinstance(value, str) and ("\0" in value or SURROGATE.search(value)):
        raise ValueError("contains a character that is not allowed")
    return value


def not_blank(value: str) -> str:
    if is_blank(value):
        raise PydanticKnownError("string_too_short", {"min_length": 1})
    return value


def empty_if_blank(value: str) -> str:
    return "" if is_blank(value) else value


def none_if_blank(value: object) -> object:
    return None if isinstance(value, str) and is_blank(value) else value


WEB_ADDRESS = TypeAdapter(HttpUrl)


def web_address(value: str) -> str:
    """Checked as an address, kept as it was sent."""
    if not value.lower().startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    try:
        WEB_ADDRESS.validate_python(value)
    except ValidationError as error:
        raise ValueError("is not a valid web address") from error
    if not value.isprintable():
        raise ValueError("is not a valid web address")
    return value


# As much of these rules as a pattern in the OpenAPI document can express.
NO_NUL = {"pattern": "^[^\\x00]*$"}
Text = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=settings.CHAT_MESSAGE_MAX_CHARS
    ),
    AfterValidator(not_blank),
    BeforeValidator(may_be_stored),
    Field(json_schema_extra={"pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"}),
]
Passage = Annotated[
    Annotated[
        str,
        StringConstraints(max_length=settings.CHAT_SELECTED_TEXT_MAX_CHARS),
        Field(json_schema_extra=NO_NUL),
    ]
    | None,
    BeforeValidator(may_be_stored),
    BeforeValidator(none_if_blank),
]
PageUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048),
    AfterValidator(web_address),
    BeforeValidator(may_be_stored),
    Field(json_schema_extra={"pattern": "^https?://"}),
]
Comment = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=settings.CHAT_MESSAGE_MAX_CHARS),
    AfterValidator(empty_if_blank),
    BeforeValidator(may_be_stored),
    Field(json_schema_extra=NO_NUL),
]
AnsweredSessionId = Annotated[
    str,
    Field(pattern=f"^{PATTERN}$", description="The session's id, as it was sent; or a new UUID."),
]
IdempotencyKey = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern="^[!-~]+$")  # visible ASCII
]


def without_defaults(schema: dict[str, Any]) -> None:
    """In generated TypeScript a property that has a default would have to be sent."""
    for field in schema["properties"].values():
        field.pop("default", None)


class Request(Schema):
    model_config = ConfigDict(json_schema_extra=without_defaults)


class ChatRequest(Request):
    message: Text = Field(
        validation_alias=AliasChoices("message", "query", "question"),
        description="The reader's question.",
    )
    session_id: AnySessionId | None = Field(
        None,
        description="The conversation to continue, by its UUID or any id that the client has made; "
        "without one a new one begins.",
    )
    selected_text: Passage = Field(
        None, description="A passage of the book: the answer then rests on it alone."
    )
    stream: StrictBool = Field(False, description="Answer as a stream of events.")
    page_url: PageUrl | None = Field(None, description="The page the reader is on.")
    replaces: UUID | None = Field(
        None,
        description="A question of this session: this one takes the place of that one and of all "
        "after it. The same text again asks for another answer, another text edits the question.",
    )

    @field_validator("replaces")
    @classmethod
    def is_in_a_session(cls, value: UUID | None, info: ValidationInfo) -> UUID | None:
        if value and info.data.get("session_id", value) is None:
            raise ValueError("must come with the session_id of its conversation")
        return value


class FeedbackRequest(Request):
    rating: Literal["up", "down"] | None = Field(description="null withdraws it.")
    comment: Comment | None = None


# What readers get ---------------------------------------------------------------------------
class SourceOut(Schema):
    number: int = Field(description="As in the text: `[1]`.")
    title: str = Field(description="The page's.")
    chapter: str
    section: str = Field(description="The headings that lead to it.")
    url: str = Field(description="The page's, with the section's anchor and the quote's words.")
    text: str | None = Field(
        description="A verbatim quote of the section; null where none supports the answer enough."
    )
    score: float = Field(description="How well the quote supports what cites it, from 0 to 1.")


class NearestOut(Schema):
    title: str
    section: str
    url: str


class Grounds(Schema):
    """What an answer rests on."""

    sources: list[SourceOut] = Field(description="What the text cites, by number.")
    grounding: Literal["book", "passage", "silent", "uncited", "excerpts"] | None = Field(
        description="`book`: cites the book. `passage`: the selected text alone. `silent`: the "
        "book does not cover it. `uncited`: cites nothing. `excerpts`: no model could answer, and "
        "excerpts of the book are the answer. null: no book is indexed."
    )
    nearest: list[NearestOut] | None = Field(
        None, description="Only where the book is silent: the sections that come nearest."
    )


class ChatResponse(Grounds):
    response: str
    session_id: AnsweredSessionId
    timestamp: datetime = Field(description="When the reply was finished.")
    message_id: UUID = Field(description="The reply's id.")


class FeedbackOut(Schema):
    rating: Literal["up", "down"] | None
    comment: str


class CorrectionOut(Schema):
    text: str
    at: datetime


# Why a turn can fail, as its stored reply says.
FAILURES = sorted(
    {CodedError.code, Interrupted.code, *(error.code for error in ModelError.__subclasses__())}
)


class MessageOut(Grounds):
    id: UUID
    role: Literal["user", "assistant", "system"]
    content: str
    status: Literal["pending", "complete", "stopped", "failed"]
    error_code: Annotated[str, WithJsonSchema({"type": "string", "enum": FAILURES})] | None = Field(
        description="Why the reply failed."
    )
    created_at: datetime
    selected_text: str | None
    page_url: str | None
    reply_to: UUID | None = Field(description="The id of the question that this is the reply to.")
    feedback: FeedbackOut | None
    correction: CorrectionOut | None = Field(description="What staff put in the reply's place.")
    replaced: bool = Field(description="Another question has taken this one's place.")


class HistoryResponse(Schema):
    session_id: AnsweredSessionId
    created_at: datetime
    updated_at: datetime
    messages: list[MessageOut] = Field(description="Oldest first.")
    has_more: bool = Field(description="Whether there are older messages than these.")


class SectionEntry(Schema):
    id: int
    title: str
    url: str = Field(description="The page's, with the section's anchor.")
    level: int = Field(description="The heading's, 1 to 6.")


class PageEntry(Schema):
    title: str
    url: str
    sections: list[SectionEntry]


class BookResponse(Schema):
    title: str
    edition: int
    indexed_at: datetime
    pages: list[PageEntry] = Field(description="In the book's order.")


class FoundSection(Schema):
    section_id: int
    title: str = Field(description="The page's.")
    section: str = Field(description="The headings that lead to it.")
    url: str
    text: str = Field(description="The whole section, as Markdown.")
    score: float = Field(description="From 0 to 1; comparable within one search.")


class SearchResponse(Schema):
    edition: int
    results: list[FoundSection] = Field(description="Best first.")


class SectionResponse(Schema):
    id: int
    title: str = Field(description="The page's.")
    section: str = Field(description="The headings that lead to it.")
    url: str
    text: str = Field(description="Markdown.")
    edition: int = Field(description="The latest edition that has it.")
    is_current: bool


class HealthResponse(Schema):
    status: Literal["healthy"]


class ReadyResponse(Schema):
    status: Literal["ready", "unready"]
    checks: dict[str, str] = Field(
        description="`ok`, or what is wrong, by the part's name. A `book` that was `indexed "
        "without embeddings` is searched by its words alone; that keeps nothing from being ready."
    )


# The events of a stream ---------------------------------------------------------------------
# Only described here: `chat.api.ui_stream` writes them.
class Event(Schema):
    """Some clients refuse events that have further fields."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class StreamSession(Schema):
    session_id: AnsweredSessionId


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int


class StreamEnd(Grounds):
    timestamp: datetime = Field(description="When the reply was finished.")
    session_id: AnsweredSessionId
    usage: Usage | None


class StreamFailure(Schema):
    code: Annotated[str, WithJsonSchema({"type": "string", "enum": FAILURES})]
    retryable: bool = Field(description="Whether the same request may succeed later.")


class StartEvent(Event):
    type: Literal["start"]
    message_id: UUID = Field(description="The reply's id.")
    message_metadata: StreamSession


class TextStartEvent(Event):
    type: Literal["text-start"]
    id: str


class TextDeltaEvent(Event):
    type: Literal["text-delta"]
    id: str
    delta: str


class TextEndEvent(Event):
    type: Literal["text-end"]
    id: str


class SourceUrlEvent(Event):
    type: Literal["source-url"]
    source_id: str = Field(description="The source's number.")
    url: str
    title: str


class FinishEvent(Event):
    type: Literal["finish"]
    finish_reason: Literal["stop", "length", "content-filter", "other"]
    message_metadata: StreamEnd


class AbortEvent(Event):
    """The reader stopped the answer."""

    type: Literal["abort"]
    reason: str


class DataErrorEvent(Event):
    """For the AI SDK transient: its `onData` gets it, and it is no part of the message."""

    type: Literal["data-error"]
    data: StreamFailure
    transient: Literal[True]


class ErrorEvent(Event):
    type: Literal["error"]
    error_text: str = Field(description="One sentence that can be shown to readers.")


AnyEvent = (
    StartEvent
    | TextStartEvent
    | TextDeltaEvent
    | TextEndEvent
    | SourceUrlEvent
    | FinishEvent
    | AbortEvent
    | DataErrorEvent
    | ErrorEvent
)


class StreamEvent(RootModel[Annotated[AnyEvent, Field(discriminator="type")]]):
    """The data of every event of a stream but the last, as JSON."""
