from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate

import review.passwords  # noqa: F401 - before the workers are forked, which share its lock

REVIEWERS = "Conversation reviewers"
REVIEWERS_MAY = (
    "view_chatsession",
    "view_message",
    "review_chatsession",
    "correct_message",
    "export_chatsession",
    "view_edition",
    "view_section",
)


class StaffAdminConfig(AdminConfig):
    default_site = "review.site.StaffSite"


class SecondFactorConfig(AppConfig):
    """django-otp's own, with a name that the admin can show."""

    name = "django_otp.plugins.otp_totp"
    verbose_name = "Second factors"
    default_auto_field = "django.db.models.AutoField"


class ReviewConfig(AppConfig):
    name = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        # The permissions are those of the chat's and the book's models; this app's own has none.
        post_migrate.connect(make_reviewers, sender=apps.get_app_config("chat"))


def make_reviewers(sender: AppConfig, using: str, **_: Any) -> None:
    """Create the reviewers' group, once: changes that an author makes to it are kept."""
    from django.contrib.auth.management import create_permissions  # noqa: PLC0415 - needs apps
    from django.contrib.auth.models import Group, Permission  # noqa: PLC0415

    group, is_new = Group.objects.using(using).get_or_create(name=REVIEWERS)
    if is_new:
        for app in (sender, apps.get_app_config("book")):
            create_permissions(app, verbosity=0, using=using)
        own = Permission.objects.using(using).filter(content_type__app_label__in=("chat", "book"))
        group.permissions.set(own.filter(codename__in=REVIEWERS_MAY))
