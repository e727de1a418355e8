"""The list of services, with scripted ones in the place of real ones."""

from dataclasses import replace

from llm.providers import SERVICES, Service

OPENAI, GEMINI = SERVICES


def with_gemini_at(base_url: str) -> tuple[Service, ...]:
    return OPENAI, replace(GEMINI, base_url=base_url)
