"""What a reader does with a session beside asking: read it back, judge a reply, delete it."""

import itertools
from uuid import UUID

from chat.database import in_thread
from chat.errors import NotFound
from chat.models import ChatSession, Message
from chat.turn import heartbeat
from chat.turn.turn import stop_running


async def read_page(
    session_id: UUID, limit: int, before: UUID | None
) -> tuple[ChatSession, list[Message], bool]:
    """A session, one page of its messages (oldest first), and whether older ones exist.

    Raises NotFound.
    """

    def read() -> tuple[ChatSession, list[Message], bool]:
        session = ChatSession.objects.filter(id=session_id).first()
        if session is None:
            raise NotFound
        messages, has_more = Message.objects.filter(session=session).page(limit, before)
        return session, messages, has_more

    session, messages, has_more = await in_thread(read)
    if any(message.status == Message.Status.PENDING for message in messages):
        heartbeat.scan_for_orphans()  # its worker may have been killed
    return session, messages, has_more


async def give_feedback(session_id: UUID, message_id: UUID, rating: str, comment: str) -> None:
    """Store a reader's opinion on a reply (`up`, `down` or nothing). Raises NotFound."""

    def write() -> None:
        reply = Message.objects.replies().filter(session_id=session_id, id=message_id)
        if not reply.update(feedback=rating, feedback_comment=comment):
            raise NotFound

    await in_thread(write)


async def delete(session_id: UUID) -> None:
    """Delete a session with its messages; pending answers are stopped. Raises NotFound."""
    tries = itertools.count(1)

    def remove() -> None:
        is_first = next(tries) == 1  # a second try does not know what the first one did
        _, deleted = ChatSession.objects.filter(id=session_id).delete()
        if is_first and not deleted.get("chat.ChatSession"):
            raise NotFound

    stop_running(session_id)
    await in_thread(remove)
    # Other workers find at their next heartbeat that the reply is deleted.
