"""Which sections fit into a prompt, and what of a long one."""

from book.search import Found, Hit
from chat.citations.excerpts import choose

LONG = "\n\n".join(f"Robot {n} weighs {n} kilograms." for n in range(5000))


def found(*texts):
    hits = [
        Hit(n, "https://b.example/", "a", ["Page"], 1, "en", text, 0.5, None, None, None, 1)
        for n, text in enumerate(texts)
    ]
    return Found(1, hits, None)


def test_of_a_long_section_the_part_nearest_to_the_question_is_given_and_leaves_room_for_others():
    excerpts = choose(found(LONG, "Short."), 10, 1000, "How much does robot 4321 weigh?")

    first, second = (hit.text for hit in excerpts.sections)
    assert "Robot 4321 weighs 4321 kilograms." in first
    assert first in LONG
    assert first.startswith("Robot")
    assert len(first) <= 2000
    assert second == "Short."


def test_of_a_long_section_without_any_word_of_the_question_the_beginning_is_given():
    (hit,) = choose(found(LONG), 10, 1000, "Cheese?").sections

    assert LONG.startswith(hit.text)
    assert 3900 < len(hit.text) <= 4000
