"""What a model thinks before it answers is no part of the answer."""

import time

import pytest

from llm.errors import ModelUnavailable
from llm.thoughts import TAGS, ThoughtFilter
from tests.helpers.scripted_model import Reply, chunk, frames

ANSWER = "A node is a process."
THOUGHTS = {
    "a thought": "<think>Hm, a node.</think>A node is a process.",
    "blank space around it": "\n <think>\nHm.\n</think>\n\nA node is a process.",
    "an empty thought": "<think>\n\n</think>\n\nA node is a process.",
    "nothing in it": "<think></think>A node is a process.",
    "two thoughts": "<think>Hm.</think>\n<think>Hm!</think>\nA node is a process.",
    "capitals": "<THINK>Hm.</Think>A node is a process.",
    "a tag within it": "<think>I could write <b>, </thinkable> or <.</think>A node is a process.",
    "its own tag within it": "<think>Should I <think>?</think>A node is a process.",
} | {tag: f"{tag}Hm.{closing}\n\nA node is a process." for tag, closing in TAGS.items()}


@pytest.mark.parametrize("text", THOUGHTS.values(), ids=THOUGHTS)
def test_a_thought_at_the_start_is_left_out(model, ask, text):
    model.says(text)

    assert ask().text == ANSWER


def cut(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


def filtered(text, size, holds_back):
    """What a filter makes of a text that comes in pieces, and what it has to take back."""
    passed = []
    thoughts = ThoughtFilter(passed.clear, holds_back)
    for piece in cut(text, size):
        passed += [thoughts.add(piece)]
    return "".join([*passed, thoughts.finish()])


@pytest.mark.parametrize("holds_back", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("text", THOUGHTS.values(), ids=THOUGHTS)
def test_a_thought_may_be_cut_anywhere(text, size, holds_back):
    assert filtered(text, size, holds_back) == ANSWER


def test_a_thought_may_come_in_chunks(model, stream, asked):
    chunks = ("<th", "ink>Hm, a", " node.</", "think", ">\n\n", "A node", " is a process.")
    model.says(Reply(chunks=chunks, gap=0.02))

    assert stream().text == asked.text == ANSWER


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_beside_the_text_is_left_out(model, ask, name):
    message = {"content": ANSWER, name: "Hm, a node."}
    model.says(Reply(message=message, chunks=({name: "Hm, "}, {name: "a node."}, ANSWER)))

    assert ask().text == ANSWER


TEXTS = {
    "a tag of HTML": "<div>Hello</div>",
    "a tag that begins alike": "<thin>Hello</thin>",
    "a tag alone": "<",
    "half a tag": "<think",
    "a list": "[1, 2]",
    "a citation": "[1] says so.",
    "a tag later on": "Models write <think> and </thinking-aloud>.",
    "a quoted tag": "R1 ends its thoughts with `</think>` and then answers.",
    "a tag in quotation marks": 'It writes "</think>" and then answers.',
    "a tag in a block of code": "Look:\n```\n<think>\n</think>\n```\nThat is all.",
    "blank space": "  indented",
}


@pytest.mark.parametrize("holds_back", [False, True])
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_that_only_looks_so_is_left_alone_in_pieces(text, size, holds_back):
    assert filtered(text, size, holds_back) == text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_that_only_looks_so_is_left_alone(model, ask, text):
    model.says(text)

    assert ask().text == text


def test_a_tag_is_text_where_the_thoughts_came_beside_it(model, ask):
    text = "First it thinks, </think> ends that, then it answers."
    thought = {"reasoning_content": "Hm."}
    model.says(Reply(message=thought | {"content": text}, chunks=(thought, text)))

    assert ask().text == text


@pytest.mark.parametrize("text", ["<think>Hm, a node.", "<think>Hm.</think>\n ", "<think>"])
def test_a_thought_alone_is_no_answer(model, ask, text):
    model.says(text)

    with pytest.raises(ModelUnavailable):
        ask()


def test_the_first_word_of_an_answer_without_thoughts_comes_at_once(model, stream, asked):
    pieces = [frames(chunk(text), done=False).body for text in ("A", " node")]
    model.says(Reply(pieces=[*pieces, b"data: [DONE]\n\n"], gap=1))
    begin = time.monotonic()

    stream()

    assert asked.deltas == ["A", " node"]
    assert asked.times[0] - begin < 1


# The model's template ends the prompt with the opening tag --------------------------------------
UNOPENED = "Okay, the user asks.\nI say what it is.\n</think>\n\nA node is a process."


@pytest.mark.parametrize("text", [UNOPENED, "Hm.</think>A node is a process."])
def test_a_lone_closing_tag_ends_a_thought(model, complete, text):
    model.says(text)

    assert complete().text == ANSWER


@pytest.mark.parametrize("size", [1, 2, 4, 30, 1000])
@pytest.mark.parametrize("holds_back", [False, True])
def test_a_lone_closing_tag_may_be_cut_anywhere(size, holds_back):
    assert filtered(UNOPENED, size, holds_back) == ANSWER


def test_what_a_reader_has_seen_of_a_thought_is_at_least_not_kept(model, stream, asked):
    """Who has not seen a service think so yet cannot know it before the tag comes."""
    model.says(
        Reply(chunks=("Okay, ", "hm.\n</th", "ink>\n\n", "A node", " is a process."), gap=0.02)
    )

    assert stream().text == asked.text == ANSWER


@pytest.mark.parametrize("first", ["complete", "stream"])
def test_a_service_that_was_seen_to_think_so_is_waited_for(model, stream, asked, request, first):
    model.says(UNOPENED)
    request.getfixturevalue(first)()
    asked.deltas = deltas = []  # a later discarding would not hide what was passed on

    chunks = ("Hm. ", "Well.", "</thi", "nk>", "A node", " is a process.")
    model.says(Reply(chunks=chunks, gap=0.02))
    completion = stream()

    assert completion.text == ANSWER
    assert "".join(deltas) == ANSWER


def test_a_service_that_thinks_so_may_answer_at_once_too(model, complete, stream, asked):
    model.says(UNOPENED, ANSWER)
    complete()

    assert stream().text == asked.text == ANSWER


def test_a_thought_that_was_cut_off_before_its_tag_is_no_answer(model, complete, stream, asked):
    model.says(UNOPENED, Reply("Okay, the user asks", finish_reason="length"))
    complete()

    with pytest.raises(ModelUnavailable, match="LLM_MAX_OUTPUT_TOKENS"):
        stream()

    assert asked.text == ""


def test_a_service_that_sends_thoughts_apart_by_now_is_not_waited_for(
    model, complete, stream, asked
):
    apart = Reply(chunks=({"reasoning_content": "Hm."}, "A node", " is a process."))
    model.says(UNOPENED, apart, Reply(chunks=("A node", " is a process.")))
    complete()
    stream()
    asked.deltas.clear()

    stream()

    assert asked.text == ANSWER
