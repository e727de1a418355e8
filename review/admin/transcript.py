"""A session as it was read: one page to read, judge and correct it on."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from chat.models import ChatSession, ChatSessionQuerySet, Message
from review.admin.grounding import add_grounding
from review.admin.reading import TooSlow, bounded

MESSAGES_PER_PAGE = 100
FILTERS = "_changelist_filters"


class ReviewForm(forms.ModelForm):
    class Meta:
        model = ChatSession
        fields = ("verdict", "review_note")
        widgets = {
            "verdict": forms.RadioSelect,
            "review_note": forms.Textarea(attrs={"rows": 2, "maxlength": 10_000}),
        }


class CorrectionForm(forms.Form):
    message = forms.UUIDField()
    correction = forms.CharField(required=False, max_length=100_000)


def is_outdated(request: HttpRequest, changed_at: datetime | None) -> bool:
    """Whether someone else has reviewed or corrected (at `changed_at`) since the form was made.

    Without this check, the last to save would overwrite the other's text without seeing it.
    """
    current = changed_at.isoformat() if changed_at else ""
    return request.POST.get("seen", current) != current


class Transcript(admin.ModelAdmin):
    """The page of a session: read, judge and correct it."""

    def has_review_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chat.review_chatsession"))

    def has_correct_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chat.correct_message"))

    @method_decorator(csrf_protect)
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        session: ChatSession | None = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, session):
            raise PermissionDenied
        if session is None:
            raise Http404
        if request.method == "POST":
            return self.act(request, session)
        return self.show(request, session)

    # Reading --------------------------------------------------------------------------------
    def show(
        self,
        request: HttpRequest,
        session: ChatSession,
        review: ReviewForm | None = None,
        typed: tuple[Any, str] | None = None,
    ) -> HttpResponse:
        """`typed` is a correction that was not stored: the reply's id and the text."""
        before = forms.UUIDField(required=False)
        try:
            oldest = before.clean(request.GET.get("before"))
        except forms.ValidationError:
            oldest = None
        related = Message.objects.filter(session=session).select_related("corrected_by")
        messages, has_older = related.page(MESSAGES_PER_PAGE, oldest)
        add_grounding(messages)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Conversation",
            "session": session,
            "chat_messages": messages,
            "older": messages[0].pk if has_older else None,
            "is_newest": oldest is None,
            "review": review or ReviewForm(instance=session),
            "typed_at": typed[0] if typed else None,
            "typed": typed[1] if typed else "",
            "filters": request.GET.get(FILTERS, ""),
            "may_review": self.has_review_permission(request),
            "may_correct": self.has_correct_permission(request),
            "may_delete": self.has_delete_permission(request, session),
            **self.neighbours(request, session),
        }
        return TemplateResponse(request, "admin/chat/chatsession/transcript.html", context)

    def neighbours(self, request: HttpRequest, session: ChatSession) -> dict[str, str | None]:
        """The addresses of the sessions before and after this one in the list one came from.

        Empty when the search of that list is invalid or takes too long.
        """
        try:
            with bounded():
                return self.sessions_around(request, session)
        except (TooSlow, IncorrectLookupParameters, SuspiciousOperation):
            return {}

    def sessions_around(self, request: HttpRequest, session: ChatSession) -> dict[str, str | None]:
        sessions = self.listed(request)
        at, pk = session.updated_at, session.pk
        later = sessions.filter(Q(updated_at__gte=at) & (Q(updated_at__gt=at) | Q(pk__gt=pk)))
        earlier = sessions.filter(Q(updated_at__lte=at) & (Q(updated_at__lt=at) | Q(pk__lt=pk)))
        found = {
            "newer": later.order_by("updated_at", "id"),
            "older_session": earlier,
            "next_unreviewed": earlier.unreviewed(),
        }
        keys = {name: rows.values_list("pk", flat=True).first() for name, rows in found.items()}
        if keys["next_unreviewed"] is None:  # none is older; perhaps one is newer
            unreviewed = later.unreviewed().values_list("pk", flat=True)
            keys["next_unreviewed"] = unreviewed.first()
        return {name: self.address(request, key) if key else None for name, key in keys.items()}

    def listed(self, request: HttpRequest) -> ChatSessionQuerySet:
        """The rows of that list, by its filters and search."""
        listing = HttpRequest()
        listing.user, listing.method = request.user, "GET"
        listing.GET = QueryDict(request.GET.get(FILTERS, ""))
        listing.without_results = True  # type: ignore[attr-defined]
        queryset: ChatSessionQuerySet = self.get_changelist_instance(listing).queryset
        return queryset

    def address(self, request: HttpRequest, key: Any) -> str:
        query = QueryDict(mutable=True)
        if filters := request.GET.get(FILTERS):
            query[FILTERS] = filters
        address = reverse("admin:chat_chatsession_change", args=[key])
        return f"{address}?{query.urlencode()}" if query else address

    # Judging and correcting -----------------------------------------------------------------
    def act(self, request: HttpRequest, session: ChatSession) -> HttpResponse:
        if "_judge" in request.POST or "_judge_next" in request.POST:
            return self.judge_one(request, session)
        if "_correct" in request.POST:
            return self.correct(request, session)
        raise PermissionDenied

    def judge_one(self, request: HttpRequest, session: ChatSession) -> HttpResponse:
        if not self.has_review_permission(request):
            raise PermissionDenied
        form = ReviewForm(request.POST, instance=session)
        if not form.is_valid():
            return self.show(request, session, form)
        verdict, note = form.cleaned_data["verdict"], form.cleaned_data["review_note"]
        late = is_outdated(request, session.reviewed_at)
        if late or not self.judge(request, session, verdict, note):
            session.refresh_from_db(fields=["verdict", "review_note", "reviewed_at", "reviewed_by"])
            self.message_user(request, review_conflict(session), "error")
            return self.show(request, session, form)
        if "_judge_next" in request.POST:
            following = self.neighbours(request, session).get("next_unreviewed")
            if following:  # its beginning: browsers keep the fragment of where one came from
                return HttpResponseRedirect(f"{following}#content-start")
        self.message_user(request, "Your review is stored.")
        return HttpResponseRedirect(self.address(request, session.pk))

    def judge(self, request: HttpRequest, session: ChatSession, verdict: str, note: str) -> bool:
        """Store the review, unless another one was stored meanwhile; returns whether it was stored.

        Writes these columns only, since readers' turns write to the others.
        """
        unchanged = ChatSession.objects.filter(pk=session.pk, reviewed_at=session.reviewed_at)
        found = unchanged.update(
            verdict=verdict,
            review_note=note,
            reviewed_at=timezone.now() if verdict or note else None,
            reviewed_by=request.user if verdict or note else None,
        )
        if found:
            named = ChatSession.Verdict(verdict).label.lower() if verdict else "unreviewed"
            self.log_change(request, session, f"Judged as {named}.")
        return bool(found)

    def correct(self, request: HttpRequest, session: ChatSession) -> HttpResponse:
        if not self.has_correct_permission(request):
            raise PermissionDenied
        form = CorrectionForm(request.POST)
        if not form.is_valid():
            self.message_user(request, "The correction could not be stored.", "error")
            return self.show(request, session)
        key, text = form.cleaned_data["message"], form.cleaned_data["correction"]
        text = text.replace("\r\n", "\n").strip()
        replies = Message.objects.replies().filter(session=session, pk=key)
        reply = get_object_or_404(replies.select_related("session"))
        late = is_outdated(request, reply.corrected_at)
        if late or not self.store_correction(request, reply, text):
            reply = get_object_or_404(replies.select_related("corrected_by"))
            self.message_user(request, correction_conflict(reply), "error")
            return self.show(request, session, typed=(key, text))
        done = "stored. The reader sees it with the reply" if text else "removed"
        self.message_user(request, f"The correction is {done}.")
        return HttpResponseRedirect(f"{request.get_full_path()}#message-{key}")

    def store_correction(self, request: HttpRequest, reply: Message, text: str) -> bool:
        """Store the correction, unless the reply is pending or was corrected meanwhile; returns
        whether it was stored.
        """
        unchanged = Message.objects.filter(pk=reply.pk, corrected_at=reply.corrected_at)
        found = unchanged.exclude(status=Message.Status.PENDING).update(
            correction=text,
            corrected_at=timezone.now() if text else None,
            corrected_by=request.user if text else None,
        )
        if found:
            done = "Corrected a reply." if text else "Removed a correction."
            self.log_change(request, reply.session, done)
        return bool(found)


def review_conflict(session: ChatSession) -> str:
    """A sentence about the review that was stored meanwhile."""
    if not session.reviewed_at:
        return "The review was removed in the meantime. Save again to store yours."
    verdict = session.get_verdict_display() or "no verdict"
    note = f" (“{session.review_note}”)" if session.review_note else ""
    by = session.reviewed_by or "someone"
    return (
        f"This was reviewed in the meantime by {by}: {verdict}{note}. Save again to replace that."
    )


def correction_conflict(reply: Message) -> str:
    """A sentence about why the correction was not stored."""
    if reply.status == Message.Status.PENDING:
        return "This reply is still being written. Correct it once it is complete."
    by = reply.corrected_by or "someone"
    return (
        f"The correction was changed in the meantime by {by}. "
        "Save again to replace it with yours."
    )
