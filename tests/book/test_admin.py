"""What staff see of the book."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from book.models import Edition, Section

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    client = Client()
    client.force_login(User.objects.create_superuser("ann", password=None))
    return client


def test_editions_are_listed_with_what_they_hold_and_cost(index, staff, settings):
    settings.LLM_PRICE_PER_MILLION = (1000, 1000)
    index()

    page = staff.get(reverse("admin:book_edition_changelist")).content.decode()
    one = staff.get(reverse("admin:book_edition_change", args=[Edition.objects.get().pk]))

    assert "Edition 1" in page
    assert "Times are in UTC." in page
    assert "0.0900" in page  # five answers: 55 tokens of prompts and 35 of text
    assert "word-vectors" in one.content.decode()
    assert staff.get(reverse("admin:index")).status_code == 200


def test_the_search_box_finds_what_a_readers_question_finds_best_first(index, staff):
    index()

    page = staff.get(reverse("admin:book_section_changelist"), {"q": "What gives a unique name?"})

    titles = [row.title for row in page.context["cl"].result_list]
    assert titles[0] == "Names"
    assert len(titles) == 5


def test_a_section_is_shown_with_its_questions_and_cannot_be_changed(index, staff):
    index()
    section = Section.objects.get(heading_path__1="Names")
    address = reverse("admin:book_section_change", args=[section.pk])

    page = staff.get(address).content.decode()

    assert "<code>camera_driver</code>" in page
    assert "<bdi>Why Names?</bdi> (en)" in page
    assert staff.post(address, {"text": "x"}).status_code == 403
    assert staff.get(reverse("admin:book_section_add")).status_code == 403
    assert staff.get(reverse("admin:book_section_delete", args=[section.pk])).status_code == 403


def test_a_reviewer_sees_the_book_and_what_questions_find(index):
    index()
    rita = Client()
    reviewer = User.objects.create_user("rita", is_staff=True)
    reviewer.groups.add(Group.objects.get(name="Conversation reviewers"))
    rita.force_login(reviewer)
    section = Section.objects.get(heading_path__1="Names")

    found = rita.get(reverse("admin:book_section_changelist"), {"q": "What gives a unique name?"})

    assert found.context["cl"].result_list[0] == section
    assert rita.get(reverse("admin:book_section_change", args=[section.pk])).status_code == 200
    assert "Edition 1" in rita.get(reverse("admin:book_edition_changelist")).content.decode()


def test_insights_say_when_a_book_is_searched_by_its_words_alone(index, staff, settings):
    sentence = "The book was indexed without embeddings"
    assert sentence not in staff.get(reverse("insights")).content.decode()
    settings.EMBEDDING_MODEL = "none"

    index()

    assert sentence in staff.get(reverse("insights")).content.decode()


def test_reviewers_of_an_older_release_may_see_the_book_too():
    group = Group.objects.get(name="Conversation reviewers")
    theirs = group.permissions.filter(content_type__app_label="book")
    group.permissions.remove(*theirs)
    migration = import_module("review.migrations.0002_reviewers_see_the_book")

    migration.grant(apps, connection.schema_editor())

    assert {*theirs.values_list("codename", flat=True)} == {"view_edition", "view_section"}


def test_the_list_has_the_current_editions_sections_and_old_ones_open_by_their_id(
    index, staff, book
):
    index()
    old = Section.objects.get(heading_path__1="Quality of service")
    (book / "2-topics.md").unlink()
    index()

    listed = staff.get(reverse("admin:book_section_changelist")).context["cl"].result_list

    assert {each.title for each in listed} == {"Nodes", "Names", "Parameters"}
    assert staff.get(reverse("admin:book_section_change", args=[old.pk])).status_code == 200
