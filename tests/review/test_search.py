"""Staff find sessions, messages, users and groups however the letters of a word are encoded."""

import unicodedata
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from chat.models import ChatSession, Message
from tests.conftest import database_url
from tests.helpers.commands import manage

SESSIONS = "/admin/chat/chatsession/"
MESSAGES = "/admin/chat/message/"
MANY = 2_500  # more than two of the migration's batches

# Each written in two ways that readers and staff take for one.
SPELLINGS = {
    "composed and decomposed": (
        unicodedata.normalize("NFC", "Müller"),
        unicodedata.normalize("NFD", "Müller"),
    ),
    "case": ("MÜLLER", "müller"),
    "case of decomposed letters": (unicodedata.normalize("NFD", "MÜLLER"), "müller"),
    "sharp s": ("STRASSE", "Straße"),
    "final sigma": ("ΛΌΓΟΣ", "λόγος"),
    "full-width letters": ("\uff32\uff2f\uff33\uff12", "ros2"),
    "half-width katakana": ("ﾛﾎﾞｯﾄ", "ロボット"),
    "ligature": ("ﬁlter", "filter"),
    "superscript": ("robot²", "robot2"),
    "Arabic presentation forms": ("ﺭﻮﺑﻮﭦ", "روبوٹ"),
    "tatweel": ("روبـــوٹ", "روبوٹ"),
    "soft hyphen": ("Kinema\u00adtik", "Kinematik"),
    "zero-width space": ("Kinema\u200btik", "Kinematik"),
    "zero-width joiner": ("\u0646\u06cc\u200c\u062a", "\u0646\u06cc\u062a"),
    "byte-order mark": ("\ufeffKinematik", "Kinematik"),
    "direction mark": ("روبوٹ\u200f", "روبوٹ"),
    "variation selector": ("Kinematik\ufe0f", "Kinematik"),
    "hyphen that does not break": ("sim\u2011to\u2011real", "sim-to-real"),
    "apostrophe": ("l\u2019ordinateur", "l'ordinateur"),
}
both_ways = pytest.mark.parametrize(
    ("written", "searched"),
    [*SPELLINGS.values(), *(pair[::-1] for pair in SPELLINGS.values())],
    ids=[*SPELLINGS, *(f"{name}, reversed" for name in SPELLINGS)],
)


def conversation(text):
    session = ChatSession.objects.create()
    Message.objects.create(session=session, role="user", content=text)
    return session


@pytest.fixture
def ada(db):
    ChatSession.objects.all().delete()
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


def found(client, path, words):
    page = client.get(path, {"q": words})
    assert page.status_code == 200
    return list(page.context["cl"].result_list)


@both_ways
def test_sessions_and_messages_are_found_however_a_word_is_written(ada, written, searched):
    session = conversation(f"Was sagt {written} dazu?")
    conversation("Something else.")

    assert found(ada, SESSIONS, searched) == [session]
    assert found(ada, MESSAGES, searched) == list(session.messages.all())


@both_ways
def test_users_and_groups_are_found_however_a_name_is_written(ada, written, searched):
    user = User.objects.create_user("m", first_name=f"Ada {written}")
    group = Group.objects.create(name=f"Gruppe {written}")

    assert found(ada, "/admin/auth/user/", searched) == [user]
    assert found(ada, "/admin/auth/group/", searched) == [group]


@pytest.mark.parametrize("quotes", ["\u201c\u201d", "\u201e\u201c", "\uff02\uff02", "\u00ab\u00bb"])
def test_a_phrase_may_stand_in_any_quotation_marks(ada, quotes):
    session = conversation("Servos move joints.")
    conversation("Joints are moved by servos; move them.")

    assert found(ada, SESSIONS, f"{quotes[0]}move joints{quotes[1]}") == [session]


def test_accents_are_part_of_a_word(ada):
    conversation("Müller")

    assert found(ada, SESSIONS, "Muller") == []


def test_a_reply_is_found_by_its_last_text_and_no_longer_by_an_earlier_one(ada):
    session = conversation("Who?")
    reply = Message.objects.create(
        session=session,
        role="assistant",
        reply_to=session.messages.get(),
        content="Mu\u0308ller",
    )
    assert found(ada, MESSAGES, "müller") == [reply]

    session.messages.replies().update(content="Scho\u0308n")

    assert found(ada, MESSAGES, "müller") == []
    assert found(ada, MESSAGES, "schön") == [reply]


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0300" * 50_000 + "\u0316" * 50_000,
        ("a" + "\u0300" * 49 + "\u0316" * 49 + " ") * 1_000,
        "\ufdfa" * 100_000,
        "u\u0308" * 50_000,
    ],
    ids=["one run", "many runs", "what grows most", "no spaces"],
)
def test_no_text_takes_long_to_fold(db, text):
    """`normalize` alone takes minutes for the first one, and cannot be cancelled."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '8s'")
    session = ChatSession.objects.create()

    Message.objects.create(session=session, role="user", content=f"Müller {text}")

    assert Message.objects.about("müller").filter(session=session).exists()


@pytest.fixture
def older_database(environment):
    """A database of the release before, by its address; and a way to migrate it."""
    name = f"older_{uuid4().hex}"
    with psycopg.connect(database_url("postgres"), autocommit=True) as postgres:
        postgres.execute(f"CREATE DATABASE {name}")
        url = database_url(name)

        def migrate(*target):
            settings = environment | {"DATABASE_URL": url}
            assert manage("migrate", "--verbosity", "0", *target, **settings).returncode == 0

        migrate()
        migrate("chat", "0005")
        yield url, migrate
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_was_stored_before_the_migration_is_found_too_and_only_that_is_written(
    older_database,
):
    url, migrate = older_database
    with psycopg.connect(url, autocommit=True) as old:
        (session,) = old.execute(
            "INSERT INTO chat_session (id, created_at, updated_at) "
            "VALUES (gen_random_uuid(), now(), now()) RETURNING id"
        ).fetchone()
        old.execute(
            "INSERT INTO chat_message (id, session_id, role, content, created_at) SELECT "
            "gen_random_uuid(), %s, 'user', CASE WHEN n %% 5 = 0 THEN %s || n ELSE 'Plain.' END, "
            "now() FROM generate_series(1, %s) n",
            [session, "Mu\u0308ller ", MANY],
        )
        before = dict(old.execute("SELECT content, ctid::text FROM chat_message").fetchall())

        migrate("chat")

        query = "words @@ websearch_to_tsquery('english', chat_search_text('MÜLLER'))"
        rows = old.execute(f"SELECT content FROM chat_message WHERE {query}").fetchall()
        assert len(rows) == MANY // 5
        kept = dict(old.execute("SELECT content, ctid::text FROM chat_message").fetchall())
        assert kept["Plain."] == before["Plain."]
        wrong = "SELECT count(*) FROM chat_message WHERE words IS DISTINCT FROM chat_words(content)"
        assert old.execute(wrong).fetchone() == (0,)
