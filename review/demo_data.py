"""Realistic seed data for trying out and measuring the admin. Pure: numbers in, rows out.

The same seed gives the same conversations, under new ids.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from chat.ids import uuid7
from review.demo_book import DemoBook, DemoSection, made_up_book, nearest, source

TOPICS = (
    "ROS 2 node", "topic", "service", "action server", "launch file", "URDF model",
    "PID controller", "inverse kinematics solver", "Jacobian", "servo motor", "torque sensor",
    "IMU", "lidar scan",
    "depth camera", "particle filter", "Kalman filter", "SLAM map", "path planner", "costmap",
    "behaviour tree", "gait generator", "zero moment point", "whole-body controller", "gripper",
    "digital twin", "Gazebo world", "Isaac Sim scene", "vision-language model", "voice interface",
    "reward function", "policy network", "sim-to-real transfer", "safety stop", "battery pack",
)  # fmt: skip
QUESTIONS = (
    "What is {a0}?", "How does {a0} work?", "Why do I need {a0} when I have {a1}?",
    "What is the difference between {a0} and {a1}?", "Can you explain the {0} in simple words?",
    "My {0} does not start. What should I look at first?", "How do I test a {0} without a robot?",
    "Which parameters of the {0} matter most?", "Is there an example of {a0} with {a1}?",
    "Which chapter covers the {0}?", "How do I connect the {0} to the {1}?",
    "And what about the {1}?",
    "روبوٹ میں {0} کیا ہے؟", "¿Qué es un {0}?",
)  # fmt: skip
SENTENCES = (
    "The {0} takes its input from the {1} and turns it into what the rest of the robot can use.",
    "Start with the smallest set-up that shows the behaviour, and add the {1} once that works.",
    "The **{0}** runs in a process of its own, so that a crash does not take the {1} with it.",
    "Measure before you tune: log what the {0} sees, and compare it with what you expected.",
    "In the book's example the {0} publishes ten times per second, which is enough for walking.",
    "Most trouble comes from units and frames: check that the {0} and the {1} agree on both.",
    "- check the cable\n- check the driver\n- check the `{0}` parameters",
    "```python\nnode = Node('{0}')\nnode.spin()\n```",
    "That depends on the load: with a heavier arm the {0} needs more time than the {1} gives it.",
)  # fmt: skip
PASSAGES = (
    "The {0} is the part of the robot that decides what happens next - it reads the {1} and acts.",
    "Before you use the {0}, make sure that the {1} is calibrated; otherwise its output drifts.",
)
COMMENTS = (
    "Chapter 4 says otherwise.",
    "Too long.",
    "Exactly what I needed.",
    "The code fails.",
    "",
)
FAILURES = ("model_timeout", "model_unavailable", "interrupted", "model_rate_limited")
MODELS = ("gpt-4.1-mini", "gemini-2.5-flash-lite")
DOORS = ("", "ai-sdk", "openai", "mcp")
DOOR_WEIGHTS = (85, 8, 5, 2)
GREETING = "You are welcome. Ask me anything about the book."
SILENT = "The book does not cover this."
EXCERPTS = "No answer can be written at the moment. These parts of the book fit your question:"
GROUNDINGS = ("book", "silent", "uncited", "excerpts")
GROUNDING_WEIGHTS = (80, 10, 6, 4)
REPLACED = 0.04  # of questions that another one follows
LENGTHS = (25, 27, 25, 15, 8)  # weights of sessions with one exchange, two, … five
CHAPTERS = 12
SPAN_DAYS = 90


@dataclass(slots=True)
class DemoMessage:
    """A row of chat_message; the names are the columns'."""

    id: UUID
    session_id: UUID
    role: str
    content: str
    created_at: datetime
    status: str = "complete"
    error_code: str = ""
    replaced: bool = False
    door: str = ""
    selected_text: str = ""
    page_url: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    reply_to_id: UUID | None = None
    finished_at: datetime | None = None
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None
    finish_reason: str = ""
    edition: int | None = None
    grounding: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list)
    nearest: list[dict[str, Any]] = field(default_factory=list)
    found: list[int] = field(default_factory=list)
    support: float | None = None
    misquotes: int = 0
    feedback: str = ""
    feedback_comment: str = ""


@dataclass(slots=True)
class DemoSession:
    """A row of chat_session, with its messages."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    messages: list[DemoMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the conversations are about: the site of the pages they are asked from, and the book
    that the answers cite.
    """

    site: str
    book: DemoBook


def setting(site: str, indexed: DemoBook | None) -> Setting:
    return Setting(site, indexed or made_up_book(site, CHAPTERS, TOPICS, PASSAGES))


def conversations(
    count: int, seed: int, until: datetime, setting: Setting
) -> Iterator[DemoSession]:
    """`count` sessions over the 90 days before `until`, oldest first; five messages each on
    average, and in one of 5,000 five hundred.
    """
    chance = random.Random(seed)  # noqa: S311 - realistic, not secret
    step = timedelta(days=SPAN_DAYS) / max(count, 1)
    for number in range(count):
        started = until - (count - number) * step
        exchanges = 250 if number % 5000 == 2500 else chance.choices(range(1, 6), LENGTHS)[0]
        pace = min(step, timedelta(minutes=1)) / exchanges
        yield _session(chance, started, exchanges, pace, setting)


