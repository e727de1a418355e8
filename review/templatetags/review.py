"""How the pages of staff show a message."""

import time
from typing import Any
from urllib.parse import quote

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from book.models import Section
from chat.api.problems import PROBLEMS
from chat.errors import Interrupted
from chat.models import Message
from review.addresses import is_in_book, shown
from review.insights import Place
from review.markdown import rendered, unformatted

register = template.Library()

FRAGMENT_WORDS = 5
PAGE_SECONDS = 2
MARKDOWN_SECONDS = "seconds spent on Markdown"
FINISH_REASONS = {
    "length": "cut at the maximum length",
    "content-filter": "cut by the model's content filter",
    "other": "ended for another reason",
}


@register.filter
def markdown(text: str) -> SafeString:
    return rendered(text)


@register.simple_tag(takes_context=True)
def page_markdown(context: Context, text: str) -> SafeString:
    """`markdown` within a page's time: once that is used up, text is shown unformatted."""
    state = context.render_context
    spent: float = state.get(MARKDOWN_SECONDS) or 0
    if spent > PAGE_SECONDS:
        return unformatted(text)
    begin = time.perf_counter()
    html = rendered(text)
    state[MARKDOWN_SECONDS] = spent + time.perf_counter() - begin
    return html


@register.filter
def page_link(page: str) -> SafeString:
    """A page of the book as a link; any other address as text that starts with its host."""
    return linked_page(page, page)


def linked_page(page: str, label: str) -> SafeString:
    """`page_link` with another label for pages of the book."""
    if is_in_book(page):
        return format_html('<a href="{}" rel="noopener noreferrer">{}</a>', page, label)
    return format_html(
        '<span title="{}"><bdi>{}</bdi> <span class="badge foreign">not in the book</span></span>',
        page,
        shown(page),
    )


@register.filter
def source_link(place: dict[str, Any]) -> SafeString:
    """A source, or a nearest section: where it is, as a link to it."""
    title, section, url = (str(place.get(name) or "") for name in ("title", "section", "url"))
    label = f"{title} \u203a {section}" if section not in ("", title) else title
    if not url.lower().startswith(("http://", "https://")):
        return format_html("<bdi>{}</bdi>", label or url)
    return format_html('<a href="{}" rel="noopener noreferrer">{}</a>', url, label or url)


@register.filter
def section_name(section: Section) -> str:
    return " \u203a ".join(section.heading_path) or section.url


@register.filter
def is_foreign(page: str) -> bool:
    return bool(page) and not is_in_book(page)


@register.filter
def passage_link(question: Message) -> str:
    """The page's address with a text fragment: browsers scroll to the passage and highlight it.

    Empty for a page outside the book.
    """
    words = question.selected_text.split()
    start, end = words[:FRAGMENT_WORDS], words[FRAGMENT_WORDS:][-FRAGMENT_WORDS:]
    return _at_text(question.page_url, start, end)


@register.filter
def place_link(place: Place) -> str:
    """The same, for a passage of which only the beginning is known."""
    return _at_text(place.page, place.passage.split()[:FRAGMENT_WORDS])


def _at_text(page: str, *parts: list[str]) -> str:
    if not is_in_book(page):
        return ""
    fragment = ",".join(_encoded(" ".join(part)) for part in parts if part)
    separator = ":~:" if "#" in page else "#:~:"
    return f"{page}{separator}text={fragment}"


def _encoded(text: str) -> str:
    return quote(text, safe="").replace("-", "%2D")  # a dash has a meaning in text fragments


@register.filter
def why(reply: Message) -> str:
    """Why a reply failed, in plain words."""
    if reply.error_code == Interrupted.code:
        return "The server was killed or restarted while this was being written."
    problem = PROBLEMS.get(reply.error_code)
    return problem.detail if problem else reply.error_code


@register.filter
def grounding(name: str) -> str:
    """What an answer rests on, in plain words."""
    return Message.Grounding(name).label


@register.filter
def ended(reply: Message) -> str:
    """Why a reply ended early; empty for an ordinary end."""
    return FINISH_REASONS.get(reply.finish_reason, "")


@register.filter
def as_seconds(milliseconds: int | None) -> str:
    return f"{milliseconds / 1000:.1f} s" if isinstance(milliseconds, int) else "-"


@register.filter
def as_percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}".replace("%", "\u00a0%")
