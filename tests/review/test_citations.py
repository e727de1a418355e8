"""Which answers cite a section, and which ones a new edition has made outdated."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from book.models import Edition
from chat.ids import uuid7
from chat.models import Message
from review import citations
from review.admin import reading
from tests.review.book import SITE, citing, exchange, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_ours")]


def section_page(staff, section):
    return staff.get(f"/admin/book/section/{section.pk}/change/").content.decode()


def edition_page(staff, number):
    key = Edition.objects.get(number=number).pk
    return staff.get(f"/admin/book/edition/{key}/change/").content.decode()


def corrected(reply):
    Message.objects.filter(pk=reply.pk).update(
        correction="See chapter 2.", corrected_at=timezone.now()
    )


def test_a_sections_use_counts_what_found_it_cited_it_and_the_thumbs_of_90_days():
    node, name = publish(1, node="A node.", name="A name.").values()
    citing(node, name, reply={"feedback": "up"})
    citing(name, node, reply={"feedback": "down"})
    exchange({"grounding": "silent", "found": [node.pk], "feedback": "down"})
    old = timezone.now() - timedelta(days=91)
    citing(node, reply={"created_at": old, "id": uuid7(int(old.timestamp() * 1000) << 42)})

    assert citations.use_of(node.pk) == citations.Use(
        found=3, best=2, cited=2, thumbs_up=1, thumbs_down=1
    )


@pytest.mark.parametrize("most_replies", [10, 1], ids=["by the newest", "by the index"])
def test_a_sections_page_has_the_newest_answers_that_cite_it_with_quote_and_score(
    staff, monkeypatch, most_replies
):
    monkeypatch.setattr(citations, "LISTED", 2)
    monkeypatch.setattr(citations, "MOST_REPLIES", most_replies)
    node, name = publish(1, node="A <node>.", name="A name.").values()
    for number in range(3):
        newest = citing(name, node, content=f"Question {number}?", reply={"feedback": "down"})
    citing(name, content="Only the name?")

    page = section_page(staff, node)

    listed = [f"Question {n}?" for n in range(3) if f"Question {n}?" in page]
    assert listed == ["Question 1?", "Question 2?"]
    assert "Only the name?" not in page
    assert "A &lt;node&gt;.</blockquote>" in page
    assert "support 90\u00a0%" in page
    assert f"/admin/chat/chatsession/{newest.session_id}/change/#message-{newest.pk}" in page
    assert '<span class="badge down">thumb down</span>' in page


def test_what_readers_asked_is_for_those_who_may_read_conversations():
    author = User.objects.create_user("al", password="x", is_staff=True)
    author.user_permissions.set(Permission.objects.filter(content_type__app_label="book"))
    client = Client()
    client.force_login(author)
    node = publish(1, node="A node.")["node"]
    citing(node, content="Private?")
    publish(2, name="A name.")

    for page in (section_page(client, node), edition_page(client, 2)):
        assert "Private?" not in page


def test_a_new_edition_lists_answers_and_corrections_that_cite_what_it_changed(staff):
    former = publish(1, kept="Same.", changed="Before.", gone="Gone.", moved="Moved.", unused="x")
    for anchor in ("kept", "changed", "gone", "moved"):
        citing(former[anchor], content=f"About {anchor}?")
    for reply in Message.objects.citing(former["gone"].pk):
        corrected(reply)
    now = publish(2, kept="Same.", changed="After.", elsewhere="Moved.")
    moved = now["elsewhere"]
    moved.content_hash = former["moved"].content_hash
    moved.save()
    edition = Edition.objects.get(number=2)

    outdated = {each.section.anchor: each for each in citations.outdated_by(edition)}

    assert list(outdated) == ["gone", "changed", "moved"]  # the corrected one first
    assert (outdated["changed"].now, outdated["changed"].moved) == (now["changed"], False)
    assert (outdated["moved"].now, outdated["moved"].moved) == (moved, True)
    assert outdated["gone"].now is None
    assert (outdated["gone"].replies, outdated["gone"].corrections) == (1, 1)
    page = edition_page(staff, 2)
    assert "About gone?" in page
    assert '<span class="badge">changed</span>' in page
    assert "About kept?" not in page
    assert "No answer cites a section that this edition changed." in edition_page(staff, 1)


def test_a_section_that_came_back_is_not_outdated():
    node = publish(1, node="A node.")["node"]
    citing(node)
    publish(2, name="A name.")
    publish(3, node="A node.")

    assert citations.outdated_by(Edition.objects.get(number=2)) == []
    assert citations.outdated_by(Edition.objects.get(number=3)) == []


def test_a_look_up_that_takes_too_long_leaves_the_rest_of_the_page(staff, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_QUERY_SECONDS", 0.01)
    monkeypatch.setattr(citations, "NEWEST", "SELECT pg_sleep(3)")

    page = section_page(staff, publish(1, node="A node.")["node"])

    assert "This takes too long to look up." in page
    assert SITE in page
