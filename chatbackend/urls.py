"""What answers at which path: the admin, the chat's page and script, the API at the root."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from chat.api.routes import api
from chat.pages.example import example_page
from chat.pages.home import home
from chat.pages.widget import loader, module
from review.admin.insights import insights_page
from review.second_factor_page import second_factor_page

urlpatterns = [
    path("admin/insights/", admin.site.admin_view(insights_page), name="insights"),
    path("admin/second-factor/", second_factor_page, name="second-factor"),
    path("admin/", admin.site.urls),
    path("", home),
    path("example/", example_page, name="example"),
    path("example/<slug:name>", example_page, name="example-page"),
    path("widget.js", loader, name="widget"),
    path("widget/<slug:version>/<path:name>", module),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}chat/icon.svg")),
    path("", api.urls),
]
