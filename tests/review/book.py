"""Editions of a book as rows, without indexing one; and replies that cite them."""

from django.utils import timezone

from book.models import Edition, Page, Place, Section
from chat.models import ChatSession, Message

SITE = "https://book.example/nodes"


def publish(number, **texts):
    """The current edition: one page, with a section for each anchor. Returns these by anchor.

    A section that says the same as before is the same row, as `index_book` has it.
    """
    Edition.objects.filter(is_current=True).update(is_current=False)
    edition = Edition.objects.create(
        number=number, published_at=timezone.now(), is_current=True, source="a folder"
    )
    page = Page.objects.create(edition=edition, position=0, url=SITE, title="Nodes")
    return {
        anchor: _place(edition, page, position, anchor, text)
        for position, (anchor, text) in enumerate(texts.items())
    }


def _place(edition, page, position, anchor, text):
    section, _ = Section.objects.get_or_create(
        identity=f"{anchor}: {text}",
        defaults={
            "page_url": page.url,
            "anchor": anchor,
            "heading_path": ["Nodes", anchor.capitalize()],
            "level": 2,
            "text": text,
            "content_hash": f"{anchor}: {text}",
        },
    )
    Place.objects.create(edition=edition, section=section, page=page, position=position)
    return section


def source(section, number=1, score=0.9, text=None):
    quote = section.text if text is None else text
    return {
        "number": number,
        "title": section.page_title,
        "chapter": section.page_title,
        "section": section.path,
        "url": f"{section.url}:~:text=x",
        "text": quote,
        "score": score,
        "section_id": section.pk,
    }


def exchange(reply=None, session=None, **question):
    """A question and its reply, with these columns; returns the reply."""
    session = session or ChatSession.objects.create()
    asked = Message.objects.create(
        session=session, role="user", **({"content": "What is a node?"} | question)
    )
    columns = {"content": "A process [1].", "edition": 1, "grounding": "book"} | (reply or {})
    return Message.objects.create(session=session, role="assistant", reply_to=asked, **columns)


def citing(*sections, reply=None, **question):
    """A reply that cites these sections and was given them; returns it."""
    columns = {
        "sources": [source(each, number) for number, each in enumerate(sections, start=1)],
        "found": [each.pk for each in sections],
        "support": 0.8,
    }
    return exchange(columns | (reply or {}), **question)
