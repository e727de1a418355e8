"""Corrections of staff reach the reader and the model."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from chat.models import Message

pytestmark = pytest.mark.usefixtures("stored")


@pytest.fixture
def session(ask, model):
    session = str(uuid4())
    model.says("Nodes are robots.")
    ask("What is a node?", session_id=session)
    reply = Message.objects.replies().filter(session_id=session)
    reply.update(correction="A node is a process.", corrected_at=timezone.now())
    return session


def test_the_conversation_carries_the_correction_beside_the_reply(client, session):
    question, reply = client.get(f"/chat/{session}").json()["messages"]

    assert question["correction"] is None
    assert reply["content"] == "Nodes are robots."
    assert reply["correction"].keys() == {"text", "at"}
    assert reply["correction"]["text"] == "A node is a process."
    assert reply["correction"]["at"] > reply["created_at"]


def test_later_turns_send_the_corrected_text_to_the_model(ask, model, session):
    ask("And a topic?", session_id=session)

    sent = [message["content"] for message in model.prompt[1:]]
    assert sent == ["What is a node?", "A node is a process.", "And a topic?"]


@pytest.mark.parametrize(
    "columns",
    [{"role": "user"}, {"corrected_at": None}],
    ids=["of-a-question", "without-a-time"],
)
def test_an_inconsistent_correction_is_refused(session, columns):
    role = columns.pop("role", "assistant")
    messages = Message.objects.filter(session_id=session, role=role)
    corrected = {"correction": "x", "corrected_at": timezone.now()} | columns

    with pytest.raises(IntegrityError), transaction.atomic():
        messages.update(**corrected)
