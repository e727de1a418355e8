"""The pending answer once more, from its start on: for a page that was loaded anew meanwhile."""

import asyncio
from collections import Counter
from typing import cast
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router

from chat.api import ui_stream
from chat.api.access_note import note_session
from chat.api.client import client_of_request
from chat.api.openapi import answers
from chat.api.responses import no_content
from chat.api.session_ids import AnySessionId
from chat.errors import DatabaseUnavailable, InvalidRequest, RateLimited, Unavailable
from chat.turn.following import follow

FOLLOWERS_PER_SESSION = 4
FOLLOWERS_AT_ONCE = 100

_followers: Counter[UUID] = Counter()

router = Router(tags=["chat"])


async def resume_stream(request: HttpRequest, session_id: AnySessionId) -> HttpResponseBase:
    note_session(request, session_id.uuid)
    _take_place(session_id.uuid)
    followed = await follow(session_id.uuid, client_of_request(request))
    if followed is None:
        return no_content(204)
    return ui_stream.stream_response(followed, session_id.sent)


# The AI SDK asks at the address that it also sends its questions to.
for _path in ("", "/api"):
    router.get(
        f"{_path}/chat/{{session_id}}/stream",
        **answers({204: None}, InvalidRequest, RateLimited, DatabaseUnavailable, streams=True),
        operation_id="resume_stream" + _path.replace("/", "_at_"),
        summary="Follow the pending answer",
        description="From its start on, whichever worker writes it; also one that ended within "
        "the last five seconds. 204: there is none, or no such session.",
    )(resume_stream)


def _take_place(session_id: UUID) -> None:
    """Until the current task, the request's, has ended: then the stream has been sent, or its
    reader has gone. Raises RateLimited or Unavailable.
    """
    if _followers[session_id] >= FOLLOWERS_PER_SESSION:
        raise RateLimited(retry_after=1)
    if _followers.total() >= FOLLOWERS_AT_ONCE:
        raise Unavailable(retry_after=1)
    _followers[session_id] += 1
    request = cast("asyncio.Task[object]", asyncio.current_task())
    request.add_done_callback(lambda _: _leave_place(session_id))


def _leave_place(session_id: UUID) -> None:
    _followers[session_id] -= 1
    if not _followers[session_id]:
        del _followers[session_id]
