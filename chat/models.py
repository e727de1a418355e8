"""The rows: sessions, messages and limits; QuerySets carry the words for finding them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any, Self
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db import models, transaction
from django.db.models import Case, Exists, Func, OuterRef, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone

from chat.ids import ids_around, time_ordered_id

SEARCHED_AT_ONCE = 10_000
# Below this share of supported sentences an answer is called weakly supported.
WEAK_SUPPORT = 0.5


@models.CharField.register_lookup
@models.TextField.register_lookup
class Folded(models.Transform):
    """Text as searches compare it: whatever its case and however Unicode lets one write it.

    Composed and decomposed letters, full-width letters, ligatures, hyphens and quotation marks of
    each kind are one, and invisible characters none (migration 0006). As a lookup
    (`name__folded__contains`) it folds both sides.
    """

    lookup_name = "folded"
    function = "chat_search_text"
    bilateral = True
    output_field = models.TextField()


class Words(Func):
    """The search column `chat_message.words`, of the table that the given field is of.

    A trigger fills it from the folded content (migration 0006). It is no field of the model, so
    that no query carries it along.
    """

    output_field = SearchVectorField()

    def as_sql(self, compiler: Any, *_: Any, **__: Any) -> tuple[str, tuple[str | int, ...]]:
        field, params = compiler.compile(self.source_expressions[0])
        table, _, _ = field.rpartition(".")
        return f'{table}."words"', params


class ChatSessionQuerySet(models.QuerySet["ChatSession"]):
    def touch(self, session_id: UUID) -> None:
        """Create the session, or renew its last activity. One statement."""
        now = timezone.now()
        self.bulk_create(
            [ChatSession(id=session_id, created_at=now, updated_at=now)],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["updated_at"],
        )

    def unreviewed(self) -> Self:
        return self.filter(verdict="")

    def with_message(self, messages: "models.QuerySet[Message]") -> Self:
        """Sessions that have one of these messages."""
        return self.filter(Exists(messages.order_by().filter(session=OuterRef("pk"))))

    def about(self, words: str) -> Self:
        """Sessions with a message that says so: words, "phrases", -not.

        Looks first how rare the words are. Rare ones are found by their index, once; common ones
        are soon met where one looks for them from the newest session on. PostgreSQL, left alone,
        does the one for the other, and takes seconds.
        """
        found = Message.objects.about(words).order_by()
        if found[: SEARCHED_AT_ONCE + 1].count() > SEARCHED_AT_ONCE:
            return self.with_message(found)
        return self.filter(pk__in=found.values("session_id")[:SEARCHED_AT_ONCE])


class ChatSession(models.Model):
    """One reader's conversation. Its id is the reader's key to it: it is never listed.

    Staff judge it: the last verdict counts, the admin's log keeps who gave which before.
    """

    class Verdict(models.TextChoices):
        GOOD = "good", "Good"
        NEEDS_WORK = "needs_work", "Needs work"
        HARMFUL = "harmful", "Harmful"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField("last activity", default=timezone.now, editable=False)

    verdict = models.CharField(
        max_length=10, choices=Verdict, blank=True, default="", db_default=""
    )
    review_note = models.TextField("note", blank=True, default="", db_default="")
    reviewed_at = models.DateTimeField(null=True, blank=True, editable=False)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.DB_SET_NULL,
        related_name="+",
    )

    objects = ChatSessionQuerySet.as_manager()

    class Meta:
        db_table = "chat_session"
        verbose_name = "session"
        ordering = ["-updated_at", "-id"]
        indexes = [
            models.Index(fields=["-updated_at", "-id"], name="chat_session_activity"),
            models.Index(fields=["verdict", "-updated_at", "-id"], name="chat_session_verdict"),
        ]
        constraints = [
            models.CheckConstraint(
                name="chat_session_verdict_known",
                condition=Q(verdict__in=["", "good", "needs_work", "harmful"]),
            )
        ]
        permissions = [
            ("review_chatsession", "Can judge conversations"),
            ("export_chatsession", "Can export conversations"),
        ]

    def __str__(self) -> str:
        return f"{str(self.id)[:8]}…"


# How many bytes of text a message has; PostgreSQL finds the length of a long text without reading
# the text.
TEXT_BYTES = reduce(
    add,
    (
        Func(field, function="octet_length", output_field=models.IntegerField())
        for field in ("content", "selected_text", "page_url", "feedback_comment", "correction")
    ),
)


class MessageQuerySet(models.QuerySet["Message"]):
    def questions(self) -> Self:
        return self.filter(role=Message.Role.USER)

    def replies(self) -> Self:
        return self.filter(role=Message.Role.ASSISTANT)

    def pending(self) -> Self:
        return self.filter(status=Message.Status.PENDING)

    def failed(self) -> Self:
        return self.filter(status=Message.Status.FAILED)

    def stopped(self) -> Self:
        return self.filter(status=Message.Status.STOPPED)

    def disliked(self) -> Self:
        return self.filter(feedback=Message.Feedback.DOWN)

    def corrected(self) -> Self:
        return self.exclude(correction="")

    def silent(self) -> Self:
        """Replies that say that the book does not cover the question."""
        return self.filter(grounding=Message.Grounding.SILENT)

    def weakly_supported(self) -> Self:
        """Replies that cite the book, most of whose sentences it does not support."""
        return self.filter(grounding=Message.Grounding.BOOK, support__lt=WEAK_SUPPORT)

    def misquoting(self) -> Self:
        """Replies with a quotation that what they cite does not have."""
        return self.filter(misquotes__gt=0)

    def citing(self, section_id: int) -> Self:
        return self.exclude(sources=[]).filter(sources__contains=[{"section_id": section_id}])

    def between(self, since: datetime | None, until: datetime | None) -> Self:
        """Messages from `since` on and before `until`, found by their time-ordered ids."""
        found = self.filter(id__range=ids_around(since, until))
        found = found.filter(created_at__gte=since) if since else found
        return found.filter(created_at__lt=until) if until else found

    def about_a_passage(self) -> Self:
        return self.questions().exclude(selected_text="")

    def through(self, door: str) -> Self:
        """Questions that came in by an API other than our own."""
        return self.questions().exclude(door="").filter(door=door)

    def asked_from(self, page: str) -> Self:
        """Questions asked from anywhere on a page, whose address is given without a fragment."""
        return self.questions().filter(Q(page_url=page) | Q(page_url__startswith=f"{page}#"))

    def about(self, words: str) -> Self:
        """Messages that contain this, in the syntax of web searches: words, "phrases", -not, or."""
        query = SearchQuery(Folded(Value(words)), config="english", search_type="websearch")
        return self.alias(words=Words("id")).filter(words=query)

    def finished(self) -> Self:
        """Replies with an answer: complete, or stopped with some text."""
        finished = (Message.Status.COMPLETE, Message.Status.STOPPED)
        return self.replies().filter(status__in=finished).exclude(content="")

    def settled(self) -> Self:
        """Questions whose reply has ended: complete, stopped or failed."""
        ends = (Message.Status.COMPLETE, Message.Status.STOPPED, Message.Status.FAILED)
        return self.questions().filter(reply__status__in=ends)

    def page(self, limit: int, before: UUID | None = None) -> "tuple[list[Message], bool]":
        """The newest `limit` messages (before a message), oldest first; whether older exist."""
        older = self.filter(id__lt=before) if before else self
        newest_first = list(older.order_by("-id")[: limit + 1])
        return newest_first[limit - 1 :: -1], len(newest_first) > limit

    def newest_within(self, max_bytes: int, limit: int, before: UUID | None = None) -> int:
        """How many of the newest `limit` messages (before a message) have no more than `max_bytes`
        of text together; at least one.
        """
        older = self.filter(id__lt=before) if before else self
        sizes: models.QuerySet[Message, int]
        sizes = older.order_by("-id").values_list(TEXT_BYTES, flat=True)[:limit]
        return max(1, sum(total <= max_bytes for total in accumulate(sizes)))

    def store(self, messages: "Iterable[Message]") -> None:
        """Insert; a message that an earlier try has stored is left as it is."""
        self.bulk_create(messages, ignore_conflicts=True)


class Message(models.Model):
    """A question, or the reply to one. A reply is a row from the moment its question is stored."""

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"
        SYSTEM = "system"

    class Status(models.TextChoices):
        PENDING = "pending"
        COMPLETE = "complete"
        STOPPED = "stopped"
        FAILED = "failed"

    class Feedback(models.TextChoices):
        UP = "up"
        DOWN = "down"

    class Grounding(models.TextChoices):
        """What an answer rests on; empty where no book was indexed."""

        BOOK = "book", "cites the book"
        PASSAGE = "passage", "the selected passage alone"
        SILENT = "silent", "the book does not cover it"
        UNCITED = "uncited", "cites nothing"
        EXCERPTS = "excerpts", "excerpts in place of an answer"

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    session = models.ForeignKey(
        ChatSession,
        on_delete=models.DB_CASCADE,
        related_name="messages",
        db_index=False,  # the index on (session, id) is enough
    )
    role = models.CharField(max_length=9, choices=Role)
    content = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    status = models.CharField(
        max_length=8, choices=Status, default=Status.COMPLETE, db_default=Status.COMPLETE
    )
    error_code = models.CharField(max_length=32, blank=True, default="", db_default="")
    replaced = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Another question has taken its place: kept for staff, and not in the history.",
    )

    # Of a question
    door = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="Where it came in."
    )
    selected_text = models.TextField(blank=True, default="", db_default="")
    page_url = models.CharField(max_length=2048, blank=True, default="", db_default="")
    idempotency_key = models.CharField(max_length=255, blank=True, default="", db_default="")
    fingerprint = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="SHA-256 of the request behind the key.",
    )

    # Of a reply, while it is pending (see `chat.turn.heartbeat`)
    attempt = models.UUIDField(
        null=True, blank=True, help_text="Which attempt at the answer may write this reply."
    )
    beat_at = models.DateTimeField(
        null=True, blank=True, help_text="When its attempt was last known to be alive."
    )
    stop_requested = models.BooleanField(default=False, db_default=False)

    # Of a reply
    reply_to = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.DB_CASCADE, related_name="reply"
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    model = models.CharField(max_length=255, blank=True, default="", db_default="")
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField("duration (ms)", null=True, blank=True)
    first_token_ms = models.PositiveIntegerField("first token (ms)", null=True, blank=True)
    finish_reason = models.CharField(max_length=32, blank=True, default="", db_default="")
    edition = models.PositiveIntegerField(
        null=True, blank=True, help_text="The number of the book's edition that it rests on."
    )
    grounding = models.CharField(
        max_length=8, choices=Grounding, blank=True, default="", db_default=""
    )
    sources = models.JSONField(
        blank=True,
        default=list,
        db_default=Value([], models.JSONField()),
        help_text="What it cites, by number (see `chat.turn.citations.Source`).",
    )
    nearest = models.JSONField(
        blank=True,
        default=list,
        db_default=Value([], models.JSONField()),
        help_text="Where the book is silent: the sections that come nearest.",
    )
    found = ArrayField(
        models.BigIntegerField(),
        blank=True,
        default=list,
        db_default=Value([], ArrayField(models.BigIntegerField())),
        help_text="The ids of the sections that the model was given, best first.",
    )
    support = models.FloatField(
        null=True,
        blank=True,
        help_text="The share of its sentences that what it cites supports, from 0 to 1.",
    )
    misquotes = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Quotations that what it cites does not have."
    )
    feedback = models.CharField(
        max_length=4, choices=Feedback, blank=True, default="", db_default=""
    )
    feedback_comment = models.TextField(blank=True, default="", db_default="")
    correction = models.TextField(
        blank=True, default="", db_default="", help_text="What staff put in the reply's place."
    )
    corrected_at = models.DateTimeField(null=True, blank=True, editable=False)
    corrected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.DB_SET_NULL,
        related_name="+",
        db_index=False,  # corrections are not looked up by user
    )

    objects = MessageQuerySet.as_manager()

    class Meta:
        db_table = "chat_message"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["session", "id"], name="chat_message_of_session"),
            models.Index(
                fields=["session"], condition=Q(status="pending"), name="chat_message_pending"
            ),
            # For the filters of staff; partial, since these are rare.
            models.Index(
                fields=["session"], condition=Q(status="failed"), name="chat_message_failed"
            ),
            models.Index(
                fields=["session"], condition=Q(status="stopped"), name="chat_message_stopped"
            ),
            models.Index(
                fields=["session"], condition=Q(feedback="down"), name="chat_message_disliked"
            ),
            models.Index(
                fields=["session"], condition=~Q(correction=""), name="chat_message_corrected"
            ),
            models.Index(
                fields=["session"], condition=~Q(selected_text=""), name="chat_message_passage"
            ),
            models.Index(
                fields=["session"], condition=Q(grounding="silent"), name="chat_message_silent"
            ),
            models.Index(
                fields=["session"],
                condition=Q(grounding="book", support__lt=WEAK_SUPPORT),
                name="chat_message_weak",
            ),
            models.Index(
                fields=["session"], condition=Q(misquotes__gt=0), name="chat_message_misquoted"
            ),
            models.Index(
                fields=["door", "session"], condition=~Q(door=""), name="chat_message_door"
            ),
            # For the answers that cite a section.
            GinIndex(
                fields=["sources"],
                opclasses=["jsonb_path_ops"],
                condition=~Q(sources=[]),
                name="chat_message_sources",
            ),
        ]
        permissions = [("correct_message", "Can correct replies")]
        constraints = [
            models.CheckConstraint(
                name="chat_message_role_known",
                condition=Q(role__in=["user", "assistant", "system"]),
            ),
            models.CheckConstraint(
                name="chat_message_status_known",
                condition=Q(status__in=["pending", "complete", "stopped", "failed"]),
            ),
            models.CheckConstraint(
                name="chat_message_feedback_known", condition=Q(feedback__in=["", "up", "down"])
            ),
            models.CheckConstraint(
                name="chat_message_grounding_known",
                condition=Q(grounding__in=["", "book", "passage", "silent", "uncited", "excerpts"]),
            ),
            models.CheckConstraint(
                name="chat_message_complete_not_empty",
                condition=~Q(status="complete", content=""),
                violation_error_message="A complete message is not empty.",
            ),
            models.CheckConstraint(
                name="chat_message_failed_says_why",
                condition=(Q(status="failed") & ~Q(error_code=""))
                | (~Q(status="failed") & Q(error_code="")),
            ),
            models.CheckConstraint(
                name="chat_message_reply_to_of_replies",
                condition=(Q(role="assistant") & Q(reply_to__isnull=False))
                | (~Q(role="assistant") & Q(reply_to__isnull=True)),
            ),
            models.CheckConstraint(
                name="chat_message_correction_of_replies",
                condition=Q(correction="") | Q(role="assistant", corrected_at__isnull=False),
            ),
            models.CheckConstraint(
                name="chat_message_question_complete",
                condition=Q(role="assistant") | Q(status="complete"),
            ),
            models.UniqueConstraint(
                name="chat_message_idempotency_key_once",
                fields=["session", "idempotency_key"],
                condition=~Q(idempotency_key=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}: {self.content[:60]}"


class RateWindow(models.Model):
    """How many questions a client has asked since its current window began."""

    client = models.CharField(
        max_length=64, primary_key=True, help_text="A keyed hash; never an address."
    )
    began_at = models.DateTimeField()
    asked = models.PositiveIntegerField()

    class Meta:
        db_table = "chat_rate_window"
        indexes = [models.Index(fields=["began_at"], name="chat_rate_window_age")]

    def __str__(self) -> str:
        return f"{self.client[:8]}…: {self.asked}"


class DailyTokens(models.Model):
    """The tokens that the whole service has used on a day (UTC)."""

    day = models.DateField(primary_key=True)
    tokens = models.BigIntegerField()

    class Meta:
        db_table = "chat_daily_tokens"

    def __str__(self) -> str:
        return f"{self.day}: {self.tokens}"


class WebhookEventQuerySet(models.QuerySet["WebhookEvent"]):
    def pending(self) -> Self:
        return self.filter(delivered_at=None, given_up_at=None)

    def with_state(self) -> Self:
        """Each with its `state`, which may be filtered by."""
        state = WebhookEvent.State
        delivered, given_up = Q(delivered_at__isnull=False), Q(given_up_at__isnull=False)
        of_each = Case(
            When(delivered, then=Value(state.DELIVERED)),
            When(given_up, then=Value(state.GIVEN_UP)),
            When(error="", then=Value(state.WAITING)),
            default=Value(state.FAILING),
            output_field=models.CharField(),
        )
        return self.annotate(state=of_each)

    def send_again(self) -> int:
        """Those that have failed are due at once; returns how many.

        One that was given up is so again if this attempt fails too.
        """
        failed = self.filter(delivered_at=None).exclude(error="")
        return failed.update(due_at=Now(), given_up_at=None)

    def lease(self, time: timedelta) -> "WebhookEvent | None":
        """One that is due, for this process alone until `time` has passed; counts the attempt."""
        due = self.pending().filter(due_at__lte=Now()).order_by("due_at")
        with transaction.atomic():
            event = due.select_for_update(skip_locked=True).first()
            if event:
                event.attempts += 1
                event.due_at = Now() + time
                event.error = ""  # while it is being sent
                event.save(update_fields=["attempts", "due_at", "error"])
        return event


class WebhookEvent(models.Model):
    """Something that the operator's webhook is told of (see `chat.webhooks`); holds no texts."""

    class Kind(models.TextChoices):
        DISLIKED = "reply.disliked"
        SILENT = "reply.silent"
        BUDGET = "budget.reached"
        INDEXED = "edition.indexed"

    class State(models.TextChoices):
        """Of a row of `WebhookEventQuerySet.with_state`."""

        WAITING = "waiting"
        FAILING = "failing"  # so far: it is sent again
        DELIVERED = "delivered"
        GIVEN_UP = "given up"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    kind = models.CharField(max_length=32, choices=Kind)
    subject = models.CharField(
        max_length=64, help_text="The reply's id, the day or the edition's number."
    )
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=64, blank=True, default="")

    objects = WebhookEventQuerySet.as_manager()

    class Meta:
        db_table = "chat_webhook_event"
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject"], name="chat_webhook_event_once")
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(delivered_at=None, given_up_at=None),
                name="chat_webhook_event_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
