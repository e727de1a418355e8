"""The page where staff set up their second factor, and remove it."""

import segno
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from loguru import logger

from review import second_factor


class CodeForm(forms.Form):
    code = forms.CharField(
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autofocus": True}),
    )


@never_cache
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """For staff without a second factor, and for those whose session is verified."""
    if not second_factor.is_on():
        raise Http404
    has_device = second_factor.has_device(request.user)
    if not request.user.is_staff or (has_device and not second_factor.is_verified(request)):
        return redirect_to_login(request.get_full_path(), "admin:login")
    needs_code = not (has_device and second_factor.came_with_backup_code(request))
    form = CodeForm(request.POST if request.method == "POST" else None)
    form.fields["code"].required = needs_code
    if form.is_valid():
        change = _remove if has_device else _set_up
        if change(request, form.cleaned_data["code"]):
            return HttpResponseRedirect(request.path)
        form.add_error("code", "This is not the current code.")
    context = {
        **admin.site.each_context(request),
        "title": "Second factor",
        "form": form,
        "has_device": has_device,
        "needs_code": needs_code,
        "is_required": settings.STAFF_SECOND_FACTOR == "required",
    }
    if not has_device:
        device = second_factor.new_device(request)
        context |= {"qr_code": _qr_code(device.config_url), "key": _key(device.config_url)}
    return TemplateResponse(request, "review/second_factor.html", context)


def _set_up(request: HttpRequest, code: str) -> bool:
    if not second_factor.set_up(request, code):
        return False
    logger.info("A second factor was set up", account=request.user.get_username())
    messages.success(request, "Your second factor is set up.")
    return True


def _remove(request: HttpRequest, code: str) -> bool:
    is_known = second_factor.came_with_backup_code(request)
    if not is_known and second_factor.verify(request.user, code) is None:
        return False
    second_factor.remove(request.user)
    logger.info("A second factor was removed", account=request.user.get_username())
    messages.success(request, "Your second factor is removed.")
    return True


def _qr_code(url: str) -> SafeString:
    svg = segno.make(url, error="m").svg_inline(scale=5, border=4, light="white")
    return mark_safe(svg)  # noqa: S308 - squares


def _key(url: str) -> str:
    """The secret as apps accept it when typed: groups of four letters and digits."""
    secret = url.partition("secret=")[2].partition("&")[0]
    return " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
