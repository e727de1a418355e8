"""The lists of users and groups."""

from django.contrib import admin
from django.contrib.auth import admin as auth
from django.contrib.auth.models import Group, User

# Django has registered its own.
admin.site.unregister([User, Group])


def _folded(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{field}__folded__contains" for field in fields)


@admin.register(User)
class UserAdmin(auth.UserAdmin):
    search_fields = _folded(("username", "first_name", "last_name", "email"))


@admin.register(Group)
class GroupAdmin(auth.GroupAdmin):
    search_fields = _folded(("name",))
