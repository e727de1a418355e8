"""Ask a question in the terminal: the same turn as a reader's, printed as it comes."""

import asyncio
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from loguru import logger
from pydantic import ValidationError

from chat import conversation, llm
from chat.errors import ChatError
from chat.problems import PROBLEMS
from chat.schemas import ChatRequest
from chat.turns import Answer, Question, Turn

LONGEST_SILENCE_SECONDS = 3600
ARGUMENTS = {
    "message": "question",
    "session_id": "--session",
    "selected_text": "--selected-text",
}


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
        logger.disable("chat")  # what goes wrong is said below
        question = self.question(options)
        try:
            answer = asyncio.run(self.ask(question))
        except ChatError as error:
            raise CommandError(PROBLEMS[error.code].detail) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=130) from None
        self.stderr.write(f"Go on with --session {answer.session_id}")

    def question(self, options: dict[str, Any]) -> Question:
        """What was given, held to the same limits as a reader's question."""
        try:
            request = ChatRequest.model_validate(
                {
                    "message": options["question"],
                    "session_id": options["session"],
                    "selected_text": read(options["selected_text"]),
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise CommandError(f"{ARGUMENTS[str(first['loc'][0])]}: {first['msg']}.") from error
        return Question(request.message, request.session_id, request.selected_text)

    async def ask(self, question: Question) -> Answer:
        try:
            turn = await conversation.begin(question, streaming=True)
            try:
                await self.tell(turn)
            except asyncio.CancelledError:  # Ctrl-C
                turn.stop()
                raise
            return await turn.answer()
        finally:
            await conversation.finish_running()
            await llm.close_clients()

    async def tell(self, turn: Turn) -> None:
        while turn.outcome is None:
            await turn.changed(LONGEST_SILENCE_SECONDS)
            self.stdout.write(turn.take(), ending="")
            self.stdout.flush()
        if turn.text:
            self.stdout.write("")  # ends the line


def read(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{file} cannot be read as text: {error}") from error
