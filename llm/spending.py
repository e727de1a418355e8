"""The tokens that a question has cost: as its services report them, estimated where they do not."""

from dataclasses import dataclass
from typing import NamedTuple

CHARS_PER_TOKEN = 4  # in English prose, roughly
MAX_COUNT = 2**31 - 1  # that a column of the database holds


class Usage(NamedTuple):
    """What a service reports of one call; None for a count that it leaves out."""

    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(slots=True)
class Spending:
    """The tokens of all calls made for one question, retries and other services included.

    The counts are sums of what was reported (None: nothing was); `estimated` is for the calls that
    were answered, or given up, without a report.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    estimated: int = 0

    @property
    def tokens(self) -> int:
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0) + self.estimated

    def add(self, usage: Usage) -> None:
        self.prompt_tokens = _sum(self.prompt_tokens, usage.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, usage.completion_tokens)


def _sum(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first + second, MAX_COUNT)


def estimated_tokens(chars: int) -> int:
    """A rough count for the prompt and the text of a call whose usage was not reported."""
    return chars // CHARS_PER_TOKEN + 1


def read_usage(value: object) -> Usage | None:
    """A service's `usage`; None where it is missing or makes no sense.

    Some services (Gemini, xAI) leave the tokens of thinking out of the completion's and count them
    in the total alone; they are part of the completion here, since they are charged like it.
    """
    if not isinstance(value, dict):
        return None
    prompt = _count(value.get("prompt_tokens", value.get("input_tokens")))
    completion = _count(value.get("completion_tokens", value.get("output_tokens")))
    total = _count(value.get("total_tokens"))
    if total is not None and prompt is not None:
        completion = max(completion or 0, total - prompt)
    return Usage(prompt, completion) if prompt or completion else None


def _count(value: object) -> int | None:
    """A token count that the database can hold; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_COUNT else None
