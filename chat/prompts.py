"""The prompt: persona, passage or history, question. Pure: plain values in, messages out.

The words are templates in `templates/chat/prompts/`, for authors to edit.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.template import Engine
from django.template.backends.django import DjangoTemplates
from django.template.loader import get_template

FOLDER = "chat/prompts"
FILES = ("conversation.txt", "passage.txt", "passage_question.txt")

type Prompt = list[dict[str, str]]
type Find = Callable[[str], Any]  # a template, by its name


def prompt_for(
    book_title: str,
    question: str,
    passage: str | None,
    exchanges: Iterable[tuple[str, str]],
    find: Find = get_template,
) -> Prompt:
    """The prompt of a question: with its passage alone, or else with its history."""
    if passage:
        return passage_prompt(book_title, passage, question, find)
    return conversation_prompt(book_title, exchanges, question, find)


def conversation_prompt(
    book_title: str,
    exchanges: Iterable[tuple[str, str]],
    question: str,
    find: Find = get_template,
) -> Prompt:
    """The persona, the (question, reply) pairs so far (oldest first), and this question."""
    prompt = [_message("system", _render(find, "conversation.txt", book_title=book_title))]
    for asked, replied in exchanges:
        prompt += [_message("user", asked), _message("assistant", replied)]
    return [*prompt, _message("user", question)]


def passage_prompt(
    book_title: str, passage: str, question: str, find: Find = get_template
) -> Prompt:
    """The persona for quoted text, and one message with the passage, as data, and the question.

    The passage is fenced by a mark made from its own digest, so that no text written into a page
    can close the fence and speak as the reader.
    """
    fence = hashlib.sha256(passage.encode()).hexdigest()[:12]
    words = {"fence": fence, "passage": passage, "question": question}
    return [
        _message("system", _render(find, "passage.txt", book_title=book_title)),
        _message("user", _render(find, "passage_question.txt", **words)),
    ]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _render(find: Find, file: str, **words: str) -> str:
    return str(find(f"{FOLDER}/{file}").render(words)).strip()


def edited(folder: Path) -> tuple[list[str], Find]:
    """Which templates the folder holds, and a `Find` that prefers these to the usual ones.

    Raises OSError, UnicodeError or TemplateSyntaxError for a template that cannot be used.
    """
    texts = {file: (folder / file).read_text("utf-8") for file in FILES if (folder / file).exists()}
    usual = Engine.get_default()
    here = {f"{FOLDER}/{file}": text for file, text in texts.items()}
    loaders = [("django.template.loaders.locmem.Loader", here), *usual.loaders]
    templates = DjangoTemplates(
        {
            "NAME": str(folder),
            "DIRS": usual.dirs,
            "APP_DIRS": False,  # the usual loaders know the apps
            "OPTIONS": {"loaders": loaders},
        }
    )
    for name in here:
        templates.get_template(name)
    return list(texts), templates.get_template
