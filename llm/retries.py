"""How often a failed call is made again, and after how long."""

import random

from llm.errors import ModelError

TRIES = 3
FIRST_PAUSE_SECONDS = 0.3


def pause_before_retry(
    failure: ModelError, attempt: int, longest: float, tries: int = TRIES
) -> float | None:
    """The seconds to wait after the failed `attempt` (the first is 1); None: no further one.

    None too where the wait would be longer than `longest`.
    """
    # Spread, so that those who failed together do not come back together.
    spread = random.uniform(0.8, 1.2)  # noqa: S311
    pause = FIRST_PAUSE_SECONDS * 3.0 ** (attempt - 1) * spread
    pause = max(pause, failure.retry_after or 0)
    if attempt >= tries or pause > longest or not failure.is_transient:
        return None
    return pause
