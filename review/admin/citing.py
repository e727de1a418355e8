"""Which answers cite a section, or what an edition changed: for the pages of both."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from book.models import Edition, Section
from chat.models import Message
from review import citations
from review.admin.reading import TooSlow, bounded

TOO_SLOW = "This takes too long to look up."


class OfReaders:
    """Fields that show what readers wrote, to those who may read conversations."""

    of_readers: tuple[str, ...] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)  # type: ignore[misc]
        if request.user.has_perm("chat.view_chatsession"):
            return fields
        return [name for name in fields if name not in self.of_readers]


def citations_of(section: Section) -> SafeString | str:
    """How often the section is found and cited, and the newest answers that cite it."""

    def context() -> dict[str, Any]:
        replies = citations.newest_citing(section.pk)
        return {
            "use": citations.use_of(section.pk),
            "days": citations.USE_DAYS,
            "most_replies": citations.MOST_REPLIES,
            "listed": citations.LISTED,
            "citing": [(reply, _cited(reply, section)) for reply in replies],
        }

    return _bounded("admin/book/citations.html", context)


def outdated_answers(edition: Edition) -> SafeString | str:
    """The sections that the edition changed or left out, with the answers that cite them."""

    def context() -> dict[str, Any]:
        return {
            "outdated": citations.outdated_by(edition),
            "most_replies": citations.MOST_REPLIES,
            "most": citations.MOST_OUTDATED,
        }

    return _bounded("admin/book/outdated.html", context)


def _cited(reply: Message, section: Section) -> dict[str, Any]:
    """The source by which the reply cites the section."""
    matching = (each for each in reply.sources if each.get("section_id") == section.pk)
    return next(matching, {})


def _bounded(template: str, context: Callable[[], dict[str, Any]]) -> SafeString | str:
    try:
        with bounded():
            return render_to_string(template, context())
    except TooSlow:
        return TOO_SLOW
