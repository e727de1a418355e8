from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

REVIEWERS = "Conversation reviewers"
REVIEWERS_MAY = (
    "view_chatsession",
    "view_message",
    "review_chatsession",
    "correct_message",
    "export_chatsession",
)


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = "Conversations"

    def ready(self) -> None:
        from chat import checks  # noqa: F401, PLC0415 - registers them, once apps are loaded

        post_migrate.connect(make_reviewers, sender=self)


def make_reviewers(sender: AppConfig, using: str, **_: Any) -> None:
    """The group of those who review; made once, so that what an author changes in it stays."""
    from django.contrib.auth.management import create_permissions  # noqa: PLC0415 - needs apps
    from django.contrib.auth.models import Group, Permission  # noqa: PLC0415

    group, is_new = Group.objects.using(using).get_or_create(name=REVIEWERS)
    if is_new:
        create_permissions(sender, verbosity=0, using=using)
        own = Permission.objects.using(using).filter(content_type__app_label="chat")
        group.permissions.set(own.filter(codename__in=REVIEWERS_MAY))
