"""manage.py seed_demo: realistic conversations."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from chat.models import ChatSession, Message
from tests.review.book import publish

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def only_ours():
    ChatSession.objects.all().delete()


def seed(capsys, *arguments):
    call_command("seed_demo", *arguments)
    return capsys.readouterr()


def test_it_adds_that_many_sessions_and_reports_it(capsys):
    out, err = seed(capsys, "--sessions", "300", "--seed", "1")

    messages = Message.objects.count()
    assert ChatSession.objects.count() == 300
    assert 4 < messages / 300 < 6
    assert out == f"Added 300 sessions with {messages} messages.\n"
    assert err == ""  # no progress bar without a terminal


def test_they_look_like_real_conversations(capsys):
    seed(capsys, "--sessions", "300", "--seed", "1")

    for kind in ("failed", "stopped", "disliked", "about_a_passage"):
        assert getattr(Message.objects, kind)().exists(), kind
    reply = Message.objects.replies().latest("id")
    question = reply.reply_to
    assert question.session_id == reply.session_id
    assert (reply.id.int - question.id.int) >> 32 in (0, 1)
    ages = [timezone.now() - session.updated_at for session in ChatSession.objects.all()]
    assert timedelta(0) <= min(ages) < timedelta(days=1)
    assert timedelta(days=88) < max(ages) < timedelta(days=91)
    newest = ChatSession.objects.first()
    assert newest.messages.order_by("id").last().finished_at == newest.updated_at


def test_their_answers_rest_on_the_indexed_book(capsys):
    sections = publish(7, intro="A node is a small program.", names="Every node has a unique name.")
    by_key = {section.pk: section for section in sections.values()}

    seed(capsys, "--sessions", "300", "--seed", "1")

    for kind in ("silent", "weakly_supported", "misquoting"):
        assert getattr(Message.objects, kind)().filter(edition=7).exists(), kind
    replies = Message.objects.replies()
    assert set(replies.values_list("grounding", flat=True)) >= set(Message.Grounding.values)
    for reply in replies.exclude(sources=[]):
        assert set(reply.found) <= by_key.keys()
        for source in reply.sources:
            assert source["section_id"] in reply.found
            assert f"[{source['number']}]" in reply.content
            assert (source["text"] or "") in by_key[source["section_id"]].text
    replaced = Message.objects.filter(replaced=True)
    assert replaced.questions().count() == replaced.replies().count() > 0


def test_without_a_book_they_cite_made_up_pages(capsys, settings):
    seed(capsys, "--sessions", "50", "--seed", "1")

    cited = [source for reply in Message.objects.replies() for source in reply.sources]
    assert cited
    assert not any("section_id" in source for source in cited)
    assert all(
        source["url"].startswith(f"{settings.FRONTEND_ORIGINS[-1]}/chapter-") for source in cited
    )


def test_the_same_seed_gives_the_same_text(capsys):
    seed(capsys, "--sessions", "20", "--seed", "7")
    seed(capsys, "--sessions", "20", "--seed", "7")

    texts = list(Message.objects.order_by("id").values_list("content", flat=True))
    assert ChatSession.objects.count() == 40
    assert sorted(texts)[::2] == sorted(texts)[1::2]


def test_an_invalid_number_is_refused():
    with pytest.raises(CommandError, match="at least 1"):
        call_command("seed_demo", "--sessions", "0")
