"""The prompt: persona; passage, or history and excerpts; question. Plain values in, messages out.

The words are templates in `templates/chat/prompts/`, for authors to edit.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template import Engine
from django.template.backends.django import DjangoTemplates
from django.template.loader import get_template

from book.models import BETWEEN_HEADINGS
from book.search import Hit, ReaderPage
from chat.citations.excerpts import Excerpts
from chat.citations.sentences import without_numbers
from llm.providers import is_demonstration

FOLDER = "chat/prompts"
FILES = (
    "conversation.txt",
    "passage.txt",
    "passage_question.txt",
    "book.txt",
    "book_question.txt",
    "demonstration.txt",
    "demonstration_question.txt",
)

type Prompt = list[dict[str, str]]
type Find = Callable[[str], Any]  # a template, by its name


def prompt_for(
    book_title: str,
    question: str,
    passage: str | None,
    exchanges: Iterable[tuple[str, str]],
    find: Find = get_template,
    *,
    excerpts: Excerpts | None = None,
) -> Prompt:
    """The prompt of a question: with its passage alone, or else with its history, and excerpts of
    the book where there is one.
    """
    if passage:
        return passage_prompt(book_title, passage, question, find)
    if excerpts:
        return book_prompt(book_title, exchanges, excerpts, question, find)
    return conversation_prompt(book_title, exchanges, question, find)


def conversation_prompt(
    book_title: str,
    exchanges: Iterable[tuple[str, str]],
    question: str,
    find: Find = get_template,
) -> Prompt:
    """The persona, the (question, reply) pairs so far (oldest first), and this question."""
    persona = _render(find, "conversation.txt", book_title=book_title)
    return [_message("system", persona), *_history(exchanges), _message("user", question)]


def _history(exchanges: Iterable[tuple[str, str]]) -> Iterator[dict[str, str]]:
    for asked, replied in exchanges:
        yield _message("user", asked)
        yield _message("assistant", replied)


def book_prompt(
    book_title: str,
    exchanges: Iterable[tuple[str, str]],
    excerpts: Excerpts,
    question: str,
    find: Find = get_template,
) -> Prompt:
    """The persona that cites, the pairs so far, and this question with the excerpts, as data.

    Excerpts are fenced as a passage is. What comes later in the book than the reader's page says
    so. The demonstration model can do no more than answer.
    """
    demonstration = is_demonstration()
    kind = "demonstration" if demonstration else "book"
    beyond = settings.BOOK_ANSWERS == "beyond"
    persona = _render(find, f"{kind}.txt", book_title=book_title, beyond=beyond)
    texts = "".join(hit.text for hit in excerpts.sections)
    page = excerpts.reader_page
    asked = _render(
        find,
        f"{kind}_question.txt",
        fence=_fence(texts),
        excerpts="\n\n".join(
            _excerpt(hit, "" if demonstration else mark, page)
            for hit, mark in zip(excerpts.sections, excerpts.marks, strict=True)
        ),
        silent_mark=excerpts.silent_mark,
        page=page.title if page else "",
        question=question,
    )
    # A model would take the numbers of earlier sources for its own to write.
    earlier = [(each, without_numbers(replied)) for each, replied in exchanges]
    history = [] if demonstration else _history(earlier)
    return [_message("system", persona), *history, _message("user", asked)]


def _excerpt(hit: Hit, mark: str, page: ReaderPage | None) -> str:
    """Written here and not by the template, which takes several times as long for ten of them."""
    is_later = page is not None and hit.page_position > page.position
    head = BETWEEN_HEADINGS.join(hit.heading_path)
    later = " (later in the book than the reader is)" if is_later else ""
    return f"{f'[{mark}] ' if mark else ''}{head}{later}\n{hit.text}"


def passage_prompt(
    book_title: str, passage: str, question: str, find: Find = get_template
) -> Prompt:
    """The persona for quoted text, and one message with the passage, as data, and the question.

    The passage is fenced by a mark made from its own digest, so that no text written into a page
    can close the fence and speak as the reader.
    """
    words = {"fence": _fence(passage), "passage": passage, "question": question}
    return [
        _message("system", _render(find, "passage.txt", book_title=book_title)),
        _message("user", _render(find, "passage_question.txt", **words)),
    ]


def _fence(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _render(find: Find, file: str, **words: object) -> str:
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