def _session(
    chance: random.Random, started: datetime, exchanges: int, pace: timedelta, setting: Setting
) -> DemoSession:
    session = DemoSession(uuid4(), started, started)
    topics = chance.sample(TOPICS, 2)
    door = chance.choices(DOORS, DOOR_WEIGHTS)[0]
    for number in range(exchanges):
        at = started + number * pace
        question = _question(chance, session.id, at, topics, setting.site)
        question.door = door
        reply = _reply(chance, question, topics)
        _ground(chance, question, reply, setting.book)
        _add_outcome(chance, reply)
        question.replaced = reply.replaced = number + 1 < exchanges and chance.random() < REPLACED
        session.messages += [question, reply]
        session.updated_at = reply.finished_at or at
    return session


def _question(
    chance: random.Random, session_id: UUID, at: datetime, topics: list[str], site: str
) -> DemoMessage:
    articles = {"a0": _with_article(topics[0]), "a1": _with_article(topics[1])}
    asked = chance.choice(QUESTIONS).format(*topics, **articles)
    question = DemoMessage(_id(at, 0), session_id, "user", asked, at)
    if chance.random() < 0.7:
        question.page_url = f"{site}/chapter-{chance.randint(1, CHAPTERS)}"
        if chance.random() < 0.4:
            question.selected_text = chance.choice(PASSAGES).format(*topics)
    return question


def _with_article(topic: str) -> str:
    return f"{'an' if topic[0] in 'aeioAEIO' else 'a'} {topic}"


def _reply(chance: random.Random, question: DemoMessage, topics: list[str]) -> DemoMessage:
    at = question.created_at
    sentences = chance.sample(SENTENCES, k=chance.randint(1, 6))
    text = "\n\n".join(sentences).format(*topics)
    latency = chance.randint(600, 6000)
    return DemoMessage(
        _id(at, 1),
        question.session_id,
        "assistant",
        text,
        at,
        reply_to_id=question.id,
        finished_at=at + timedelta(milliseconds=latency),
        model=MODELS[chance.random() < 0.2],
        prompt_tokens=chance.randint(80, 2500),
        completion_tokens=len(text) // 4,
        latency_ms=latency,
        first_token_ms=latency // chance.randint(2, 8),
        finish_reason="stop",
    )


# What a reply rests on ----------------------------------------------------------------------
def _ground(
    chance: random.Random, question: DemoMessage, reply: DemoMessage, book: DemoBook
) -> None:
    # Of its own, so that the rest of a conversation is the same whatever the book has.
    chance = random.Random(chance.random())  # noqa: S311
    reply.support = round(chance.betavariate(5, 1.5), 2)
    if question.selected_text:
        reply.grounding = "passage"
        return
    found = book.found(chance)
    reply.edition, reply.found = book.edition, [each.id for each in found if each.id is not None]
    reply.grounding = chance.choices(GROUNDINGS, GROUNDING_WEIGHTS)[0]
    if reply.grounding == "book":
        _cite(chance, reply, found)
        return
    reply.support = None
    if reply.grounding == "silent":
        reply.content, reply.nearest = SILENT, nearest(found)
    elif reply.grounding == "uncited":
        reply.content = GREETING
    else:
        _put_excerpts(chance, reply, found)


def _cite(chance: random.Random, reply: DemoMessage, found: list[DemoSection]) -> None:
    """Some paragraphs cite a section each; code and lists do not."""
    paragraphs = reply.content.split("\n\n")
    prose = [place for place, each in enumerate(paragraphs) if each[0] not in "-`"]
    cited = [each for each in found if each.is_ever_cited]
    citing = list(zip(prose[: chance.randint(1, 3)], cited, strict=False))
    for number, (place, section) in enumerate(citing, start=1):
        paragraphs[place] += f" [{number}]"
        score = round(chance.betavariate(6, 2), 2)
        reply.sources.append(source(chance, section, number, score))
    if not citing:
        reply.grounding, reply.support = "uncited", None
    reply.content = "\n\n".join(paragraphs)
    reply.misquotes = int(bool(citing) and chance.random() < 0.03)


def _put_excerpts(chance: random.Random, reply: DemoMessage, found: list[DemoSection]) -> None:
    reply.sources = [source(chance, each, n, 1.0) for n, each in enumerate(found[:3], start=1)]
    quoted = [f"> {each['text'] or each['section']} [{each['number']}]" for each in reply.sources]
    reply.content = "\n\n".join([EXCERPTS, *quoted])
    reply.model = reply.finish_reason = ""
    reply.prompt_tokens = reply.completion_tokens = reply.first_token_ms = None


def _add_outcome(chance: random.Random, reply: DemoMessage) -> None:
    """A few replies fail, are stopped, or get feedback."""
    draw = chance.random()
    if draw < 0.02:
        reply.status, reply.error_code = "failed", chance.choice(FAILURES)
        reply.content = reply.finish_reason = reply.model = ""
        reply.prompt_tokens = reply.completion_tokens = reply.first_token_ms = None
        _unground(reply)
    elif draw < 0.03:
        reply.status, reply.finish_reason = "stopped", ""
        reply.content = reply.content[: len(reply.content) // 2]
        _unground(reply)
    elif draw < 0.13:
        reply.feedback = "up" if draw < 0.09 else "down"
        reply.feedback_comment = chance.choice(COMMENTS)


def _unground(reply: DemoMessage) -> None:
    """What was found stays; what the whole text would have cited does not."""
    reply.grounding, reply.support, reply.misquotes = "", None, 0
    reply.sources, reply.nearest = [], []


def _id(at: datetime, place: int) -> UUID:
    """A time-ordered id; `place` sorts a reply right after its question."""
    milliseconds = int(at.timestamp() * 1000)
    return uuid7(milliseconds << 42 | place)
