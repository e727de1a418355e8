"""The one list of services that can be asked, and which of them are configured.

Every service is an OpenAI-compatible endpoint, for chat completions and for embeddings. To add one,
add it to `SERVICES`: the settings, the checks, the start of the server and the pages all read it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Service:
    """A service that can be configured, and the names of the settings that do it."""

    name: str
    key_setting: str
    model_setting: str
    default_model: str
    default_embedding_model: str
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
        default_embedding_model="text-embedding-3-small",
        base_url_setting="OPENAI_BASE_URL",
    ),
    Service(
        "gemini",
        key_setting="GEMINI_API_KEY",
        model_setting="GEMINI_MODEL",
        default_model="gemini-2.5-flash-lite",
        default_embedding_model="gemini-embedding-001",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
    ),
)

OPENAI_URL = "https://api.openai.com/v1"
EMBEDDED = "embedded"  # the name of the providers that are
NO_KEY = "none"  # local servers need none, the SDK does
NO_EMBEDDINGS = "none"  # as the value of EMBEDDING_MODEL


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


def embedding_provider() -> Provider | None:
    """Whom to ask for embeddings; None: nobody, and the book is searched by its words alone.

    Starts the embedded model where that is the one, and does not run.
    """
    return _embedded_embeddings() if are_embeddings_embedded() else configured_embeddings()


def has_embeddings() -> bool:
    """Whether there is somebody to ask for embeddings; nothing is started to find out."""
    return are_embeddings_embedded() or configured_embeddings() is not None


def are_embeddings_embedded() -> bool:
    """Whether embeddings come from the embedded model."""
    if not settings.EMBEDDED or settings.EMBEDDING_MODEL or settings.EMBEDDING_BASE_URL:
        return False
    return configured_embeddings() is None


def configured_embeddings() -> Provider | None:
    """Whom the settings name for embeddings, the embedded model aside."""
    provider = next(_services_for_embeddings(), None)
    if provider is None or settings.EMBEDDING_MODEL == NO_EMBEDDINGS:
        return None
    model = settings.EMBEDDING_MODEL or _default_embedding_model(provider.base_url)
    return replace(provider, model=model) if model else None


def _services_for_embeddings() -> Iterator[Provider]:
    """The server that has settings of its own, or else the services in the order of answers.

    Only the first is asked: a fallback would get every reader's question, and is there for few.
    """
    base_url, key = settings.EMBEDDING_BASE_URL, settings.EMBEDDING_API_KEY
    if base_url or key:
        yield Provider(_name(SERVICES[0], base_url), "", key or NO_KEY, base_url or OPENAI_URL)
    yield from (_provider(each) for each in SERVICES if _is_configured(each))


def _default_embedding_model(base_url: str | None) -> str:
    """The model of the service at that address; empty for other servers, which may have none."""
    models = {_host(each.base_url): each.default_embedding_model for each in SERVICES}
    return models.get(_host(base_url), "")


def _host(base_url: str | None) -> str:
    return urlsplit(base_url or OPENAI_URL).netloc


def embedded_embedding_model() -> str:
    """The name of the embedded model, which need not run."""
    from embedded import embedding_model  # noqa: PLC0415 - not installed in production

    return embedding_model.MODEL


def _embedded_embeddings() -> Provider:
    from embedded import embedding_model  # noqa: PLC0415 - not installed in production

    endpoint = embedding_model.start(settings.BASE_DIR / ".embedded")
    return Provider(EMBEDDED, endpoint.model, endpoint.api_key, endpoint.base_url)


def _is_configured(service: Service) -> bool:
    return any(getattr(settings, name) for name in service.activating_settings)


def _provider(service: Service) -> Provider:
    base_url = getattr(settings, service.base_url_setting, "")
    return Provider(
        _name(service, base_url),
        getattr(settings, service.model_setting),
        getattr(settings, service.key_setting) or NO_KEY,
        base_url or service.base_url,
    )


def _name(service: Service, base_url: str) -> str:
    return f"{service.name}-compatible" if base_url else service.name


def _embedded_provider() -> Provider:
    from embedded import chat_model  # noqa: PLC0415 - not installed in production

    endpoint = chat_model.start(settings.BASE_DIR / ".embedded")
    return Provider(EMBEDDED, endpoint.model, endpoint.api_key, endpoint.base_url)
