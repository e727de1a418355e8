"""Editions: a draft is filled page by page, and becomes the current edition in one statement.

What a run has stored stays when it fails or is killed; the next one goes on with the same draft.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from book import chunks, languages, postings, vectors
from book.models import Chunk, Edition, Lexeme, Page, Place, Section
from book.read.pages import ReadPage, ReadSection, UnchangedPage, Validators
from book.words import sketch

REMOVED_AT_ONCE = 1_000
GUESSED_FROM_CHARS = 4_000

# The switch. The one that was current is not any more before the other one is: the rows of the
# first part are read by the second.
PUBLISH = """
WITH former AS (UPDATE book_edition SET is_current = false WHERE is_current RETURNING id)
UPDATE book_edition SET is_current = true, published_at = now(),
    number = (SELECT coalesce(max(number), 0) + 1 FROM book_edition)
WHERE id = %s AND (SELECT count(*) FROM former) >= 0
"""
NOT_SEARCHED = """
SELECT chunk.id FROM book_chunk AS chunk, book_edition AS edition
WHERE edition.is_current AND (
    chunk.embedding_model <> edition.embedding_model
    OR (chunk.kind = 'text' AND chunk.version <> %(version)s)
    OR NOT EXISTS (
        SELECT FROM book_place AS place
        WHERE place.edition_id = edition.id AND place.section_id = chunk.section_id
    )
) LIMIT %(most)s
"""
# Of a section's places the last one is kept, which says in which edition it last was.
FORMER_PLACES = """
DELETE FROM book_place AS former USING book_edition AS edition
WHERE edition.id = former.edition_id AND NOT edition.is_current
    AND EXISTS (
        SELECT FROM book_place AS later
        WHERE later.section_id = former.section_id AND later.edition_id > former.edition_id
    )
"""
FORMER_PAGES = """
DELETE FROM book_page AS page USING book_edition AS edition
WHERE edition.id = page.edition_id AND NOT edition.is_current
    AND NOT EXISTS (SELECT FROM book_place AS place WHERE place.page_id = page.id)
"""
COUNT = """
UPDATE book_edition AS edition SET
    page_count = (SELECT count(*) FROM book_page WHERE edition_id = edition.id),
    section_count = (SELECT count(*) FROM book_place WHERE edition_id = edition.id),
    chunk_count = counted.chunks, question_count = counted.questions,
    configurations = counted.configurations, configuration_chunks = counted.by_configuration
FROM (
    SELECT coalesce(sum(chunks), 0) AS chunks, coalesce(sum(questions), 0) AS questions,
        coalesce(array_agg(configuration ORDER BY configuration), '{}') AS configurations,
        coalesce(array_agg(chunks ORDER BY configuration), '{}') AS by_configuration
    FROM (
        SELECT configuration, count(*) AS chunks,
            count(*) FILTER (WHERE kind = 'question') AS questions
        FROM book_chunk JOIN book_place AS place USING (section_id)
        WHERE place.edition_id = %(edition)s AND embedding_model = %(model)s
            AND (kind = 'question' OR version = %(version)s)
        GROUP BY configuration
    ) AS of_configuration
) AS counted
WHERE edition.id = %(edition)s
"""


@dataclass(frozen=True, slots=True)
class Changes:
    """Sections of a draft that the current edition does not have, and the reverse; a section that
    changed is in both numbers.
    """

    added: int
    removed: int

    def __str__(self) -> str:
        return f"Sections: {self.added} new or changed, {self.removed} gone or changed."


# The draft ----------------------------------------------------------------------------------
def open_draft(source: str) -> Edition:
    """The draft that an earlier run has left, or else a new one."""
    draft = Edition.objects.drafts().first() or Edition()
    draft.source = source
    draft.save()
    return draft


def known_validators(draft: Edition) -> dict[str, Validators]:
    """Of the pages that are stored, by address and in their order.

    A draft's go before the current edition's.
    """
    known: dict[str, Validators] = {}
    for pages in (
        Page.objects.filter(edition__is_current=True),
        Page.objects.filter(edition=draft),
    ):
        in_order = pages.order_by("position")
        for url, *validators in in_order.values_list("url", "etag", "last_modified", "digest"):
            known[url] = Validators(*validators)
    return known


def put_page(draft: Edition, position: int, read: ReadPage | UnchangedPage) -> list[int]:
    """Put a page into the draft; returns its key, unless it is not known after all."""
    if isinstance(read, ReadPage):
        return [_store_page(draft, position, read).pk]
    kept = _keep_page(draft, position, read.url)
    return [kept.pk] if kept else []


@transaction.atomic
def _store_page(draft: Edition, position: int, read: ReadPage) -> Page:
    """Put a page into the draft, in the place of what it has at this address."""
    Page.objects.filter(edition=draft, url=read.url).delete()
    language = read.language or _guessed_language(read.sections)
    page = Page.objects.create(
        edition=draft,
        position=position,
        url=read.url,
        title=storable(read.title),
        language=language,
        etag=storable(read.validators.etag),
        last_modified=storable(read.validators.last_modified),
        digest=read.validators.digest,
    )
    sections = {each.identity: each for each in _sections(read, language)}
    Section.objects.bulk_create(sections.values(), ignore_conflicts=True)
    stored = Section.objects.filter(identity__in=sections).values_list("identity", "pk")
    keys = dict(stored)
    Place.objects.bulk_create(
        Place(edition=draft, section_id=keys[identity], page=page, position=number)
        for number, identity in enumerate(sections)
    )
    return page


def _guessed_language(sections: Iterable[ReadSection]) -> str:
    text = " ".join(each.text for each in sections)
    return languages.guess(text[:GUESSED_FROM_CHARS])


def _sections(page: ReadPage, language: str) -> list[Section]:
    return [_section(page.url, language, each) for each in page.sections]


def _section(page_url: str, language: str, read: ReadSection) -> Section:
    path, text = [storable(each) for each in read.heading_path], storable(read.text)
    anchor = storable(read.anchor)
    return Section(
        page_url=page_url,
        anchor=anchor,
        heading_path=path,
        level=read.level,
        language=language,
        text=text,
        identity=_digest(page_url, anchor, path, read.level, language, text),
        content_hash=_digest(path, text),
        sketch=sketch(text),
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def storable(text: str) -> str:
    """Without what PostgreSQL does not keep: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


