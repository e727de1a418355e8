"""What a service wants to be asked otherwise than usual: learned from its refusals and answers.

What is learned of a provider is remembered for as long as this process lives.
"""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from loguru import logger

from llm import wordings
from llm.errors import Refusal
from llm.providers import EMBEDDED, Provider

type Prompt = list[dict[str, str]]

OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one service is asked. `refused` holds what it does not take, of our own names below.

    `most_output_tokens` is the largest limit that it takes.
    """

    refused: frozenset[str] = frozenset()
    most_output_tokens: int | None = None

    def body(self, provider: Provider, prompt: Prompt, streaming: bool) -> dict[str, Any]:
        """What is sent."""
        takes_system = "system" not in self.refused
        body: dict[str, Any] = {
            "model": provider.model,
            "messages": prompt if takes_system else _without_system(prompt),
        }
        if limit := self.output_limit(provider):
            most = self.most_output_tokens or settings.LLM_MAX_OUTPUT_TOKENS
            body[limit] = min(settings.LLM_MAX_OUTPUT_TOKENS, most)
        if streaming and "stream" not in self.refused:
            body["stream"] = True
            if "stream_options" not in self.refused:
                body["stream_options"] = {"include_usage": True}
        return body

    def output_limit(self, provider: Provider) -> str | None:
        """The parameter for it: the provider's usual one, or else the other; None for neither."""
        names = (provider.output_limit, *OUTPUT_LIMITS)
        return next((name for name in names if name not in self.refused), None)

    def without(self, name: str) -> "Dialect":
        return replace(self, refused=self.refused | {name})


USUAL = Dialect()
# The embedded chat model soon repeats itself: the whole limit would take it half a minute.
OF_EMBEDDED = Dialect(most_output_tokens=256)
_known: dict[Provider, Dialect] = {}
_without_opening_tag: set[Provider] = set()


def known(provider: Provider) -> Dialect:
    usual = OF_EMBEDDED if provider.name == EMBEDDED else USUAL
    return _known.get(provider, usual)


def remember(provider: Provider, dialect: Dialect) -> None:
    """Ask this provider so from now on."""
    if dialect is not known(provider):
        _known[provider] = dialect
        line = logger.bind(provider=provider.name, model=provider.model)
        line.info("The service is asked in another way from now on: {}", dialect)


def omits_opening_tag(provider: Provider) -> bool:
    """Whether its answers begin with thoughts that have a closing tag, but no opening one."""
    return provider in _without_opening_tag


def remember_opening_tag(provider: Provider, is_omitted: bool) -> None:
    (_without_opening_tag.add if is_omitted else _without_opening_tag.discard)(provider)


def forget() -> None:
    """Know nothing of any provider."""
    _known.clear()
    _without_opening_tag.clear()


def adapted(dialect: Dialect, refusal: Refusal, body: dict[str, Any]) -> Dialect | None:
    """How to ask instead, after `body` was refused; None where that is not about how we ask."""
    if refusal.status in (401, 402, 403, 408, 409, 413, 429, 503):
        return None
    name = _refused_parameter(refusal, body)
    if name in OUTPUT_LIMITS and not _is_about_the_prompt(refusal):
        return _with_another_limit(dialect, refusal, name, body[name])
    if name == "stream_options":
        return dialect.without(name)
    if "stream" in body and wordings.REFUSES_STREAM.search(refusal.text):
        return dialect.without("stream")
    if "system" not in dialect.refused and wordings.REFUSES_SYSTEM.search(refusal.text):
        return dialect.without("system")
    return None


def _refused_parameter(refusal: Refusal, body: dict[str, Any]) -> str | None:
    """Which of ours is named first; there may be a list of what is known after it."""
    names = wordings.PARAMETERS.findall(refusal.text)
    return next((name for name in names if name in body), None)


def _is_about_the_prompt(refusal: Refusal) -> bool:
    is_too_long = wordings.CONTEXT_TOO_LONG.search(refusal.text)
    return bool(is_too_long and wordings.OF_THE_PROMPT.search(refusal.text))


def _with_another_limit(dialect: Dialect, refusal: Refusal, limit: str, sent: int) -> Dialect:
    """A smaller one, if the service names the largest, or else by its other name."""
    if (found := wordings.LARGEST.search(refusal.text)) and 0 < int(found[1]) < sent:
        return replace(dialect, most_output_tokens=int(found[1]))
    return dialect.without(limit)


def _without_system(prompt: Prompt) -> Prompt:
    """The system's messages at the beginning of the first one of a user."""
    system = [each["content"] for each in prompt if each["role"] == "system"]
    others = [each for each in prompt if each["role"] != "system"]
    first, *rest = others or [{"role": "user", "content": ""}]
    return [first | {"content": "\n\n".join([*system, first["content"]])}, *rest]
