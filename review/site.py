"""The admin site of staff."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from review import second_factor
from review.login import LogInForm


class StaffSite(AdminSite):
    site_header = site_title = "Book chat"
    index_title = "Conversations and staff"
    enable_nav_sidebar = False  # there are few pages, and the lists need the width
    login_form = LogInForm
    login_template = "review/login.html"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and second_factor.is_satisfied(request)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return super().each_context(request) | {"has_second_factor": second_factor.is_on()}

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "GET" and second_factor.must_be_set_up(request):
            return HttpResponseRedirect(reverse("second-factor"))
        response = super().login(request, extra_context)
        if isinstance(response, TemplateResponse):
            form: LogInForm = (response.context_data or {})["form"]
            if form.retry_after:
                response.status_code = 429
                response["Retry-After"] = str(form.retry_after)
        return response
