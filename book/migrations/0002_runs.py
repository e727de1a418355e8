"""Runs of indexing, and the permission to start one."""

import django.contrib.postgres.fields
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("book", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Run",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source", models.TextField()),
                ("started_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "stage",
                    models.TextField(
                        blank=True, default="", help_text="What is counted; empty: starting."
                    ),
                ),
                ("done", models.PositiveIntegerField(default=0)),
                ("total", models.PositiveIntegerField(null=True)),
                (
                    "warnings",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), default=list, help_text="The first of them."
                    ),
                ),
                ("warning_count", models.PositiveIntegerField(default=0)),
                (
                    "result",
                    models.TextField(
                        blank=True, default="", help_text="A sentence, as is the error."
                    ),
                ),
                ("error", models.TextField(blank=True, default="")),
            ],
            options={
                "db_table": "book_run",
                "ordering": ["-id"],
                "default_permissions": (),
            },
        ),
        migrations.AlterModelOptions(
            name="edition",
            options={
                "ordering": ["-id"],
                "permissions": [("index_book", "Can index the book again")],
            },
        ),
    ]
