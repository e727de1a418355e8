"""What a reader does with a session beside asking: read it, rate a reply, delete it."""

import itertools
from uuid import UUID

from django.conf import settings
from django.db import transaction

from chat.errors import NotFound
from chat.models import ChatSession, Message
from chat.turn import heartbeat, limits
from chat.turn.turn import stop_running
from chat.webhooks import delivery, events

# Of the texts of one page of messages.
MAX_PAGE_BYTES = 2**19


async def read_page(
    session_id: UUID, limit: int, before: UUID | None, client: str | None
) -> tuple[ChatSession, list[Message], bool]:
    """A session, one page of its messages (oldest first), and whether older ones exist.

    Fewer than `limit` messages where their texts are long, but at least one. Raises NotFound or
    RateLimited.
    """

    def read() -> tuple[ChatSession, list[Message], bool]:
        session = ChatSession.objects.filter(id=session_id).first()
        if session is None:
            raise NotFound
        of_session = Message.objects.filter(session=session)
        fitting = of_session.newest_within(MAX_PAGE_BYTES, limit, before)
        return session, *of_session.page(fitting, before)

    session, messages, has_more = await limits.run_counted(client, "read", read)
    if any(message.status == Message.Status.PENDING for message in messages):
        heartbeat.scan_for_orphans()  # its worker may have been killed
    return session, messages, has_more


async def question_at(
    session_id: UUID, message_id: UUID | None, after: UUID | None, client: str | None
) -> UUID | None:
    """The question that a message is, or is the reply to; else the one after a reply, or the first.

    None where the session has no such question. Counts as reading. Raises RateLimited.
    """

    def find() -> UUID | None:
        messages = Message.objects.filter(session_id=session_id)
        if message_id and (found := messages.filter(id=message_id).first()):
            return found.reply_to_id or found.id
        questions = messages.questions().filter(replaced=False).order_by("id")
        if after is not None:
            if not messages.filter(id=after).exists():
                return None
            questions = questions.filter(id__gt=after)
        return questions.values_list("id", flat=True).first()

    return await limits.run_counted(client, "read", find)


async def give_feedback(
    session_id: UUID, message_id: UUID, rating: str, comment: str, client: str | None
) -> None:
    """Store a reader's rating of a reply (`up`, `down` or nothing).

    Raises NotFound or RateLimited.
    """

    def write() -> None:
        reply = Message.objects.replies().filter(session_id=session_id, id=message_id)
        if not settings.WEBHOOK_URL or rating != Message.Feedback.DOWN:
            if not reply.update(feedback=rating, feedback_comment=comment):
                raise NotFound
            return
        with transaction.atomic():
            former = reply.select_for_update().values_list("feedback", "feedback_comment").first()
            if former is None:
                raise NotFound
            reply.update(feedback=rating, feedback_comment=comment)
            if former != (rating, comment):
                events.disliked(message_id, comment)

    await limits.run_counted(client, "feedback", write)
    if rating == Message.Feedback.DOWN:
        delivery.start()


async def delete(session_id: UUID, client: str | None) -> None:
    """Delete a session with its messages; pending answers are stopped.

    Raises NotFound or RateLimited.
    """
    tries = itertools.count(1)

    def remove() -> None:
        is_first = next(tries) == 1  # a second try does not know what the first one did
        _, deleted = ChatSession.objects.filter(id=session_id).delete()
        if is_first and not deleted.get("chat.ChatSession"):
            raise NotFound

    await limits.run_counted(client, "delete", remove)
    stop_running(session_id)
    # Other workers find at their next heartbeat that the reply is deleted.
