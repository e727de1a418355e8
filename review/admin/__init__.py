"""Staff read, judge and correct conversations. Nobody edits or makes up a message."""

from django.contrib import admin

from review.admin import messages, sessions, staff  # noqa: F401 - they register themselves

admin.site.site_header = admin.site.site_title = "Book chat"
admin.site.index_title = "Conversations and staff"
admin.site.enable_nav_sidebar = False  # there are few rooms, and the lists need the width
