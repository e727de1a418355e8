"""What the model is told: persona, selection rules, history. Pure: rows in, messages out.

The words are templates in `templates/chat/prompts/`, for authors to edit.
"""

import hashlib
from collections.abc import Iterable

from django.template.loader import render_to_string

type Prompt = list[dict[str, str]]


def conversation_prompt(
    book_title: str, exchanges: Iterable[tuple[str, str]], question: str
) -> Prompt:
    """The persona, the (question, reply) pairs so far (oldest first), and this question."""
    prompt = [_said("system", _render("conversation", book_title=book_title))]
    for asked, replied in exchanges:
        prompt += [_said("user", asked), _said("assistant", replied)]
    return [*prompt, _said("user", question)]


def passage_prompt(book_title: str, passage: str, question: str) -> Prompt:
    """The persona for quoted text, and one message with the passage, as data, and the question.

    The passage is fenced by a mark made from its own digest, so that no text written into a page
    can close the fence and speak as the reader.
    """
    fence = hashlib.sha256(passage.encode()).hexdigest()[:12]
    return [
        _said("system", _render("passage", book_title=book_title)),
        _said("user", _render("passage_question", fence=fence, passage=passage, question=question)),
    ]


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _render(name: str, **words: str) -> str:
    return render_to_string(f"chat/prompts/{name}.txt", words).strip()
