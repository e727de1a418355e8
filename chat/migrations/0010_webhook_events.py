"""What the operator's webhook is told of, until it is delivered."""

import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("chat", "0009_door_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("reply.disliked", "Disliked"),
                            ("reply.silent", "Silent"),
                            ("budget.reached", "Budget"),
                            ("edition.indexed", "Indexed"),
                        ],
                        max_length=32,
                    ),
                ),
                (
                    "subject",
                    models.CharField(
                        help_text="The reply's id, the day or the edition's number.", max_length=64
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("due_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("delivered_at", models.DateTimeField(blank=True, null=True)),
                ("given_up_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.CharField(blank=True, default="", max_length=64)),
            ],
            options={
                "db_table": "chat_webhook_event",
                "indexes": [
                    models.Index(
                        condition=models.Q(("delivered_at", None), ("given_up_at", None)),
                        fields=["due_at"],
                        name="chat_webhook_event_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("kind", "subject"), name="chat_webhook_event_once"
                    )
                ],
            },
        ),
    ]
