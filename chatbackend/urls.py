"""The map: the admin, the page, and the API at the root."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from chat.admin.insights import insights_page
from chat.api import api
from chat.views import home
from chat.widget import loader, module

urlpatterns = [
    path("admin/insights/", admin.site.admin_view(insights_page), name="insights"),
    path("admin/", admin.site.urls),
    path("", home),
    path("widget.js", loader),
    path("widget/<slug:version>/<path:name>", module),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}chat/icon.svg")),
    path("", api.urls),
]
