"""Staff read conversations. Nobody edits or makes up a message; deletion takes the permission."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Count, IntegerField, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Left
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html

from chat.models import ChatSession, Message

admin.site.site_header = admin.site.site_title = "Book chat"
admin.site.index_title = "Conversations and staff"

MOST_COUNTED = 10_000
EXCERPT_CHARS = 120


class CappedPaginator(Paginator):
    """Counts no further than anyone leafs: a full count reads the whole table."""

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet[Model], self.object_list)
        return rows[: MOST_COUNTED + 1].count()


class ReadOnlyAdmin(admin.ModelAdmin):
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MessageInline(admin.TabularInline):
    model = Message
    fields = ("created_at", "role", "content", "selected_text", "status", "error_code", "model")
    readonly_fields = fields
    ordering = ("id",)
    can_delete = False
    extra = 0
    show_change_link = True
    verbose_name_plural = "conversation"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ChatSession)
class ChatSessionAdmin(ReadOnlyAdmin):
    list_display = ("first_question", "message_count", "updated_at")
    list_filter = ("updated_at", "created_at")
    search_fields = ("messages__content",)
    search_help_text = "Words of a message, or a session's whole id"
    fields = ("id", "created_at", "updated_at")
    readonly_fields = fields
    inlines = (MessageInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatSession]:
        """Both columns are made for the rows of a page alone, in the page's own query."""
        messages = Message.objects.filter(session=OuterRef("pk"))
        first = messages.questions().order_by("id").values(start=Left("content", EXCERPT_CHARS))
        counted = messages.order_by().values("session").values(total=Count("pk"))
        sessions: QuerySet[ChatSession] = super().get_queryset(request)
        return sessions.annotate(
            first_text=Subquery(first[:1]),
            total=Coalesce(Subquery(counted, output_field=IntegerField()), 0),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ChatSession], search_term: str
    ) -> tuple[QuerySet[ChatSession], bool]:
        try:
            return queryset.filter(pk=UUID(search_term)), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    @admin.display(description="first question")
    def first_question(self, session: ChatSession) -> str:
        return getattr(session, "first_text", None) or "(no question)"

    @admin.display(description="messages")
    def message_count(self, session: ChatSession) -> int:
        return getattr(session, "total", 0)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ("excerpt", "role", "status", "session_link", "created_at")
    list_filter = ("role", "status", "created_at")
    list_select_related = ("session",)
    search_fields = ("content",)
    fields = readonly_fields = (
        "session_link",
        *(
            field.name
            for field in Message._meta.concrete_fields
            if field.name not in ("session", "idempotency_key", "fingerprint")
        ),
    )

    @admin.display(description="text")
    def excerpt(self, message: Message) -> str:
        text = message.content[:EXCERPT_CHARS]
        return text or f"({message.error_code or message.status})"

    @admin.display(description="session")
    def session_link(self, message: Message) -> str:
        url = reverse("admin:chat_chatsession_change", args=[message.session_id])
        return format_html('<a href="{}">{}…</a>', url, str(message.session_id)[:8])
