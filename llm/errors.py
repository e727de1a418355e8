"""What can go wrong when a model is asked, in the field's words."""

from dataclasses import dataclass

from llm.spending import Usage


class CodedError(Exception):
    """A failure with a name: `code` is what front ends get and what the stored reply carries.

    `retry_after` is in whole seconds where the time to wait is known.
    """

    code = "internal_error"

    def __init__(self, reason: str = "", *, retry_after: int | None = None) -> None:
        """`reason` is for the log alone; it never reaches a reader."""
        super().__init__(reason or self.code)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service sent in place of an answer.

    `status` is HTTP's; within a 200 the one that the body names, or 0. `sentence` is fit for the
    log; `text` is all of it, in lower case, to be searched.
    """

    status: int
    code: str
    sentence: str
    text: str
    retry_after: int | None = None
    usage: Usage | None = None

    def __str__(self) -> str:
        parts = (str(self.status or ""), self.code, self.sentence)
        return " ".join(dict.fromkeys(filter(None, parts)))


class ModelError(CodedError):
    """A model's service gave no answer.

    `is_transient` says whether the same call may succeed a moment later; `refusal` is what the
    service gave as its reason, where it gave one.
    """

    is_transient = False

    def __init__(
        self,
        reason: str = "",
        *,
        retry_after: int | None = None,
        is_transient: bool | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        super().__init__(reason, retry_after=retry_after)
        self.refusal = refusal
        if is_transient is not None:
            self.is_transient = is_transient


class ContextTooLong(ModelError):
    code = "context_too_long"


class ModelUnavailable(ModelError):
    """Refused, broken off, a server error, an empty answer or no answer at all."""

    code = "model_unavailable"
    is_transient = True


class ModelMisconfigured(ModelError):
    """The service does not accept our key, our address or the model's name, or wants money."""

    code = "model_misconfigured"


class ModelRateLimited(ModelError):
    code = "model_rate_limited"
    is_transient = True


class ModelTimeout(ModelError):
    code = "model_timeout"
