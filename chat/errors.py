"""What can go wrong in a chat, in the field's words. `chat.api.problems` words it for readers.

What can go wrong with a model is in `llm.errors`.
"""

from typing import Any

from llm.errors import CodedError


class ChatError(CodedError):
    """A request that is refused, or a turn that fails for a reason of our own."""


class BadRequest(ChatError):
    code = "bad_request"


class InvalidJson(ChatError):
    code = "invalid_json"


class NotFound(ChatError):
    code = "not_found"


class MethodNotAllowed(ChatError):
    code = "method_not_allowed"


class RequestTimeout(ChatError):
    """The rest of a request did not come in time."""

    code = "request_timeout"


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


class NothingToReplace(ChatError):
    """What a question is to replace is no question of its session."""

    code = InvalidRequest.code


class AnswerInProgress(ChatError):
    """This question (by its Idempotency-Key) is being answered; `retry_after` says when to look."""

    code = "answer_in_progress"


class AnswerStopped(ChatError):
    """The reader stopped the answer before its first token."""

    code = "answer_stopped"


class IdempotencyKeyReused(ChatError):
    """An Idempotency-Key that was used for another question."""

    code = "idempotency_key_reused"


class RateLimited(ChatError):
    """This client asks too often; `retry_after` says when it may ask again."""

    code = "rate_limited"


class BudgetExhausted(ChatError):
    """The day's tokens are used up; `retry_after` says when the next day begins."""

    code = "budget_exhausted"


class Interrupted(ChatError):
    """The worker that wrote this reply was killed. Only ever stored, never raised."""

    code = "interrupted"


class Unavailable(ChatError):
    """There are more requests, or parts of them, than the service can hold at once."""

    code = "unavailable"


class DatabaseUnavailable(ChatError):
    code = "database_unavailable"


class InternalError(ChatError):
    code = "internal_error"
