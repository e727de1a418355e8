"""The list of sessions, with its actions: judge, export, delete."""

from collections.abc import AsyncIterator
from functools import partial
from itertools import batched
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Left
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from chat.database import in_thread
from chat.models import ChatSession, Message
from review import export
from review.admin import filters
from review.admin.facts import MAX_FLAGGED, MAX_MESSAGES, Facts, facts_of, up_to
from review.admin.reading import EXCERPT_CHARS, ReadOnlyAdmin
from review.admin.transcript import Transcript
from review.templatetags.review import linked_page

PAGES_SHOWN = 3
SESSIONS_AT_ONCE = 500


def _short(page: str) -> str:
    """A page's address without scheme, host and query."""
    try:
        address = urlsplit(page)
    except ValueError:  # browsers accept addresses that Python does not
        return page
    return address._replace(scheme="", netloc="", query="").geturl() or page


def exported(
    sessions: QuerySet[ChatSession], form: str, content_type: str
) -> StreamingHttpResponse:
    """The sessions' questions and replies as a file, streamed while the rows are read."""
    keys = list(sessions.values_list("pk", flat=True))
    header, format_rows = export.FORMATS[form]

    async def content() -> AsyncIterator[str]:
        yield header
        for some in batched(keys, SESSIONS_AT_ONCE):
            questions = Message.objects.questions().filter(session__in=some)
            after: UUID | None = None
            # A batch at a time: the stream holds no connection while the client reads.
            while rows := await in_thread(partial(export.batch, questions, after)):
                yield format_rows(rows)
                after = rows[-1][1]

    response = StreamingHttpResponse(content(), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="conversations.{form}"'
    return response


class SessionList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        if getattr(request, "without_results", False):  # only its queryset is needed
            return
        super().get_results(request)
        self.result_list = list(self.result_list)
        facts = facts_of([session.pk for session in self.result_list])
        for session in self.result_list:
            session.facts = facts.get(session.pk, Facts())


@admin.register(ChatSession)
class ChatSessionAdmin(Transcript, ReadOnlyAdmin):
    list_display = ("first_question", "total", "badges", "pages", "updated_at")
    list_filter = (
        filters.VerdictFilter,
        filters.FailedFilter,
        filters.StoppedFilter,
        filters.DislikedFilter,
        filters.CorrectedFilter,
        filters.SilentFilter,
        filters.WeakFilter,
        filters.MisquoteFilter,
        filters.PassageFilter,
        filters.PageFilter,
        filters.ModelFilter,
        filters.DoorFilter,
        "updated_at",
    )
    search_fields = ("messages__content",)  # by `get_search_results`
    search_help_text = 'Words, "phrases", -not; or the whole id of a session'
    sortable_by = ()
    actions = ("judge_good", "judge_needs_work", "judge_harmful", "export_jsonl", "export_csv")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SessionList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatSession]:
        questions = Message.objects.questions().filter(session=OuterRef("pk")).order_by("id")
        first = questions.values(start=Left("content", EXCERPT_CHARS))[:1]
        sessions: QuerySet[ChatSession] = super().get_queryset(request)
        return sessions.annotate(first_text=Subquery(first))

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        try:
            return queryset.filter(pk=UUID(search_term)), False
        except ValueError:
            return queryset.about(search_term), False

    # Columns --------------------------------------------------------------------------------
    @admin.display(description="first question")
    def first_question(self, session: Any) -> str:
        return session.first_text or "(no question)"

    @admin.display(description="messages")
    def total(self, session: Any) -> str:
        return up_to(MAX_MESSAGES, session.facts.total)

    @admin.display(description="")
    def badges(self, session: Any) -> SafeString:
        facts = session.facts
        found = [(session.verdict, session.get_verdict_display() or "unreviewed")]
        for name, count in (
            ("failed", facts.failed),
            ("stopped", facts.stopped),
            ("thumb down", facts.disliked),
            ("corrected", facts.corrected),
            ("silent", facts.silent),
            ("weakly supported", facts.weak),
            ("misquote", facts.misquoting),
        ):
            if count:
                found.append((name, name if count == 1 else f"{up_to(MAX_FLAGGED, count)} {name}"))
        return format_html_join(" ", '<span class="badge {}">{}</span>', found)

    @admin.display(description="asked from")
    def pages(self, session: Any) -> SafeString:
        pages = session.facts.pages
        shown = [(linked_page(page, _short(page)),) for page in pages[:PAGES_SHOWN]]
        links = format_html_join(", ", "{}", shown)
        more = len(pages) - PAGES_SHOWN
        return format_html("{} and {} more", links, more) if more > 0 else links

    # Judging several ------------------------------------------------------------------------
    @admin.action(description="Judge as good", permissions=["review"])
    def judge_good(self, request: HttpRequest, sessions: QuerySet[ChatSession]) -> None:
        self.judge_all(request, sessions, ChatSession.Verdict.GOOD)

    @admin.action(description="Judge as needs work", permissions=["review"])
    def judge_needs_work(self, request: HttpRequest, sessions: QuerySet[ChatSession]) -> None:
        self.judge_all(request, sessions, ChatSession.Verdict.NEEDS_WORK)

    @admin.action(description="Judge as harmful", permissions=["review"])
    def judge_harmful(self, request: HttpRequest, sessions: QuerySet[ChatSession]) -> None:
        self.judge_all(request, sessions, ChatSession.Verdict.HARMFUL)

    def judge_all(
        self, request: HttpRequest, sessions: QuerySet[ChatSession], verdict: ChatSession.Verdict
    ) -> None:
        """Sets the verdict only; notes are kept, and earlier verdicts in the admin's log."""
        earlier = dict(sessions.values_list("pk", "verdict"))
        keys, replaced = list(earlier), sum(each not in ("", verdict) for each in earlier.values())
        user = cast(int, request.user.pk)
        named = verdict.label.lower()
        for some in batched(keys, SESSIONS_AT_ONCE):
            judged = ChatSession.objects.filter(pk__in=some)
            judged.update(verdict=verdict, reviewed_at=timezone.now(), reviewed_by=request.user)
            LogEntry.objects.log_actions(user, judged, CHANGE, f"Judged as {named}.")
        self.message_user(request, f"Judged as {named}: {len(keys)}.")
        if replaced:
            sentence = f"This replaced {replaced} other verdict{'s' if replaced > 1 else ''}."
            self.message_user(request, sentence, "warning")

    # Exporting ------------------------------------------------------------------------------
    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chat.export_chatsession"))

    @admin.action(description="Export as JSON lines", permissions=["export"])
    def export_jsonl(
        self, request: HttpRequest, sessions: QuerySet[ChatSession]
    ) -> StreamingHttpResponse:
        return exported(sessions, "jsonl", "application/jsonl")

    @admin.action(description="Export as CSV", permissions=["export"])
    def export_csv(
        self, request: HttpRequest, sessions: QuerySet[ChatSession]
    ) -> StreamingHttpResponse:
        return exported(sessions, "csv", "text/csv; charset=utf-8")

    # Deleting -------------------------------------------------------------------------------
    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Lists the messages that the database deletes with their sessions (ON DELETE CASCADE)."""
        sessions = list(objs)
        counts = dict(
            Message.objects.filter(session__in=sessions)
            .order_by()
            .values_list("session")
            .annotate(Count("pk"))
        )
        listed = [f"Session {each} with its {counts.get(each.pk, 0)} messages" for each in sessions]
        return listed, {"sessions": len(sessions), "messages": sum(counts.values())}, set(), []
