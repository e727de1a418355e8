"""manage.py purge_conversations: retention by last activity."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from chat.models import ChatSession, Message

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def sessions():
    """Of 1, 2, … 10 days ago."""
    ChatSession.objects.all().delete()
    now = timezone.now()
    for days in range(1, 11):
        at = now - timedelta(days=days)
        session = ChatSession.objects.create(created_at=at, updated_at=at)
        asked = Message.objects.create(session=session, role="user", content=f"{days}")
        Message.objects.create(session=session, role="assistant", content="x", reply_to=asked)


def purge(capsys, *arguments):
    call_command("purge_conversations", *arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize("size", ["1", "3", "500"])
def test_older_sessions_are_deleted_with_their_messages_and_the_rest_is_kept(capsys, size):
    out = purge(capsys, "--older-than", "7d", "--batch-size", size)

    assert out == "Deleted 4 sessions with their messages.\n"
    assert ChatSession.objects.count() == 6
    left = set(Message.objects.questions().values_list("content", flat=True))
    assert left == {"1", "2", "3", "4", "5", "6"}
    assert Message.objects.count() == 12


def test_a_batch_is_one_select_and_one_delete(capsys, django_assert_num_queries):
    """The deletion filters again; messages are deleted by the database's own cascade."""
    # The count; a select and a delete for the batch; a last select.
    with django_assert_num_queries(4) as queries:
        purge(capsys, "--older-than", "7d")

    deletions = [each["sql"] for each in queries.captured_queries if "DELETE" in each["sql"]]
    assert len(deletions) == 1
    assert "updated_at" in deletions[0]


def test_run_again_it_finds_nothing(capsys):
    purge(capsys, "--older-than", "1w")

    assert purge(capsys, "--older-than", "1w") == "Deleted 0 sessions with their messages.\n"


def test_a_dry_run_deletes_nothing(capsys):
    out = purge(capsys, "--older-than", "60h", "--dry-run")

    assert out == "8 sessions would be deleted, with their messages.\n"
    assert ChatSession.objects.count() == 10


def test_a_session_that_is_continued_meanwhile_is_kept(capsys, monkeypatch):
    """Its reader comes back between select and delete."""
    from review.management.commands import purge_conversations as command

    oldest = ChatSession.objects.order_by("updated_at").first()
    looks = []

    class Progress(command.tqdm):
        def update(self, n=1):
            if not looks:
                ChatSession.objects.filter(pk=oldest_left().pk).update(updated_at=timezone.now())
            looks.append(n)
            return super().update(n)

    def oldest_left():
        return ChatSession.objects.order_by("updated_at").first()

    monkeypatch.setattr(command, "tqdm", Progress)
    purge(capsys, "--older-than", "7d", "--batch-size", "1")

    assert not ChatSession.objects.filter(pk=oldest.pk).exists()
    assert ChatSession.objects.count() == 7


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--older-than", "0d"),
        ("--older-than", "90"),
        ("--older-than", "999999w"),
        ("--older-than", "1d", "--batch-size", "0"),
        ("--older-than", "1d", "--batch-size", "9" * 20),
    ],
    ids=["no-age", "zero", "no-unit", "too-old", "batch", "large"],
)
def test_invalid_arguments_are_refused(arguments):
    with pytest.raises(CommandError):
        call_command("purge_conversations", *arguments)

    assert ChatSession.objects.count() == 10
