"""A group of reviewers that exists already may see the book's pages too.

A new one gets these permissions when it is made (`review.apps`).
"""

from django.db import migrations

GROUP = "Conversation reviewers"


def grant(apps, schema_editor):
    using = schema_editor.connection.alias
    group = apps.get_model("auth", "Group").objects.using(using).filter(name=GROUP).first()
    if group is None:
        return
    # Django makes permissions only after all migrations.
    types = apps.get_model("contenttypes", "ContentType").objects.using(using)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    for model in ("edition", "section"):
        content_type, _ = types.get_or_create(app_label="book", model=model)
        permission, _ = permissions.get_or_create(
            content_type=content_type,
            codename=f"view_{model}",
            defaults={"name": f"Can view {model}"},
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):

    dependencies = [
        ("review", "0001_login_failures"),
        ("book", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
