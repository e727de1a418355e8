"""The tables of the book; pgvector, which PostgreSQL then needs to have."""

import book.models
import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.core.management.base import CommandError
from django.db import migrations, models

NEEDED = (0, 7)  # the first with halfvec
HOW = "docs/deploy.md says how to get it"
# A column of no fixed dimension: editions may be embedded by different models. Plain: kept in the
# row, as comparing all of them then costs a fraction.
EMBEDDING = """
ALTER TABLE book_chunk ADD COLUMN embedding halfvec;
ALTER TABLE book_chunk ALTER COLUMN embedding SET STORAGE PLAIN;
"""


def create_pgvector(apps, schema_editor):
    """A trusted extension: the database's owner may create it, without being a superuser."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT default_version, installed_version FROM pg_available_extensions "
            "WHERE name = 'vector'"
        )
        offered, installed = cursor.fetchone() or (None, None)
        if offered is None:
            raise CommandError(f"PostgreSQL does not have the extension pgvector: {HOW}.")
        found = installed or offered
        if tuple(map(int, found.split(".")[:2])) < NEEDED:
            raise CommandError(f"pgvector {found} is older than 0.7, which is needed: {HOW}.")
        if installed is None:
            cursor.execute(
                "SELECT has_database_privilege(current_database(), 'CREATE'), current_user"
            )
            may_create, user = cursor.fetchone()
            if not may_create:
                raise CommandError(
                    f"The database's user {user} may not create the extension pgvector: let the "
                    "database's owner run CREATE EXTENSION vector, then migrate again."
                )
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")


class Migration(migrations.Migration):

    initial = True

    dependencies = []

    operations = [
        migrations.RunPython(create_pgvector, migrations.RunPython.noop),
        migrations.CreateModel(
            name="QuestionSet",
            fields=[
                (
                    "content_hash",
                    models.CharField(max_length=64, primary_key=True, serialize=False),
                ),
                (
                    "languages",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=35)
                    ),
                ),
                ("model", models.CharField(max_length=255)),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "db_table": "book_question_set",
            },
        ),
        migrations.CreateModel(
            name="Section",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("page_url", models.TextField()),
                ("anchor", models.TextField(blank=True, default="")),
                (
                    "heading_path",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), help_text="From the page's title on."
                    ),
                ),
                ("level", models.PositiveSmallIntegerField()),
                ("language", models.CharField(blank=True, default="", max_length=35)),
                ("text", models.TextField(blank=True, help_text="Markdown, without the heading.")),
                (
                    "identity",
                    models.CharField(
                        help_text="SHA-256 of all of it: where it is, and what it says.",
                        max_length=64,
                        unique=True,
                    ),
                ),
                (
                    "content_hash",
                    models.CharField(
                        db_index=True,
                        help_text="SHA-256 of what it says, headings included.",
                        max_length=64,
                    ),
                ),
                (
                    "sketch",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        default=list,
                        help_text="To recognize near-duplicates by.",
                    ),
                ),
            ],
            options={
                "db_table": "book_section",
            },
        ),
        migrations.CreateModel(
            name="Edition",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "number",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Counts those that were published.",
                        null=True,
                        unique=True,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("published_at", models.DateTimeField(blank=True, null=True)),
                ("is_current", models.BooleanField(default=False)),
                (
                    "source",
                    models.TextField(
                        help_text="The folder, file or address that it was read from."
                    ),
                ),
                (
                    "fingerprint",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="SHA-256 of its pages and sections.",
                        max_length=64,
                    ),
                ),
                (
                    "embedding_model",
                    models.CharField(
                        blank=True, default="", help_text="Empty: full text alone.", max_length=255
                    ),
                ),
                ("dimension", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "configurations",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=63),
                        default=list,
                        help_text="The text search configurations of its languages.",
                    ),
                ),
                ("page_count", models.PositiveIntegerField(default=0)),
                ("section_count", models.PositiveIntegerField(default=0)),
                ("chunk_count", models.PositiveIntegerField(default=0)),
                ("question_count", models.PositiveIntegerField(default=0)),
                (
                    "added_count",
                    models.PositiveIntegerField(
                        default=0, help_text="Sections that are new or changed."
                    ),
                ),
                (
                    "removed_count",
                    models.PositiveIntegerField(
                        default=0, help_text="Sections that are gone or changed."
                    ),
                ),
                (
                    "prompt_tokens",
                    models.BigIntegerField(default=0, help_text="Of writing its new questions."),
                ),
                ("completion_tokens", models.BigIntegerField(default=0)),
                ("embedding_tokens", models.BigIntegerField(default=0)),
            ],
            options={
                "db_table": "book_edition",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_current", True)),
                        fields=("is_current",),
                        name="book_edition_one_current",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_current", False),
                            models.Q(("number__isnull", False), ("published_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="book_edition_current_is_published",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Chunk",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("text", "Text"), ("question", "Question")], max_length=8
                    ),
                ),
                (
                    "text",
                    models.TextField(
                        help_text="As it is embedded: a part with its headings in front."
                    ),
                ),
                (
                    "digest",
                    models.UUIDField(help_text="Of the text: the same one is embedded once."),
                ),
                (
                    "configuration",
                    models.CharField(help_text="How its words are found.", max_length=63),
                ),
                ("embedding_model", models.CharField(blank=True, default="", max_length=255)),
                (
                    "since",
                    models.ForeignKey(
                        help_text="Earlier editions do not have it.",
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        to="book.edition",
                    ),
                ),
                (
                    "section",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="chunks",
                        to="book.section",
                    ),
                ),
            ],
            options={
                "db_table": "book_chunk",
            },
        ),
        migrations.CreateModel(
            name="Lexeme",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("configuration", models.CharField(max_length=63)),
                ("lexeme", models.TextField()),
                ("chunks", models.IntegerField()),
            ],
            options={
                "db_table": "book_lexeme",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("lexeme", "configuration"), name="book_lexeme_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Page",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                ("url", models.TextField()),
                ("title", models.TextField()),
                ("language", models.CharField(blank=True, default="", max_length=35)),
                ("etag", models.TextField(blank=True, default="")),
                ("last_modified", models.TextField(blank=True, default="")),
                (
                    "digest",
                    models.TextField(
                        blank=True, default="", help_text="Of the file, or of the answer."
                    ),
                ),
                (
                    "edition",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="pages",
                        to="book.edition",
                    ),
                ),
            ],
            options={
                "db_table": "book_page",
                "ordering": ["edition", "position"],
            },
        ),
        migrations.CreateModel(
            name="Posting",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "chunk_id",
                        "lexeme_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("weight", book.models.RealField()),
                (
                    "chunk",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        to="book.chunk",
                    ),
                ),
                (
                    "lexeme",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        to="book.lexeme",
                    ),
                ),
            ],
            options={
                "db_table": "book_posting",
            },
        ),
        migrations.CreateModel(
            name="Question",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("language", models.CharField(blank=True, default="", max_length=35)),
                ("text", models.TextField()),
                (
                    "question_set",
                    models.ForeignKey(
                        db_column="content_hash",
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="questions",
                        to="book.questionset",
                    ),
                ),
            ],
            options={
                "db_table": "book_question",
            },
        ),
        migrations.CreateModel(
            name="Place",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "edition_id",
                        "section_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("position", models.PositiveIntegerField(help_text="In the page.")),
                (
                    "edition",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        to="book.edition",
                    ),
                ),
                (
                    "page",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DB_CASCADE, to="book.page"
                    ),
                ),
                (
                    "section",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="places",
                        to="book.section",
                    ),
                ),
            ],
            options={
                "db_table": "book_place",
            },
        ),
        migrations.AddConstraint(
            model_name="page",
            constraint=models.UniqueConstraint(fields=("edition", "url"), name="book_page_once"),
        ),
        migrations.AddIndex(
            model_name="posting",
            index=models.Index(
                models.F("lexeme"),
                models.OrderBy(models.F("weight"), descending=True),
                include=("chunk",),
                name="book_posting_best",
            ),
        ),
        migrations.AddConstraint(
            model_name="question",
            constraint=models.UniqueConstraint(
                fields=("question_set", "text"), name="book_question_once"
            ),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(fields=["digest"], name="book_chunk_digest"),
        ),
        migrations.AddConstraint(
            model_name="chunk",
            constraint=models.UniqueConstraint(
                fields=("section", "embedding_model", "kind", "digest"), name="book_chunk_once"
            ),
        ),
        migrations.RunSQL(EMBEDDING, "ALTER TABLE book_chunk DROP COLUMN embedding"),
    ]
