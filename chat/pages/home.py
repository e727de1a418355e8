"""The chat on a page of its own."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from llm.providers import is_demonstration


@csrf_exempt  # a POST gets 405, not an error about a missing token
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    context = {"book_title": settings.BOOK_TITLE, "is_demonstration": is_demonstration()}
    return render(request, "chat/home.html", context)
