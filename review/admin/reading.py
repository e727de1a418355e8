"""What the lists share: read-only, with bounded counts and bounded queries."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import DatabaseError, connection, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from loguru import logger
from psycopg.errors import InternalError_, QueryCanceled, StatementTooComplex

MOST_COUNTED = 1_000
EXCERPT_CHARS = 120
LONGEST_QUERY_SECONDS = 5
LOOKUPS = ("", "exact", "gte", "lt", "isnull")  # the ones that the filters of a list use

# InternalError: 33 dashes in a row are too many for the stack of PostgreSQL's text search.
UNANSWERED = (QueryCanceled, StatementTooComplex, InternalError_)


class TooSlow(Exception):
    """A query was cancelled because it took too long, or refused as too complex."""


@contextmanager
def bounded() -> Iterator[None]:
    """Limit each query in the block to a few seconds. Raises TooSlow.

    Some searches scan the whole table (`node -node`), in the database that readers' turns need.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            limit = f"{LONGEST_QUERY_SECONDS}s"
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [limit])
            yield
    except DatabaseError as error:
        if isinstance(error.__cause__, UNANSWERED):
            logger.warning("A page was too slow: {}", str(error).partition("\n")[0])
            raise TooSlow from error
        raise


def refuse_nul(request: HttpRequest) -> None:
    """PostgreSQL accepts NUL in no text. Raises IncorrectLookupParameters."""
    if any("\0" in value for _, values in request.GET.lists() for value in values):
        raise IncorrectLookupParameters


class CappedPaginator(Paginator):
    """Counts up to a limit: a full count scans the whole table."""

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet[Model], self.object_list)
        return rows[: MOST_COUNTED + 1].count()


class ReadOnlyAdmin(admin.ModelAdmin):
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter
    list_per_page = list_max_show_all = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only the lookups of the list's own filters.

        Django lets a URL filter by any column with any lookup, and so reveal columns that no page
        shows, such as a reader's keys, character by character.
        """
        names = {getattr(each, "parameter_name", each) for each in self.list_filter}
        name, _, kind = lookup.partition("__")
        return name in names and kind in LOOKUPS

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list with its rows. Raises TooSlow."""
        refuse_nul(request)
        if getattr(request, "without_results", False):  # only its queryset is needed
            return super().get_changelist_instance(request)
        with bounded():
            changelist = super().get_changelist_instance(request)
            changelist.result_list = list(changelist.result_list)
            return changelist

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().changelist_view(request, extra_context)
        except TooSlow:
            return self.too_slow(request)
        except ValidationError:
            messages.error(request, "The selection contains something that is not in this list.")
            return HttpResponseRedirect(request.get_full_path())

    def too_slow(self, request: HttpRequest) -> HttpResponse:
        """A search leads back to the whole list; where that is too slow itself, to nowhere."""
        if request.GET:
            sentence = "That search would take too long. Try other words, or fewer filters."
            messages.error(request, sentence)
            return HttpResponseRedirect(request.path)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(self.opts.verbose_name_plural).capitalize(),
        }
        return TemplateResponse(request, "review/too_slow.html", context)


class NeverDeleted(ReadOnlyAdmin):
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
