"""PUT /chat/{session_id}/messages/{message_id}/feedback."""

from uuid import uuid4

import pytest


@pytest.fixture
def told(ask):
    return ask().json()


@pytest.fixture
def judge(client, told):
    def judging(message_id=None, session_id=None, **body):
        session, message = session_id or told["session_id"], message_id or told["message_id"]
        return client.put(f"/chat/{session}/messages/{message}/feedback", json=body)

    return judging


@pytest.fixture
def shown(client, told):
    """The feedback that the conversation shows at its reply."""
    return lambda: client.get(f"/chat/{told['session_id']}").json()["messages"][1]["feedback"]


def test_a_reply_is_judged_and_the_conversation_shows_it(judge, shown):
    answer = judge(rating="down", comment="  Chapter 3 says otherwise. ")

    assert answer.status_code == 200
    assert answer.json() == {"rating": "down", "comment": "Chapter 3 says otherwise."}
    assert shown() == answer.json()


def test_a_judgement_is_replaced_and_taken_back(judge, shown):
    judge(rating="down", comment="Wrong.")
    judge(rating="up")
    assert shown() == {"rating": "up", "comment": ""}

    judge(rating=None)
    assert shown() is None


def test_a_comment_may_come_without_a_thumb(judge, shown):
    judge(rating=None, comment="Hm.")

    assert shown() == {"rating": None, "comment": "Hm."}


def test_only_replies_of_the_session_can_be_judged(judge, client, told):
    question = client.get(f"/chat/{told['session_id']}").json()["messages"][0]["id"]
    elsewhere = client.post("/chat", json={"message": "?"}).json()["session_id"]

    answers = [
        judge(question, rating="up"),
        judge(str(uuid4()), rating="up"),
        judge(session_id=elsewhere, rating="up"),
        judge(session_id=str(uuid4()), rating="up"),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [(404, "not_found")] * 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"comment": "?"},
        {"rating": "sideways"},
        {"rating": True},
        {"rating": "up", "comment": "x" * 4001},
        {"rating": "up", "comment": "\0"},
        {"rating": "up", "comment": 7},
    ],
    ids=["nothing", "no-rating", "unknown", "bool", "long", "nul", "number"],
)
def test_what_is_no_judgement_is_refused(judge, shown, body):
    answer = judge(**body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert shown() is None


def test_the_longest_comment_is_accepted(judge, shown):
    judge(rating="up", comment="é" * 4000)

    assert shown()["comment"] == "é" * 4000


def test_a_judgement_is_json(client, told):
    path = f"/chat/{told['session_id']}/messages/{told['message_id']}/feedback"

    assert client.put(path).status_code == 415
    assert client.put(path, content=b"{", headers={"Content-Type": "application/json"}).json()[
        "code"
    ] == ("invalid_json")
