"""The list of messages of all conversations."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from chat.models import Message
from review.admin.reading import EXCERPT_CHARS, ReadOnlyAdmin
from review.templatetags.review import page_link

INTERNAL = ("session", "idempotency_key", "fingerprint", "attempt", "beat_at", "stop_requested")


NAMES = [field.name for field in Message._meta.concrete_fields]
COLUMNS = {"page_url": "page"}


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ("excerpt", "role", "status", "feedback", "session_link", "created_at")
    list_filter = ("role", "status", "feedback", "grounding", "created_at")
    list_select_related = ("session",)
    search_fields = ("content",)  # by `get_search_results`
    search_help_text = 'Words, "phrases", -not'
    sortable_by = ()
    fields = readonly_fields = (
        "session_link",
        *(COLUMNS.get(name, name) for name in NAMES if name not in INTERNAL),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        found = Message.objects.about(search_term).values("pk") if search_term else None
        return (queryset if found is None else queryset.filter(pk__in=found)), False

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Lists the replies that the database deletes with their questions (ON DELETE CASCADE)."""
        messages = list(objs)
        replies = Message.objects.filter(reply_to__in=messages).count()
        listed = [
            f"{message} (and the reply to it)" for message in messages if not message.reply_to
        ]
        listed += [str(message) for message in messages if message.reply_to]
        counts = {"messages": len(messages), "replies to them": replies}
        return listed, counts, set(), []

    @admin.display(description="text")
    def excerpt(self, message: Message) -> str:
        text = message.content[:EXCERPT_CHARS]
        return text or f"({message.error_code or message.status})"

    @admin.display(description="page url", empty_value="-")
    def page(self, message: Message) -> str | None:
        return page_link(message.page_url) if message.page_url else None

    @admin.display(description="session")
    def session_link(self, message: Message) -> str:
        url = reverse("admin:chat_chatsession_change", args=[message.session_id])
        return format_html('<a href="{}">{}…</a>', url, str(message.session_id)[:8])
