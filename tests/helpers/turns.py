"""Turns made by hand, outside of any server."""

import asyncio

from chat.turn import idempotency
from chat.turn.turn import Question, Turn


def new_turn(question: Question) -> Turn:
    async def make() -> Turn:
        return Turn(question, idempotency.session_for(question))

    return asyncio.run(make())
