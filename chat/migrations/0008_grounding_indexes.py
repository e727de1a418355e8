"""The indexes of 0007's columns, built while turns are stored."""

import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False
    dependencies = [("chat", "0007_grounding")]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("grounding", "silent")),
                fields=["session"],
                name="chat_message_silent",
            ),
        ),
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("grounding", "book"), ("support__lt", 0.5)),
                fields=["session"],
                name="chat_message_weak",
            ),
        ),
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("misquotes__gt", 0)),
                fields=["session"],
                name="chat_message_misquoted",
            ),
        ),
        AddIndexConcurrently(
            model_name="message",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("sources", []), _negated=True),
                fields=["sources"],
                name="chat_message_sources",
                opclasses=["jsonb_path_ops"],
            ),
        ),
        ValidateConstraint(model_name="message", name="chat_message_grounding_known"),
    ]
