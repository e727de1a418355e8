"""What can go wrong when a model is asked, in the field's words."""


class CodedError(Exception):
    """A failure with a name: `code` is what front ends get and what the stored reply carries.

    `retry_after` is in whole seconds where the time to wait is known.
    """

    code = "internal_error"

    def __init__(self, reason: str = "", *, retry_after: int | None = None) -> None:
        """`reason` is for the log alone; it never reaches a reader."""
        super().__init__(reason or self.code)
        self.retry_after = retry_after


class ModelError(CodedError):
    """A model's service gave no answer."""


class ContextTooLong(ModelError):
    code = "context_too_long"


class ModelUnavailable(ModelError):
    """Refused, broken off, a server error, an empty answer or no answer at all."""

    code = "model_unavailable"


class ModelMisconfigured(ModelError):
    """The service does not accept our key, our address or the model's name."""

    code = "model_misconfigured"


class ModelRateLimited(ModelError):
    code = "model_rate_limited"


class ModelTimeout(ModelError):
    code = "model_timeout"
