"""The filters of the session list. Each is one index lookup."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.http import HttpRequest

from chat.models import ChatSession, Message, MessageQuerySet

RECENT = 1_000
MOST_CHOICES = 15


class VerdictFilter(SimpleListFilter):
    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        return [("unreviewed", "unreviewed"), *ChatSession.Verdict.choices]

    def queryset(self, request: HttpRequest, sessions: Any) -> Any:
        if self.value() == "unreviewed":
            return sessions.unreviewed()
        return sessions.filter(verdict=self.value()) if self.value() else sessions


class ContainsFilter(SimpleListFilter):
    """Sessions with at least one message of a kind."""

    choice: str

    def messages(self) -> MessageQuerySet:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        return [("yes", self.choice)]

    def queryset(self, request: HttpRequest, sessions: Any) -> Any:
        if self.value() != "yes":
            return sessions
        return sessions.with_message(self.messages())


class FailedFilter(ContainsFilter):
    title, parameter_name, choice = "failures", "failed", "with a failed reply"

    def messages(self) -> MessageQuerySet:
        return Message.objects.failed()


class StoppedFilter(ContainsFilter):
    title, parameter_name, choice = "stops", "stopped", "with a stopped reply"

    def messages(self) -> MessageQuerySet:
        return Message.objects.stopped()


class DislikedFilter(ContainsFilter):
    title, parameter_name, choice = "thumbs", "disliked", "with a thumb down"

    def messages(self) -> MessageQuerySet:
        return Message.objects.disliked()


class CorrectedFilter(ContainsFilter):
    title, parameter_name, choice = "corrections", "corrected", "with a corrected reply"

    def messages(self) -> MessageQuerySet:
        return Message.objects.corrected()


class SilentFilter(ContainsFilter):
    title, parameter_name, choice = "silence", "silent", "where the book is silent"

    def messages(self) -> MessageQuerySet:
        return Message.objects.silent()


class WeakFilter(ContainsFilter):
    title, parameter_name, choice = "support", "weak", "with a weakly supported reply"

    def messages(self) -> MessageQuerySet:
        return Message.objects.weakly_supported()


class MisquoteFilter(ContainsFilter):
    title, parameter_name, choice = "quotations", "misquote", "with a misquote"

    def messages(self) -> MessageQuerySet:
        return Message.objects.misquoting()


class PassageFilter(ContainsFilter):
    title, parameter_name, choice = "passages", "passage", "about a selected passage"

    def messages(self) -> MessageQuerySet:
        return Message.objects.about_a_passage()


class RecentFilter(SimpleListFilter):
    """Offers the values of the most recent messages; collecting all values would scan the table."""

    column: str

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Iterable[tuple[str, str]]:
        recent = Message.objects.order_by("-id").values_list(self.column, flat=True)[:RECENT]
        counts = Counter(map(self.name, recent))
        del counts[""]
        chosen = [self.value()]
        common = [choice for choice, _ in counts.most_common(MOST_CHOICES)]
        return [(choice, choice) for choice in sorted({*common, *chosen} - {""})]

    def value(self) -> str:
        return super().value() or ""

    def name(self, value: str) -> str:
        return value

    def messages(self, choice: str) -> MessageQuerySet:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, sessions: Any) -> Any:
        choice = self.value()
        return sessions.with_message(self.messages(choice)) if choice else sessions


class ModelFilter(RecentFilter):
    title = parameter_name = column = "model"

    def messages(self, choice: str) -> MessageQuerySet:
        return Message.objects.filter(model=choice)


class DoorFilter(RecentFilter):
    """Our own API, by which most questions come, is none of the choices."""

    title, parameter_name, column = "where it came in", "door", "door"

    def messages(self, choice: str) -> MessageQuerySet:
        return Message.objects.through(choice)


class PageFilter(RecentFilter):
    title, parameter_name, column = "page asked from", "page", "page_url"

    def name(self, value: str) -> str:
        return value.partition("#")[0]

    def messages(self, choice: str) -> MessageQuerySet:
        return Message.objects.asked_from(choice)
