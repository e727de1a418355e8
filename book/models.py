"""The tables of the book.

A section is a row for good: editions share those that did not change, and an old one stays
readable. What is searched are chunks: parts of sections, and questions that they answer. Their
embeddings (`book_chunk.embedding`) are no field of the model, so that no query carries them along.
"""

from datetime import timedelta
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

BETWEEN_HEADINGS = " \u203a "


class RealField(models.FloatField):  # type: ignore[type-arg]
    """Half as large as a double, of which there are millions."""

    def db_type(self, connection: object) -> str:
        return "real"


class EditionQuerySet(models.QuerySet["Edition"]):
    def current(self) -> Self:
        """The one edition that readers get; empty where no book is indexed."""
        return self.filter(is_current=True)

    def lacks_embeddings(self) -> bool | None:
        """Whether the book is searched by its words alone; None where none is indexed."""
        model = self.current().values_list("embedding_model", flat=True).first()
        return None if model is None else not model

    def drafts(self) -> Self:
        """What a run has begun and not finished."""
        return self.filter(published_at__isnull=True)

    def published(self) -> Self:
        return self.filter(published_at__isnull=False)


class Edition(models.Model):
    """One state of the whole book. It is a draft until it is published."""

    number = models.PositiveIntegerField(
        unique=True, null=True, blank=True, help_text="Counts those that were published."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    published_at = models.DateTimeField(null=True, blank=True)
    is_current = models.BooleanField(default=False)
    source = models.TextField(help_text="The folder, file or address that it was read from.")
    fingerprint = models.CharField(
        max_length=64, blank=True, default="", help_text="SHA-256 of its pages and sections."
    )
    embedding_model = models.CharField(
        max_length=255, blank=True, default="", help_text="Empty: full text alone."
    )
    dimension = models.PositiveIntegerField(null=True, blank=True)
    configurations = ArrayField(
        models.CharField(max_length=63),
        default=list,
        help_text="The text search configurations of its languages.",
    )
    configuration_chunks = ArrayField(
        models.PositiveIntegerField(), default=list, help_text="How many chunks each of them has."
    )
    page_count = models.PositiveIntegerField(default=0)
    section_count = models.PositiveIntegerField(default=0)
    chunk_count = models.PositiveIntegerField(default=0)
    question_count = models.PositiveIntegerField(default=0)
    added_count = models.PositiveIntegerField(
        default=0, help_text="Sections that are new or changed."
    )
    removed_count = models.PositiveIntegerField(
        default=0, help_text="Sections that are gone or changed."
    )
    prompt_tokens = models.BigIntegerField(default=0, help_text="Of writing its new questions.")
    completion_tokens = models.BigIntegerField(default=0)
    embedding_tokens = models.BigIntegerField(default=0)

    objects = EditionQuerySet.as_manager()

    class Meta:
        db_table = "book_edition"
        ordering = ["-id"]
        permissions = [("index_book", "Can index the book again")]
        constraints = [
            models.UniqueConstraint(
                name="book_edition_one_current",
                fields=["is_current"],
                condition=Q(is_current=True),
            ),
            models.CheckConstraint(
                name="book_edition_current_is_published",
                condition=Q(is_current=False) | Q(published_at__isnull=False, number__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Edition {self.number}" if self.number else "Draft"


class Run(models.Model):
    """A run of indexing: what it does, and how it ended.

    One that was killed has no end; the lock that a run holds tells whether it works (`book.runs`).
    """

    source = models.TextField()
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    stage = models.TextField(blank=True, default="", help_text="What is counted; empty: starting.")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True)
    warnings = ArrayField(models.TextField(), default=list, help_text="The first of them.")
    warning_count = models.PositiveIntegerField(default=0)
    result = models.TextField(blank=True, default="", help_text="A sentence, as is the error.")
    error = models.TextField(blank=True, default="")

    class Meta:
        db_table = "book_run"
        ordering = ["-id"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"Run {self.pk}"

    @property
    def took(self) -> timedelta | None:
        """In whole seconds."""
        if self.ended_at is None:
            return None
        return timedelta(seconds=round((self.ended_at - self.started_at).total_seconds()))


class Page(models.Model):
    """A page of an edition."""

    edition = models.ForeignKey(
        Edition, on_delete=models.DB_CASCADE, related_name="pages", db_index=False
    )
    position = models.PositiveIntegerField()
    url = models.TextField()
    title = models.TextField()
    language = models.CharField(max_length=35, blank=True, default="")
    etag = models.TextField(blank=True, default="")
    last_modified = models.TextField(blank=True, default="")
    digest = models.TextField(blank=True, default="", help_text="Of the file, or of the answer.")

    class Meta:
        db_table = "book_page"
        ordering = ["edition", "position"]
        constraints = [models.UniqueConstraint(name="book_page_once", fields=["edition", "url"])]

    def __str__(self) -> str:
        return self.title or self.url


class Section(models.Model):
    """A part of a page below one heading, as it was at one time. It is never changed."""

    page_url = models.TextField()
    anchor = models.TextField(blank=True, default="")
    heading_path = ArrayField(models.TextField(), help_text="From the page's title on.")
    level = models.PositiveSmallIntegerField()
    language = models.CharField(max_length=35, blank=True, default="")
    text = models.TextField(blank=True, help_text="Markdown, without the heading.")
    identity = models.CharField(
        max_length=64, unique=True, help_text="SHA-256 of all of it: where it is, and what it says."
    )
    content_hash = models.CharField(
        max_length=64, db_index=True, help_text="SHA-256 of what it says, headings included."
    )
    sketch = ArrayField(
        models.BigIntegerField(), default=list, help_text="To recognize near-duplicates by."
    )

    class Meta:
        db_table = "book_section"

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        return self.heading_path[-1] if self.heading_path else ""

    @property
    def page_title(self) -> str:
        return self.heading_path[0] if self.heading_path else ""

    @property
    def path(self) -> str:
        """The headings that lead to it, within its page."""
        return written_path(self.heading_path)

    @property
    def url(self) -> str:
        return address(self.page_url, self.anchor)


def written_path(heading_path: list[str]) -> str:
    """Without the page's title, unless there is nothing else."""
    return BETWEEN_HEADINGS.join(heading_path[1:] or heading_path)


def address(page_url: str, anchor: str) -> str:
    return f"{page_url}#{anchor}" if anchor else page_url


class Place(models.Model):
    """Where an edition has a section. Of a section that is gone its last place stays."""

    pk = models.CompositePrimaryKey("edition_id", "section_id")
    edition = models.ForeignKey(Edition, on_delete=models.DB_CASCADE, db_index=False)
    section = models.ForeignKey(Section, on_delete=models.DB_CASCADE, related_name="places")
    page = models.ForeignKey(Page, on_delete=models.DB_CASCADE)
    position = models.PositiveIntegerField(help_text="In the page.")

    class Meta:
        db_table = "book_place"

    def __str__(self) -> str:
        return f"{self.edition_id}: {self.section_id}"


class QuestionSet(models.Model):
    """The model was asked for questions to a section's content, in these languages.

    Its questions are found by the content, so a section that moves to another address keeps them.
    """

    content_hash = models.CharField(max_length=64, primary_key=True)
    languages = ArrayField(models.CharField(max_length=35))
    model = models.CharField(max_length=255)
    asked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "book_question_set"

    def __str__(self) -> str:
        return self.content_hash[:8]


class Question(models.Model):
    """A question that a section's content answers. It is searched and never shown to readers."""

    question_set = models.ForeignKey(
        QuestionSet,
        on_delete=models.DB_CASCADE,
        related_name="questions",
        db_column="content_hash",
        db_index=False,
    )
    language = models.CharField(max_length=35, blank=True, default="")
    text = models.TextField()

    class Meta:
        db_table = "book_question"
        constraints = [
            models.UniqueConstraint(name="book_question_once", fields=["question_set", "text"])
        ]

    def __str__(self) -> str:
        return self.text


class Chunk(models.Model):
    """What is searched: a part of a section, or a question that it answers."""

    class Kind(models.TextChoices):
        TEXT = "text"
        QUESTION = "question"

    section = models.ForeignKey(
        Section, on_delete=models.DB_CASCADE, related_name="chunks", db_index=False
    )
    kind = models.CharField(max_length=8, choices=Kind)
    version = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Of the way in which its section was cut."
    )
    text = models.TextField(help_text="As it is embedded: a part with its headings in front.")
    digest = models.UUIDField(help_text="Of the text: the same one is embedded once.")
    configuration = models.CharField(max_length=63, help_text="How its words are found.")
    embedding_model = models.CharField(max_length=255, blank=True, default="")
    since = models.ForeignKey(
        Edition, on_delete=models.DB_CASCADE, help_text="Earlier editions do not have it."
    )

    class Meta:
        db_table = "book_chunk"
        constraints = [
            models.UniqueConstraint(
                name="book_chunk_once",
                fields=["section", "embedding_model", "kind", "version", "digest"],
            )
        ]
        indexes = [models.Index(fields=["digest"], name="book_chunk_digest")]

    def __str__(self) -> str:
        return self.text[:60]


class Lexeme(models.Model):
    """A word's stem in a text search configuration, and how many chunks have it."""

    id = models.AutoField(primary_key=True)
    configuration = models.CharField(max_length=63)
    lexeme = models.TextField()
    chunks = models.IntegerField()

    class Meta:
        db_table = "book_lexeme"
        constraints = [
            models.UniqueConstraint(name="book_lexeme_once", fields=["lexeme", "configuration"])
        ]

    def __str__(self) -> str:
        return self.lexeme


class Posting(models.Model):
    """A chunk has a lexeme; `weight` is BM25's, without the lexeme's rarity."""

    pk = models.CompositePrimaryKey("chunk_id", "lexeme_id")
    chunk = models.ForeignKey(Chunk, on_delete=models.DB_CASCADE, db_index=False)
    lexeme = models.ForeignKey(Lexeme, on_delete=models.DB_CASCADE, db_index=False)
    weight = RealField()

    class Meta:
        db_table = "book_posting"
        indexes = [
            models.Index("lexeme", F("weight").desc(), include=["chunk"], name="book_posting_best")
        ]

    def __str__(self) -> str:
        return f"{self.chunk_id}: {self.lexeme_id}"
