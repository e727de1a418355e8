"""The sentence of a section that supports an answer's sentence; quotations, word by word."""

import time

import pytest

from benchmarks.quotes import EXAMPLE, OF_THE_EXAMPLE, figures, judged
from book.quotes.best import best_quote, contains, is_supported, quotations

SECTION = """A **node** is an executable process that performs computation. Keep callbacks short.

- **Inactive:** It has what it needs, but does not work.
- **Active:** It works.

| Frame | Fixed to |
| --- | --- |
| `odom` | the place where the robot started |

```python
self.create_timer(0.5, self.report)  # seconds
```

The watchdog stops the motors after half a second. A message is kept in 3 copies by `rclpy`."""


def test_pairs_about_the_example_book_are_judged_as_they_were():
    measured = figures(judged(OF_THE_EXAMPLE, EXAMPLE))

    assert measured.recall >= 0.95
    assert measured.precision >= 0.84
    assert measured.right_quotes >= 0.9
    assert measured.changed_but_sure == 0


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("Nodes are processes that compute.", "A **node** is an executable process that"),
        ("An inactive node has all it needs.", "**Inactive:** It has what it needs,"),
        ("odom is fixed to where the robot started.", "| `odom` | the place where the robot"),
        ("create_timer is called with 0.5 seconds.", "self.create_timer(0.5, self.report)"),
        ("The motors stop after 500 milliseconds.", "The watchdog stops the motors after half"),
        ("`rclpy` behält 3 Kopien.", "A message is kept in 3 copies by `rclpy`."),
    ],
)
def test_a_quote_is_the_part_that_supports_the_sentence_as_it_is_written(sentence, quote):
    found = best_quote(sentence, SECTION)

    assert found is not None
    assert found.text.startswith(quote)
    assert found.text in SECTION
    assert 0.33 <= found.score <= 1


def test_word_by_word_is_sure():
    found = best_quote("The watchdog stops the motors after half a second.", SECTION)

    assert found is not None
    assert found.score >= 0.8


@pytest.mark.parametrize(
    "sentence",
    [
        "The watchdog stops the motors after two seconds.",
        "The watchdog stops the motors after half a minute.",
        "The watchdog does not stop the motors after half a second.",
        "The watchdog starts the motors after half a second.",
        "A message is kept in four copies by rclpy.",
        "A message is kept in 3 copies by rclcpp.",
        "An inactive node works.",
        "Die Bibliothek `rclcpp` behält 3 Kopien.",
        "Bread is baked in an oven.",
        "",
    ],
)
def test_what_the_section_does_not_say_has_no_quote(sentence):
    assert best_quote(sentence, SECTION) is None
    assert not is_supported(sentence, [(SECTION, ())])


def test_names_that_only_the_heading_has_are_known():
    sentence = "In Zenoh the watchdog stops the motors after half a second."

    assert best_quote(sentence, SECTION) is None
    assert best_quote(sentence, SECTION, ("Zenoh", "Safety"))


@pytest.mark.parametrize(
    ("quotation", "is_there"),
    [
        ("a node is an executable process", True),
        ("A node is … that performs computation. Keep", True),
        ("that performs computation. Keep … a node is an executable", False),
        ("a node is no executable process", False),
        ("the motors after half a minute", False),
        ("“It has what it\u00a0needs, but does not work”", True),
        ("self.create_timer(0.5, self.report)", True),
        ("self.create_timer(0.6, self.report)", False),
        ("", False),
    ],
)
def test_a_quotation_is_true_if_its_words_stand_there_contiguously(quotation, is_there):
    assert contains(quotation, SECTION) is is_there


def test_quotations_are_what_stands_in_marks_or_block_quotes_outside_of_code():
    text = """It says "a node is a process", „und das ist ein Zitat“ and «ceci est une citation».
One "node" is named, `"not what is in code"` is not quoted.

> A whole block
> of words.

```
"neither is this a quotation"
```
"""
    assert quotations(text) == [
        "a node is a process",
        "und das ist ein Zitat",
        "ceci est une citation",
        "A whole block\nof words.",
    ]


HOSTILE = ["(a. ", "“‘", "„a ", "`a ", "`a ``b ```c ", "1, 2 and 3 ", "It is so. ", "> ", "- a\n"]


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_text_takes_no_more_time_than_its_length_asks_for(part):
    text = (part * 20_000)[:20_000]
    begin = time.process_time()

    quotations(text)
    best_quote("A node has a name.", text)
    best_quote(text, SECTION)

    assert time.process_time() - begin < 1.5
