"""The lists of users, groups and second factors."""

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import admin as auth
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_otp.plugins.otp_static import admin as static
from django_otp.plugins.otp_totp import admin as totp

from review import second_factor
from review.admin.reading import refuse_nul

# Django and django-otp have registered their own.
admin.site.unregister([User, Group, totp.TOTPDevice, static.StaticDevice])


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


class SecondFactorAdmin(StaffList):
    """Which members of staff have one; it can be removed, for someone who lost the device."""

    list_display = fields = readonly_fields = ("user", "name", "created_at", "last_used_at")
    search_fields = _folded(("user__username",))

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


if second_factor.is_on():
    admin.site.register(totp.TOTPDevice, SecondFactorAdmin)
