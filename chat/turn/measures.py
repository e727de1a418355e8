"""What is measured of a turn that has ended; see docs/telemetry.md. No texts."""

import time

from chat.citations.evidence import NOTHING, Evidence
from chat.turn.turn import Turn
from llm import telemetry
from llm.errors import CodedError


def ended(turn: Turn, outcome: str, error: str = "", evidence: Evidence = NOTHING) -> None:
    """`outcome` is complete, stopped, failed or replayed; `error` the code of a failed one, or
    of what kept the model from answering where excerpts stand in for it.
    """
    attributes = _attributes(turn, outcome, error) | {"chat.grounding": evidence.grounding or None}
    turn.span.set(attributes | {"chat.support": evidence.support, "chat.edition": evidence.edition})
    telemetry.measure("chat.turns", 1, attributes)
    if outcome == "replayed":
        return
    telemetry.measure("chat.turn.duration", time.monotonic() - turn.began, attributes)
    telemetry.measure("chat.turn.tokens", turn.spending.tokens, attributes)
    if turn.first_token_ms is not None:
        telemetry.measure("chat.turn.first_token", turn.first_token_ms / 1000, attributes)
    if evidence.support is not None:
        telemetry.measure("chat.turn.support", evidence.support, attributes)


def refused(turn: Turn, error: BaseException) -> None:
    """It was not opened: a limit, a key in use, no database."""
    code = error.code if isinstance(error, CodedError) else type(error).__name__
    attributes = _attributes(turn, "refused", code)
    turn.span.set(attributes)
    telemetry.measure("chat.turns", 1, attributes)


def _attributes(turn: Turn, outcome: str, error: str) -> dict[str, str | None]:
    door = turn.question.door or "chat"
    return {"chat.door": door, "chat.outcome": outcome, "error.type": error or None}
