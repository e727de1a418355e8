"""What is stored before the attacks, and what must not be left after them."""

import time
from uuid import uuid4

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection

from chat.models import ChatSession, Message

EMOJI_MESSAGES, EMOJI_EACH = 200, 4000
HUGE_QUESTIONS = 130_000
PENDING_SECONDS = 30

# Ids of messages sort in the order in which they were made.
QUESTIONS_WITH_REPLIES = """
WITH made AS (
    SELECT n % 2 = 1 AS is_reply, n / 2 AS page,
        lpad(to_hex(n + {first}), 32, '0')::uuid AS id,
        lpad(to_hex(n + {first} - 1), 32, '0')::uuid AS before
    FROM generate_series(0, 2 * {count} - 1) AS n
)
INSERT INTO chat_message (
    session_id, id, role, content, created_at, status, page_url, reply_to_id
)
SELECT '{session}', id, CASE WHEN is_reply THEN 'assistant' ELSE 'user' END, '{text}', now(),
    'complete', 'https://book.example/page-' || page, CASE WHEN is_reply THEN before END
FROM made
"""


def emoji_session() -> str:
    return _session("\N{ROBOT FACE}" * EMOJI_EACH, EMOJI_MESSAGES // 2, first=1)


def huge_session() -> str:
    return _session("A question and its page.", HUGE_QUESTIONS, first=2 * EMOJI_MESSAGES)


def _session(text: str, questions: int, first: int) -> str:
    session = str(ChatSession.objects.create(id=uuid4()).id)
    sql = QUESTIONS_WITH_REPLIES.format(session=session, text=text, count=questions, first=first)
    with connection.cursor() as cursor:
        cursor.execute(sql)
        cursor.execute("ANALYZE")
    return session


def staff_cookie() -> str:
    """The header of a member of staff who has logged in."""
    user = User.objects.create_superuser("attack", password=None)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"Cookie: sessionid={session.session_key}"


def pending_replies() -> int:
    """Those that are left after a while."""
    end = time.monotonic() + PENDING_SECONDS
    while (count := Message.objects.pending().count()) and time.monotonic() < end:
        time.sleep(0.5)
    return count
