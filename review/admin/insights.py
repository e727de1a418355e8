"""The insights page: the figures of a period."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from book.models import Edition
from review.admin.reading import TooSlow, bounded
from review.insights import MAX_DAYS, MOST_REPLIES, Insights, insights

PERIODS = (7, 30, 90)  # days, one click each
USUAL_PERIOD = 30


class PeriodForm(forms.Form):
    """First and last day (UTC), both included."""

    since = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}))

    def clean(self) -> dict[str, Any]:
        days = super().clean() or self.cleaned_data
        if "since" in days and "until" in days:
            if days["since"] > days["until"]:
                raise forms.ValidationError("The first day is after the last.")
            if days["until"] - days["since"] >= timedelta(days=MAX_DAYS):
                raise forms.ValidationError(f"Choose at most {MAX_DAYS} days.")
        return days


@require_safe
def insights_page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("chat.view_chatsession"):
        raise PermissionDenied
    today = datetime.now(UTC).date()
    usual = {"since": _days_ago(today, USUAL_PERIOD), "until": today}
    form = PeriodForm({name: request.GET.get(name, day) for name, day in usual.items()})
    context = {
        **admin.site.each_context(request),
        "title": "Insights",
        "form": form,
        "periods": [(days, _days_ago(today, days), today) for days in PERIODS],
        "lacks_embeddings": Edition.objects.lacks_embeddings(),
        "has_prices": settings.LLM_PRICE_PER_MILLION is not None,
    }
    if form.is_valid():
        try:
            with bounded():
                found = insights(**form.cleaned_data)
            context |= {"insights": found, "charts": _charts(found), "most_replies": MOST_REPLIES}
        except TooSlow:
            form.add_error(None, "This period takes too long to count. Choose fewer days.")
    return TemplateResponse(request, "review/insights.html", context)


def _days_ago(today: date, days: int) -> date:
    """The first of this number of days up to today."""
    return today - timedelta(days=days - 1)


def _charts(found: Insights) -> dict[str, list[Any]]:
    """One list per series, with a figure for each day, as `insights.js` draws them."""

    def series(name: str) -> list[Any]:
        return [getattr(day, name) for day in found.days]

    def percentile(of: str, which: str) -> list[float | None]:
        """In seconds; None for a day without questions."""
        taken = [getattr(day, of) for day in found.days]
        return [getattr(each, which) / 1000 if each else None for each in taken]

    counts = ("answered", "stopped", "failed", "thumbs_up", "thumbs_down")
    groundings = ("book", "passage", "silent", "uncited", "excerpts")
    tokens = ("prompt_tokens", "completion_tokens")
    return {
        "days": [day.day.isoformat() for day in found.days if day.day],
        **{name: series(name) for name in (*counts, *groundings, *tokens)},
        **{
            f"{of}_{which}": percentile(of, which)
            for of in ("first_token", "duration")
            for which in ("p50", "p95")
        },
    }