@transaction.atomic
def _keep_page(draft: Edition, position: int, url: str) -> Page | None:
    """Put a page into the draft as it is stored; None where it is not."""
    page = Page.objects.filter(edition=draft, url=url).first()
    if page:
        page.position = position
        page.save(update_fields=["position"])
        return page
    page = Page.objects.filter(edition__is_current=True, url=url).first()
    if page is None:
        return None
    places = list(Place.objects.filter(page=page))
    page.pk, page.edition, page.position = None, draft, position
    page.save(force_insert=True)
    Place.objects.bulk_create(
        (
            Place(edition=draft, section_id=each.section_id, page=page, position=each.position)
            for each in places
        ),
        ignore_conflicts=True,
    )
    return page


def drop_pages_except(draft: Edition, kept: Iterable[int]) -> None:
    """What an earlier run has stored in the draft, and the book does not have any more."""
    Page.objects.filter(edition=draft).exclude(pk__in=kept).delete()


def discard(draft: Edition) -> None:
    """The draft is what the current edition is; that one keeps the newer validators."""
    with transaction.atomic():
        for page in Page.objects.filter(edition=draft):
            Page.objects.filter(edition__is_current=True, url=page.url).update(
                etag=page.etag, last_modified=page.last_modified, digest=page.digest
            )
        draft.delete()


# Comparing ----------------------------------------------------------------------------------
def changes(draft: Edition) -> Changes:
    of_draft = Place.objects.filter(edition=draft, section=OuterRef("section"))
    of_current = Place.objects.filter(edition__is_current=True, section=OuterRef("section"))
    return Changes(
        added=Place.objects.filter(~Exists(of_current), edition=draft).count(),
        removed=Place.objects.filter(~Exists(of_draft), edition__is_current=True).count(),
    )


def fingerprint(draft: Edition) -> str:
    """SHA-256 of all that readers see of it, in its order."""
    rows = Place.objects.filter(edition=draft).order_by("page__position", "position")
    content = hashlib.sha256()
    for row in rows.values_list("page__url", "page__title", "section__identity").iterator():
        content.update(json.dumps(row).encode())
    return content.hexdigest()


def is_as_current(draft: Edition) -> bool:
    """Whether the current edition says the same, and is searched in the same way."""
    current = Edition.objects.current().first()
    return (
        current is not None
        and (current.fingerprint, current.embedding_model)
        == (draft.fingerprint, draft.embedding_model)
        and not Chunk.objects.filter(since=draft).exists()
    )


# Publishing ---------------------------------------------------------------------------------
def publish(draft: Edition) -> None:
    """Make the draft the current edition."""
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT,
            {
                "edition": draft.pk,
                "model": draft.embedding_model,
                "version": chunks.VERSION,
            },
        )
        cursor.execute(PUBLISH, [draft.pk])
    draft.refresh_from_db()


def tidy() -> None:
    """Delete what is not searched any more, and what was never part of an edition.

    It may be interrupted at any moment; the next time it goes on.
    """
    with connection.cursor() as cursor:
        while True:
            cursor.execute(NOT_SEARCHED, {"version": chunks.VERSION, "most": REMOVED_AT_ONCE})
            gone = [row[0] for row in cursor.fetchall()]
            if not gone:
                break
            with transaction.atomic():
                postings.remove(gone)
        cursor.execute(FORMER_PLACES)
        cursor.execute(FORMER_PAGES)
    Lexeme.objects.filter(chunks__lte=0).delete()
    drafts = Edition.objects.drafts()
    if not drafts.exists():
        Section.objects.filter(~Exists(Place.objects.filter(section=OuterRef("pk")))).delete()
    current = Edition.objects.current().first()
    if current:
        vectors.drop_indexes_except(current.embedding_model)
