"""Words, parts of sections, and questions in a model's answer."""

import pytest

from book.chunks import CHUNK_WORDS, chunk_texts
from book.questions import questions_in
from book.words import configuration_of, likeness, sketch, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ROS2", "ros 2"),
        ("`cmd_vel`", "CMD vel"),
        ("rclpy.spin()", "rclpy spin"),
        ("qu\u00e9 a\u00f1o", "que ano"),
        ("na\u0308he", "n\u00e4he"),
        ("\u0627\u064f\u0631\u062f\u0648", "\u0627\u0631\u062f\u0648"),  # Urdu, with a vowel
        ("co\u00adoperate", "cooperate"),
        ("\uff32\uff2f\uff33", "ros"),
    ],
)
def test_words_are_the_same_however_they_are_written(one, other):
    assert words_of(one) == words_of(other)


def test_numbers_stay_whole_and_unspaced_scripts_become_pairs():
    assert words_of("3.14 or 1,000") == ["3.14", "or", "1,000"]
    assert words_of("ROS\u3067\u3059\u304b") == ["ros", "\u3067\u3059", "\u3059\u304b"]


def test_a_language_without_a_stemmer_is_searched_unstemmed():
    assert [configuration_of(each) for each in ("pt-BR", "EN_us", "ur", "")] == [
        "portuguese", "english", "simple", "simple",
    ]  # fmt: skip


def test_near_duplicates_are_alike_and_other_texts_are_not():
    text = (
        "Install the package with the command below and source your shell before you run it. " * 3
    )
    other = "Publishers send messages over a topic, and all of its subscribers receive them. " * 3

    assert likeness(sketch(text), sketch(text + "Then restart.")) > 0.8
    assert likeness(sketch(text), sketch(other)) < 0.1


def test_a_short_section_is_one_part_with_its_headings_and_without_marks():
    text = "A **node** is a [process](https://x.example/a).\n\n```python\nspin(node)\n```"

    assert chunk_texts(["Nodes", "What"], text) == [
        "Nodes > What\nA node is a process.\nspin(node)"
    ]
    assert chunk_texts(["Nodes"], "") == ["Nodes"]


def test_a_long_section_is_cut_between_blocks_and_nothing_is_lost():
    code = "```\n" + "move(arm)\n" * 100 + "```"
    paragraphs = [f"Paragraph {number} " + "says more " * 30 for number in range(10)]
    text = "\n\n".join([*paragraphs[:5], code, *paragraphs[5:]])

    parts = chunk_texts(["Arms"], text)

    assert sum(part.count("move(arm)") == 100 for part in parts) == 1
    assert [word for part in parts for word in part.split() if word.isdigit()] == list("0123456789")
    longest = max(len(part.split()) for part in parts if "move(arm)" not in part)
    assert longest <= CHUNK_WORDS + 2  # with the heading in front


def test_questions_are_the_lines_that_end_as_questions_do():
    urdu = "\u0646\u0648\u0688 \u06a9\u06cc\u0627 \u06c1\u06d2\u061f"
    lines = [
        "Here are some questions:",
        "1. What is a node?",
        "- *Why two of them?*",
        "\u201cWo l\u00e4uft er?\u201d",
        "Q3: What is a node?",
        "A node is a process.",
        urdu,
        "?",
        f"{'x' * 400}?",
    ]
    answer = "\n".join(lines)

    assert questions_in(answer) == [
        "What is a node?",
        "Why two of them?",
        "Wo l\u00e4uft er?",
        urdu,
    ]
