"""Staff read, judge and correct conversations. Messages are neither edited nor added."""

from django.contrib import admin

from review.admin import messages, sessions, staff  # noqa: F401 - they register themselves

admin.site.site_header = admin.site.site_title = "Book chat"
admin.site.index_title = "Conversations and staff"
admin.site.enable_nav_sidebar = False  # there are few pages, and the lists need the width
