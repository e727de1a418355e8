"""The lists of users and groups."""

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import admin as auth
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from review.admin.reading import refuse_nul

# Django has registered its own.
admin.site.unregister([User, Group])


class StaffList(admin.ModelAdmin):
    """Searched by folded text; a NUL in the search is no server error."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        refuse_nul(request)
        return super().get_changelist_instance(request)


def _folded(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{field}__folded__contains" for field in fields)


@admin.register(User)
class UserAdmin(StaffList, auth.UserAdmin):
    search_fields = _folded(("username", "first_name", "last_name", "email"))


@admin.register(Group)
class GroupAdmin(StaffList, auth.GroupAdmin):
    search_fields = _folded(("name",))
