"""Ask a question in the terminal: the same turn as a reader's, printed as it comes."""

import asyncio
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from loguru import logger
from pydantic import ValidationError

from book.terminal import harmless
from chat.api.invisible import is_blank
from chat.api.problems import detail, invalid_request
from chat.api.schemas import ChatRequest
from chat.checks import require_model
from chat.citations.evidence import Evidence
from chat.turn import service
from chat.turn.turn import Question, Turn
from llm.errors import CodedError


class Command(BaseCommand):
    help = (
        "Ask a question as a reader does. The answer is printed as it comes and stored like any "
        "other; Ctrl-C stops it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--session", metavar="ID", help="the conversation to continue")
        parser.add_argument(
            "--selected-text",
            metavar="FILE",
            help="a passage to answer from, and from nothing else; - reads standard input",
        )

    def handle(self, **options: Any) -> None:
        require_model()
        for package in ("chat", "llm"):  # what goes wrong is printed below
            logger.disable(package)
        question = to_question(options)
        try:
            asyncio.run(self.ask(question))
        except CodedError as error:
            raise CommandError(detail(error)) from error

    async def ask(self, question: Question) -> None:
        beginning = asyncio.create_task(service.begin(question, streaming=True))
        try:
            turn = await asyncio.shield(beginning)
            await self.print_answer(turn)
            self.print_grounds((await turn.answer()).evidence)
        except asyncio.CancelledError:  # Ctrl-C
            turn = await beginning
            turn.stop()
            self.note("\nStopped.")
            raise
        finally:
            await service.finish()
        self.note(f"Go on with --session {turn.session_id}")

    async def print_answer(self, turn: Turn) -> None:
        while turn.outcome is None:
            await turn.wait_for_change()
            self.stdout.write(harmless(turn.unread_text()), ending="")
            self.stdout.flush()
        if turn.text:
            self.stdout.write("")  # ends the line

    def print_grounds(self, evidence: Evidence) -> None:
        """Sources are part of the answer; that the book is silent is a note beside it."""
        if evidence.sources:
            self.stdout.write("")
        for source in evidence.sources:
            self.stdout.write(harmless(f"[{source['number']}] {source['section']}"))
            if source["text"]:
                self.stdout.write(harmless(f"    “{' '.join(source['text'].split())}”"))
            self.stdout.write(harmless(f"    {source['url']}"))
        if evidence.nearest:
            self.note("The book does not cover this. Nearest:")
        for section in evidence.nearest:
            self.note(harmless(f"    {section['section']}  {section['url']}"))

    def note(self, sentence: str) -> None:
        """Beside the answer, which may go into a file; and not in an error's colours."""
        self.stderr.write(sentence, style_func=str)


def to_question(options: dict[str, Any]) -> Question:
    """The arguments, checked as a reader's question is."""
    given = {
        "message": options["question"],
        "session_id": options["session"],
        "selected_text": passage_of(options["selected_text"]),
    }
    try:
        request = ChatRequest.model_validate(given)
    except ValidationError as error:
        errors = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise CommandError(detail(invalid_request(errors))) from error
    return Question(request.message, request.session_id, request.selected_text)


def passage_of(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        passage = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeError as error:
        raise CommandError(f"{file} is not a text in UTF-8.") from error
    if is_blank(passage):
        raise CommandError(f"{file} is empty.")
    return passage
