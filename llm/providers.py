"""The one list of services that can be asked, and which of them are configured.

Every service is an OpenAI-compatible chat-completions endpoint. To add one, add it to `SERVICES`:
the settings, the checks, the start of the server and the pages all read this list.
"""

from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Service:
    """A service that can be configured, and the names of the settings that do it."""

    name: str
    key_setting: str
    model_setting: str
    default_model: str
    base_url: str | None = None  # None: the SDK's own default, which is OpenAI
    base_url_setting: str = ""  # names another OpenAI-compatible server

    @property
    def activating_settings(self) -> tuple[str, ...]:
        """The settings any of which makes this service one that is asked."""
        return tuple(filter(None, (self.key_setting, self.base_url_setting)))


# Asked in this order.
SERVICES = (
    Service(
        "openai",
        key_setting="OPENAI_API_KEY",
        model_setting="OPENAI_MODEL",
        default_model="gpt-4.1-mini",
        base_url_setting="OPENAI_BASE_URL",
    ),
    Service(
        "gemini",
        key_setting="GEMINI_API_KEY",
        model_setting="GEMINI_MODEL",
        default_model="gemini-2.5-flash-lite",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
    ),
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured service: whom to ask, for which model, with which key."""

    name: str
    model: str
    api_key: str
    base_url: str | None = None  # None: OpenAI's own

    @property
    def output_limit(self) -> str:
        """OpenAI's newer models refuse `max_tokens`; other servers may not know its successor."""
        return "max_completion_tokens" if self.base_url is None else "max_tokens"


def activating_settings() -> tuple[str, ...]:
    """The names of all settings that configure a model."""
    return tuple(name for each in SERVICES for name in each.activating_settings)


def providers() -> tuple[Provider, ...]:
    """Whom to ask, in this order. Empty when no model is configured."""
    found = tuple(_provider(each) for each in SERVICES if _is_configured(each))
    if not found and settings.EMBEDDED:
        return (_embedded_provider(),)
    return found


def is_demonstration() -> bool:
    """Whether answers come from the embedded model, which is there to try things out."""
    return settings.EMBEDDED and not any(map(_is_configured, SERVICES))


def _is_configured(service: Service) -> bool:
    return any(getattr(settings, name) for name in service.activating_settings)


def _provider(service: Service) -> Provider:
    base_url = getattr(settings, service.base_url_setting, "")
    return Provider(
        f"{service.name}-compatible" if base_url else service.name,
        getattr(settings, service.model_setting),
        getattr(settings, service.key_setting) or "none",  # local servers need none, the SDK does
        base_url or service.base_url,
    )


def _embedded_provider() -> Provider:
    from embedded import chat_model  # noqa: PLC0415 - not installed in production

    endpoint = chat_model.start(settings.BASE_DIR / ".embedded")
    return Provider("embedded", endpoint.model, endpoint.api_key, endpoint.base_url)
