"""A turn as server-sent events: the AI SDK's UI message stream, version 1, as data-only events.

    start · text-start · text-delta … · text-end · finish · [DONE]

A `source-url` comes before the text that first cites its source. Where the reader stopped the
answer there is `abort` in place of `finish`, and `data-error`, `error` where it failed.
https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol
"""

import asyncio
import re
from collections.abc import AsyncIterator

from django.http import StreamingHttpResponse
from loguru import logger

from chat.api.grounds import grounds
from chat.api.media_types import EVENT_STREAM, names
from chat.api.problems import PROBLEMS, detail
from chat.api.schemas import encode
from chat.citations.evidence import Source
from chat.errors import InternalError
from chat.turn.turn import Answer, Turn
from llm.errors import CodedError

# An error of the model within this time is sent as JSON; after it the stream begins anyway.
FIRST_TOKEN_SECONDS = 10
KEEPALIVE_SECONDS = 10
KEEPALIVE = b": keepalive\n\n"
DONE = b"data: [DONE]\n\n"
TEXT_ID = "text"
# Some clients take these for the end of a line. (JSON escapes the others.)
LINE_END = re.compile("[\x85\u2028\u2029]")
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",  # so that no proxy compresses, and thus buffers, the stream
    "x-vercel-ai-ui-message-stream": "v1",
}


def is_wanted(accept: str) -> bool:
    """Whether a header Accept asks for event streams."""
    return names(accept, EVENT_STREAM)


async def ready_to_stream(turn: Turn, deadline: float) -> Turn:
    """The turn, as soon as there is something to stream, or at `deadline` (of the loop's clock).

    Raises the error of a turn that failed without text.
    """
    await turn.wait_for_change(deadline - asyncio.get_running_loop().time())
    if isinstance(turn.outcome, CodedError) and not turn.text:
        raise turn.outcome
    return turn


def stream_response(turn: Turn) -> StreamingHttpResponse:
    return StreamingHttpResponse(frames(turn), content_type=EVENT_STREAM, headers=HEADERS)


async def frames(turn: Turn) -> AsyncIterator[bytes]:
    """The turn from its start to its end, each part as soon as there is one."""
    session = {"session_id": str(turn.session_id)}
    yield _frame("start", messageId=str(turn.reply_id), messageMetadata=session)
    try:
        async for frame in _text(turn):
            yield frame
        for frame in _end(turn.outcome, session):
            yield frame
    except Exception as error:  # noqa: BLE001 - Django does not clean up after what escapes
        logger.opt(exception=error).error("A stream broke")
        for frame in _end(InternalError(str(error)), session):
            yield frame


async def _text(turn: Turn) -> AsyncIterator[bytes]:
    has_text = False
    announced = 0
    while True:
        if delta := turn.unread_text():
            for source in turn.sources[announced:]:
                yield _source(source)
            announced = len(turn.sources)
            if not has_text:
                yield _frame("text-start", id=TEXT_ID)
            has_text = True
            yield _frame("text-delta", id=TEXT_ID, delta=delta)
        elif turn.outcome is not None:
            break
        elif not await turn.wait_for_change(KEEPALIVE_SECONDS):
            yield KEEPALIVE
    if has_text and isinstance(turn.outcome, Answer):
        yield _frame("text-end", id=TEXT_ID)


def _end(outcome: Answer | CodedError | None, session: dict[str, str]) -> list[bytes]:
    if not isinstance(outcome, Answer):
        return _error_frames(outcome or InternalError())
    if outcome.stopped:
        return [_frame("abort", reason="The reader stopped the answer."), DONE]
    metadata = {
        "timestamp": outcome.at,
        **session,
        "usage": _usage(outcome),
        **grounds(outcome.evidence),
    }
    finish = _frame("finish", finishReason=outcome.finish_reason, messageMetadata=metadata)
    return [finish, DONE]


def _source(source: Source) -> bytes:
    number, title = str(source["number"]), source["title"]
    return _frame("source-url", sourceId=number, url=source["url"], title=title)


def _error_frames(error: CodedError) -> list[bytes]:
    data = {"code": error.code, "retryable": PROBLEMS[error.code].retryable}
    return [_frame("data-error", data=data), _frame("error", errorText=detail(error)), DONE]


def _usage(answer: Answer) -> dict[str, int] | None:
    if answer.prompt_tokens is None or answer.completion_tokens is None:
        return None
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }


def _frame(kind: str, **content: object) -> bytes:
    data = encode({"type": kind, **content})
    if LINE_END.search(data):
        data = LINE_END.sub(lambda found: f"\\u{ord(found[0]):04x}", data)
    return b"data: " + data.encode() + b"\n\n"
