"""What a scripted model needs to cite: the marks of its prompt."""

import re
from typing import Any


def asked(body: dict[str, Any]) -> str:
    """The last message of a request."""
    return str(body["messages"][-1]["content"])


def marks_of(body: dict[str, Any]) -> dict[str, str]:
    """The mark of each excerpt in the prompt, by its headings."""
    lines = re.findall(r"^\[(\w{5})\] (.+)$", asked(body), re.MULTILINE)
    return {headings.partition(" (later")[0]: mark for mark, headings in lines}


def mark_of(body: dict[str, Any], heading: str) -> str:
    """The mark of the excerpt whose own heading this is."""
    return next(mark for headings, mark in marks_of(body).items() if headings.endswith(heading))


def silent_mark_of(body: dict[str, Any]) -> str:
    found = re.search(r'do not answer this": \[(\w{5})\]', asked(body))
    assert found
    return found[1]
