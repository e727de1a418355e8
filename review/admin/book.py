"""What staff see of the book: its editions, and its sections with the questions they answer."""

import asyncio
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Case, Exists, OuterRef, QuerySet, When
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from book import runs, search
from book.models import Edition, Place, Question, Section
from book.question_vector import with_vector
from llm import completions
from llm.prices import cost
from review import indexing
from review.admin.citing import OfReaders, citations_of, outdated_answers
from review.admin.reading import NeverDeleted
from review.markdown import rendered
from review.templatetags.review import page_link

MAX_FOUND = 20


def column(field: str, label: str) -> Callable[[Any, Edition], int | None]:
    """A column with a shorter name than its field's; a draft is not counted yet."""

    @admin.display(description=label, empty_value="-")
    def show(self: Any, edition: Edition) -> int | None:
        return int(getattr(edition, field)) if edition.number else None

    return show


class Indexing(NeverDeleted):
    """The list of editions, with the latest run above it and a button for another one."""

    class Media:
        js = [Script("review/run.js", defer=True)]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("index-again/", view(self.index_again), name="book_edition_index_again"),
            path("run/", view(self.run), name="book_edition_run"),
            *super().get_urls(),
        ]

    def has_index_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("book.index_book"))

    @method_decorator(require_POST)
    def index_again(self, request: HttpRequest) -> HttpResponse:
        if not (self.has_index_permission(request) and self.has_view_permission(request)):
            raise PermissionDenied
        if not settings.BOOK_SOURCE:
            messages.error(request, "Set BOOK_SOURCE to where the book is read from.")
        elif not indexing.index_again():
            messages.warning(request, "A run works already.")
        return HttpResponseRedirect(reverse("admin:book_edition_changelist"))

    @method_decorator(require_safe)
    def run(self, request: HttpRequest) -> HttpResponse:
        """The part of the page that changes while a run works."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return TemplateResponse(request, "review/run.html", self._of_run(request))

    def _of_run(self, request: HttpRequest) -> dict[str, Any]:
        run, state = indexing.state()
        return {
            "run": run,
            "state": state,
            "is_at_work": state in ("starting", "running"),
            "interrupted": runs.INTERRUPTED,
            "more_warnings": run.warning_count - len(run.warnings) if run else 0,
            "may_index": self.has_index_permission(request),
            "source": settings.BOOK_SOURCE,
        }

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, (extra_context or {}) | self._of_run(request))


@admin.register(Edition)
class EditionAdmin(OfReaders, Indexing):
    list_display = (
        "__str__", "state", "published_at", "source", "pages", "sections", "questions", "new",
        "gone", "cost",
    )  # fmt: skip
    sortable_by = ()
    fields = readonly_fields = (
        "number", "is_current", "created_at", "published_at", "source", "page_count",
        "section_count", "question_count", "chunk_count", "added_count", "removed_count",
        "embedding_model", "dimension", "configurations", "prompt_tokens", "completion_tokens",
        "embedding_tokens", "cost", "outdated",
    )  # fmt: skip
    of_readers = ("outdated",)

    pages, sections = column("page_count", "pages"), column("section_count", "sections")
    questions = column("question_count", "questions")
    new, gone = column("added_count", "new or changed"), column("removed_count", "gone or changed")

    @admin.display(description="state")
    def state(self, edition: Edition) -> str:
        if edition.is_current:
            return format_html("<strong>{}</strong>", "current")
        if edition.number:
            return "former"
        return "being indexed" if runs.is_running() else "interrupted; the next run goes on with it"

    @admin.display(description="outdated answers")
    def outdated(self, edition: Edition) -> SafeString | str:
        return outdated_answers(edition)

    @admin.display(description="cost of its questions")
    def cost(self, edition: Edition) -> str:
        prices = settings.LLM_PRICE_PER_MILLION
        money = cost(edition.prompt_tokens, edition.completion_tokens, prices)
        return "-" if money is None else f"{money:.4f}"


@admin.register(Section)
class SectionAdmin(OfReaders, NeverDeleted):
    """The current edition's. The search box finds what a reader's question finds, best first."""

    list_display = ("title", "page", "language", "level")
    search_fields = ("text",)  # by `get_search_results`
    search_help_text = "A question, as a reader would ask it"
    sortable_by = ()
    ordering = ("pk",)
    fields = readonly_fields = (
        "path", "page", "language", "level", "markdown", "questions", "citations",
    )  # fmt: skip
    of_readers = ("citations",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Section]:
        current = Place.objects.filter(edition__is_current=True, section=OuterRef("pk"))
        sections = super().get_queryset(request).defer("sketch")
        is_list = request.resolver_match and not request.resolver_match.kwargs
        return sections.filter(Exists(current)) if is_list else sections

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Section], search_term: str
    ) -> tuple[QuerySet[Section], bool]:
        if not search_term.strip():
            return queryset, False
        keys = found(search_term)
        in_order = Case(*(When(pk=key, then=place) for place, key in enumerate(keys)))
        return queryset.filter(pk__in=keys).order_by(in_order), False

    @admin.display(description="page")
    def page(self, section: Section) -> SafeString:
        return page_link(section.url)

    @admin.display(description="text")
    def markdown(self, section: Section) -> SafeString:
        return format_html('<div class="markdown">{}</div>', rendered(section.text))

    @admin.display(description="questions that it answers")
    def questions(self, section: Section) -> SafeString | str:
        of_content = Question.objects.filter(question_set=section.content_hash).order_by("pk")
        rows = of_content.values_list("text", "language")
        if not rows:
            return "none is written"
        return format_html("<ul>{}</ul>", format_html_join("", "<li><bdi>{}</bdi> ({})</li>", rows))

    @admin.display(description="answers that cite it")
    def citations(self, section: Section) -> SafeString | str:
        return citations_of(section)


def found(question: str) -> list[int]:
    """The ids of the sections that a reader's question finds, best first."""

    async def ask() -> search.Query:
        try:
            return await with_vector(search.Query(question))
        finally:
            await completions.close_clients()

    query = asyncio.run(ask())
    with connection.cursor() as cursor:
        cursor.execute(*search.statement(query, MAX_FOUND))
        result = search.read_rows(cursor.fetchall(), MAX_FOUND)
    return [hit.section_id for hit in result.hits] if result else []
