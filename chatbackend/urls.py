"""The map: the admin, the page, and the API at the root."""

from django.contrib import admin
from django.urls import path

from chat.api import api
from chat.views import home

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", home),
    path("", api.urls),
]
