"""Why a service gave no answer: one reading and one table for the errors of all services.

They agree on little: the error is an object, a list, a string or JSON within a string; under
`error`, `detail`, `message`, `errors` or `metadata.raw`; with a status of 4xx, 5xx or 200, as a
body or as an event of a stream. So all of it is read, and is sorted by its wording before its
status.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from urllib.parse import urlsplit

from llm import wordings
from llm.errors import (
    ContextTooLong,
    ModelError,
    ModelMisconfigured,
    ModelRateLimited,
    ModelUnavailable,
    Refusal,
)
from llm.providers import Provider
from llm.spending import read_usage

MAX_TEXT_CHARS = 8000  # of an error, that is searched
MAX_MESSAGE_CHARS = 1000
MAX_SENTENCE_CHARS = 200
MAX_DEPTH = 8
MAX_LEAVES = 200
RETRY_AFTER_SECONDS = 10
MAX_RETRY_AFTER_SECONDS = 3600

CODE_NAMES = ("code", "type", "status", "reason", "error_type", "status_code", "error_code")
MESSAGE_NAMES = (
    "message", "detail", "msg", "error", "error_description", "error_msg", "status_msg", "title",
    "raw", "description",
)  # fmt: skip
# What a service echoes is the reader's, and says nothing of the error.
ECHO_NAMES = {"input", "ctx", "messages", "prompt", "content"}


# Reading ------------------------------------------------------------------------------------
def of_response(
    status: int, headers: Mapping[str, str], text: str, provider: Provider
) -> ModelError:
    """The error for a response that is no success."""
    if 300 <= status < 400:
        return ModelMisconfigured(f"{status}: it redirects to {_host(headers)}")
    body: object = text
    with suppress(ValueError, RecursionError):
        body = json.loads(text)
    return classified(read(body, provider, status, headers))


def _host(headers: Mapping[str, str]) -> str:
    try:
        host = urlsplit(headers.get("Location", "")).hostname or "another path"
    except ValueError:
        return "no address"
    return host if host.isprintable() else "no address"


def in_answer(body: object, provider: Provider) -> ModelError:
    """The error for what came in a 200 in place of an answer, or of a chunk of one."""
    return classified(read(body, provider))


def read(
    body: object, provider: Provider, status: int = 0, headers: Mapping[str, str] | None = None
) -> Refusal:
    """The reason that a service gives in the body of a response or of an event."""
    leaves = list(islice(_leaves(body), MAX_LEAVES))
    text = " ".join(f"{name} {value[:MAX_TEXT_CHARS]}" for name, value in leaves)
    text = text[:MAX_TEXT_CHARS].lower()
    return Refusal(
        status=status or _status(leaves),
        code=_scrubbed(_code(leaves), provider)[:60],
        sentence=_sentence(leaves, provider),
        text=text,
        retry_after=_retry_after(headers or {}, text),
        usage=read_usage(body.get("usage")) if isinstance(body, dict) else None,
    )


def _leaves(value: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """The words and numbers of an error, each with its name, from the outside in."""
    if depth > MAX_DEPTH or name in ECHO_NAMES:
        return
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = _loaded(value)
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, str(key), depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, name, depth + 1)
    elif value not in (None, "", True, False):
        yield name, str(value)


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _status(leaves: list[tuple[str, str]]) -> int:
    for name, value in leaves:
        if name in ("code", "status", "status_code") and re.fullmatch("[45][0-9]{2}", value):
            return int(value)
    return 0


def _code(leaves: list[tuple[str, str]]) -> str:
    for wanted in CODE_NAMES:
        for name, value in leaves:
            if name == wanted and not re.fullmatch("[1-5][0-9]{2}", value):
                return value
    return ""


def first_words(text: str, provider: Provider) -> str:
    """The beginning of a response that is no error, fit for the log."""
    return _first_sentence(_scrubbed(text, provider))[:MAX_SENTENCE_CHARS]


def _sentence(leaves: list[tuple[str, str]], provider: Provider) -> str:
    """The first sentence of each message, of which there may be one within the other."""
    messages = [value for name, value in leaves if name in MESSAGE_NAMES or not name]
    firsts = dict.fromkeys(_first_sentence(_scrubbed(each, provider)) for each in messages)
    return " ".join(firsts)[:MAX_SENTENCE_CHARS]


def _first_sentence(message: str) -> str:
    plain = re.sub(r"<style.*?</style>|<[^>]*>", " ", message, flags=re.DOTALL)
    plain = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", plain).strip()
    found = re.match(r".+?[.!?。](?=\s|$)", plain)
    return found[0] if found else plain


# Keys, by their usual beginnings, by their length, or as services mask them.
KEYS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|nvapi|hf|fw|csk|r8|AIza|ya29|eyJ)[-_.A-Za-z0-9]{6,}[-_.*A-Za-z0-9]*"
    r"|\bBearer\s+\S+|\S*\*{3,}\S*|\b[A-Za-z0-9]{28,}\b|(?<=key=)[^\s&]+",
    re.IGNORECASE,
)


def _scrubbed(text: str, provider: Provider) -> str:
    """The beginning of a text, without keys."""
    text = text[:MAX_MESSAGE_CHARS]
    if len(provider.api_key) > 4:
        text = text.replace(provider.api_key, "…")
    return KEYS.sub("…", text)


# Delays -------------------------------------------------------------------------------------
UNIT = r"(?:(?:ms|milliseconds?|h(?:ours?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?)(?![a-z]))"
DELAY = re.compile(
    r"(?:retry[ _-]?delay|retry[ _-]?after(?:[ _-]?seconds)?|(?:try|retry)(?: again| the request)?"
    r" (?:in|after)|resets? (?:in|after)|wait(?: for)?)[\s\"':=]*(?:about |at least )?"
    rf"((?:[0-9]+(?:\.[0-9]+)?\s*{UNIT}?\s*){{1,3}})"
)
AMOUNT = re.compile(rf"([0-9]+(?:\.[0-9]+)?)\s*({UNIT})?")


def _retry_after(headers: Mapping[str, str], text: str) -> int | None:
    """The whole seconds that the service asks to wait, within reason."""
    header = headers.get("retry-after", "")
    seconds = _number(headers.get("retry-after-ms", ""), 0.001)
    if seconds is None:
        seconds = _number(header)
    if seconds is None:
        seconds = _until(header)
    if seconds is None and (found := DELAY.search(text)):
        seconds = sum(float(number) * _seconds(unit) for number, unit in AMOUNT.findall(found[1]))
    return None if seconds is None else math.ceil(min(max(seconds, 1), MAX_RETRY_AFTER_SECONDS))


def _number(text: str, unit: float = 1) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value * unit


def _until(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _seconds(unit: str) -> float:
    if unit.startswith(("ms", "milli")):
        return 0.001
    return {"h": 3600, "m": 60}.get(unit[:1], 1)


# Sorting ------------------------------------------------------------------------------------
TRANSIENT_STATUSES = {408, 409, 425}


def classified(refusal: Refusal) -> ModelError:
    """One of our errors for a refusal. What will not change by itself is not transient."""
    kind, is_transient = _class_and_transience(refusal.status, refusal.text)
    retry_after = refusal.retry_after
    if kind is ModelRateLimited:
        retry_after = retry_after or RETRY_AFTER_SECONDS
    elif not is_transient:
        retry_after = None
    reason = str(refusal)
    if kind is ContextTooLong:
        reason = f"the prompt is longer than the model's context: {reason}"
    return kind(reason, retry_after=retry_after, is_transient=is_transient, refusal=refusal)


def _class_and_transience(status: int, text: str) -> tuple[type[ModelError], bool]:
    """Which error it is, and whether it is transient."""
    if status == 413 or wordings.TOO_LARGE.search(text):
        return ContextTooLong, False
    if wordings.FILTERED.search(text) and status < 500:
        return ModelUnavailable, False
    # An account without credit is a 402, a 400, a 403 or a 429, depending on the service.
    if status in (401, 402, 404) or wordings.OUT_OF_CREDIT.search(text):
        return ModelMisconfigured, False
    if status == 429 or wordings.RATE.search(text):
        return ModelRateLimited, True
    if wordings.CONTEXT_TOO_LONG.search(text):
        return ContextTooLong, False
    if status == 403 or _is_about_a_setting(status, text):
        return ModelMisconfigured, False
    if 400 <= status < 500 and status not in TRANSIENT_STATUSES:
        return ModelUnavailable, False
    return ModelUnavailable, bool(status) or not wordings.BAD_REQUEST.search(text)


def _is_about_a_setting(status: int, text: str) -> bool:
    if status >= 500:
        return bool(wordings.SURELY_A_SETTING.search(text))
    return bool(wordings.BAD_KEY.search(text) or wordings.UNKNOWN_MODEL.search(text))
