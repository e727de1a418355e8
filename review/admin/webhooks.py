"""The list of events for the operator's webhook: what became of each, and another attempt."""

from collections.abc import Iterable
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from chat.models import WebhookEvent, WebhookEventQuerySet
from chat.webhooks import delivery
from review.admin.reading import NeverDeleted

State = WebhookEvent.State


class EventFilter(SimpleListFilter):
    """By the names that are sent."""

    title = parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        return [(kind, kind) for kind in WebhookEvent.Kind.values]

    def queryset(self, request: HttpRequest, events: Any) -> Any:
        return events.filter(kind=self.value()) if self.value() else events


class StateFilter(SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        return [(state, state) for state in State.values]

    def queryset(self, request: HttpRequest, events: Any) -> Any:
        return events.filter(state=self.value()) if self.value() else events


@admin.register(WebhookEvent)
class WebhookEventAdmin(NeverDeleted):
    """Shows neither the address nor the secret: an address may hold a token."""

    list_display = (
        "event",
        "created_at",
        "state",
        "attempts",
        "last_error",
        "next_attempt",
        "about",
    )
    list_filter = (EventFilter, StateFilter)
    ordering = ("-created_at", "pk")
    sortable_by = ()
    actions = ("send_again",)
    fields = readonly_fields = (
        "id", "event", "about", "created_at", "state", "attempts", "last_error", "next_attempt",
        "delivered_at", "given_up_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> WebhookEventQuerySet:
        return cast(WebhookEventQuerySet, super().get_queryset(request)).with_state()

    def has_send_permission(self, request: HttpRequest) -> bool:
        may_change = request.user.has_perm("chat.change_webhookevent")
        return may_change and bool(settings.WEBHOOK_URL)

    @admin.action(description="Send again", permissions=["send"])
    def send_again(self, request: HttpRequest, events: WebhookEventQuerySet) -> None:
        chosen = events.count()
        failed = events.send_again()
        if failed:
            _start_delivery()
            messages.success(request, f"Events that are sent again now: {failed}.")
        if chosen > failed:
            sentence = f"Events left as they are, since they have not failed: {chosen - failed}."
            messages.warning(request, sentence)

    @admin.display(description="event")
    def event(self, event: WebhookEvent) -> str:
        return event.kind

    @admin.display(description="state")
    def state(self, event: Any) -> str:
        has_failed = event.state in (State.FAILING, State.GIVEN_UP)
        return format_html(
            '<span class="badge {}">{}</span>', "failed" if has_failed else "", event.state
        )

    @admin.display(description="last error", empty_value="-")
    def last_error(self, event: WebhookEvent) -> str | None:
        return event.error or None

    @admin.display(description="next attempt", empty_value="-")
    def next_attempt(self, event: Any) -> Any:
        return event.due_at if event.state in (State.WAITING, State.FAILING) else None

    @admin.display(description="about")
    def about(self, event: WebhookEvent) -> str:
        if event.kind not in (WebhookEvent.Kind.DISLIKED, WebhookEvent.Kind.SILENT):
            return event.subject
        url = reverse("admin:chat_message_change", args=[event.subject])
        return format_html('<a href="{}">reply {}…</a>', url, event.subject[:8])


@async_to_sync
async def _start_delivery() -> None:
    """On the server's event loop, which this thread works for."""
    delivery.start()
