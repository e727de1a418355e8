"""What can go wrong, in the field's words. `chat.problems` says it to the outside."""

from typing import Any


class ChatError(Exception):
    """A failure with a name: `code` is what readers' front ends and the stored reply carry.

    `retry_after` is in whole seconds where the time to wait is known.
    """

    code = "internal_error"

    def __init__(self, reason: str = "", *, retry_after: int | None = None) -> None:
        """`reason` is for the log alone; it never reaches a reader."""
        super().__init__(reason or self.code)
        self.retry_after = retry_after


class BadRequest(ChatError):
    code = "bad_request"


class InvalidJson(ChatError):
    code = "invalid_json"


class NotFound(ChatError):
    code = "not_found"


class MethodNotAllowed(ChatError):
    code = "method_not_allowed"


class PayloadTooLarge(ChatError):
    code = "payload_too_large"


class UnsupportedMediaType(ChatError):
    code = "unsupported_media_type"


class InvalidRequest(ChatError):
    """`errors` lists each problem as `{"loc", "msg", "type"}`."""

    code = "invalid_request"

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__()
        self.errors = errors


class AnswerInProgress(ChatError):
    """This question (by its Idempotency-Key) is being answered; `retry_after` says when to look."""

    code = "answer_in_progress"


class AnswerStopped(ChatError):
    """The reader stopped the answer before it had a word."""

    code = "answer_stopped"


class IdempotencyKeyReused(ChatError):
    """An Idempotency-Key that came with another question before."""

    code = "idempotency_key_reused"


class RateLimited(ChatError):
    """This client asks too often; `retry_after` says when it may ask again."""

    code = "rate_limited"


class BudgetExhausted(ChatError):
    """The day's tokens are used up; `retry_after` says when the next day begins."""

    code = "budget_exhausted"


class ContextTooLong(ChatError):
    code = "context_too_long"


class ModelUnavailable(ChatError):
    """Refused, broken off, a server's error, an answer that is empty or no answer at all."""

    code = "model_unavailable"


class ModelMisconfigured(ChatError):
    """The model's service does not accept our key, our address or the model's name."""

    code = "model_misconfigured"


class ModelRateLimited(ChatError):
    code = "model_rate_limited"


class ModelTimeout(ChatError):
    code = "model_timeout"


class Interrupted(ChatError):
    """Nobody writes this reply any more: its worker was killed. Only ever stored, never raised."""

    code = "interrupted"


class DatabaseUnavailable(ChatError):
    code = "database_unavailable"


class InternalError(ChatError):
    code = "internal_error"
