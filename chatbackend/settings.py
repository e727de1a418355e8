"""Every setting, read from the environment or from `.env` (the environment wins).

An empty value counts as unset. A value that cannot be read is noted in `INVALID_SETTINGS` and
replaced by its default, so that `chat.checks` can report all problems at once, each in a sentence,
before anything is served.
"""

import os
import warnings
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP

BASE_DIR = Path(__file__).resolve().parent.parent
INVALID_SETTINGS: dict[str, str] = {}

environ.Env.read_env(BASE_DIR / ".env")


# Typed readers ------------------------------------------------------------------------------
def read[T](name: str, default: T, cast: Callable[[str], T]) -> T:
    """The value of `name`; `default` where it is unset, empty or (noted) unreadable."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        return cast(raw)
    except (ValueError, ImproperlyConfigured) as error:
        INVALID_SETTINGS[name] = str(error)
        return default


def text(name: str, default: str = "") -> str:
    return read(name, default, str)


def switch(name: str) -> bool:
    """A yes or no, off by default."""

    def cast(raw: str) -> bool:
        if raw.lower() in environ.Env.BOOLEAN_TRUE_STRINGS:
            return True
        if raw.lower() in ("false", "off", "no", "n", "0"):
            return False
        raise ValueError(f"{name} must be true or false.")

    return read(name, False, cast)


def whole_number(name: str, default: int, at_least: int = 1, at_most: int = 10**9) -> int:
    def cast(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            value = at_least - 1
        if not at_least <= value <= at_most:
            raise ValueError(f"{name} must be a whole number from {at_least} to {at_most}.")
        return value

    return read(name, default, cast)


def seconds(name: str, default: float) -> float:
    def cast(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = 0
        if not 0 < value <= 3600:
            raise ValueError(f"{name} must be a number of seconds above 0 and up to 3600.")
        return value

    return read(name, default, cast)


def one_of(name: str, default: str, choices: tuple[str, ...]) -> str:
    def cast(raw: str) -> str:
        for choice in choices:
            if raw.lower() == choice.lower():
                return choice
        raise ValueError(f"{name} must be one of {', '.join(choices)}.")

    return read(name, default, cast)


def host_names(name: str) -> list[str]:
    def cast(raw: str) -> list[str]:
        names = [word.strip() for word in raw.split(",") if word.strip()]
        if any("/" in each or " " in each for each in names):
            raise ValueError(f"{name} must be a comma-separated list of names, without http://.")
        return names

    return read(name, [], cast)


def web_address(name: str) -> str:
    def cast(raw: str) -> str:
        address = urlsplit(raw)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{name} must be an http:// or https:// address.")
        return raw

    return read(name, "", cast)


def origins(name: str) -> list[str]:
    """Origins (scheme, host, port) of comma-separated addresses; a path or final slash is cut."""

    def cast(raw: str) -> list[str]:
        found = []
        for address in map(urlsplit, filter(None, map(str.strip, raw.split(",")))):
            if address.scheme not in ("http", "https") or not address.hostname:
                raise ValueError(
                    f"{name} must be a comma-separated list of http:// or https:// addresses."
                )
            found.append(f"{address.scheme}://{address.netloc}")
        return found

    return read(name, [], cast)


def database_url(name: str) -> dict[str, Any]:
    def cast(raw: str) -> dict[str, Any]:
        sentence = f"{name} must look like postgresql://user:password@host:5432/name."
        try:
            config = environ.Env.db_url_config(raw)
        except Exception as error:
            raise ValueError(sentence) from error
        if config.get("ENGINE") != "django.db.backends.postgresql" or not config.get("NAME"):
            raise ValueError(sentence)
        return dict(config)

    return read(name, {}, cast)


def rate(name: str, default: str) -> tuple[int, int] | None:
    """`30/m` as (30, 60): so many in so many seconds. Set but empty: no limit."""
    seconds_of = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

    def cast(raw: str) -> tuple[int, int]:
        number, _, unit = raw.partition("/")
        if (
            not number.isascii()
            or not number.isdigit()
            or int(number) < 1
            or unit not in seconds_of
        ):
            raise ValueError(f"{name} must look like 30/m (a number for each s, m, h or d).")
        return int(number), seconds_of[unit]

    if name in os.environ and not os.environ[name].strip():
        return None
    return read(name, cast(default), cast)


def prices(name: str) -> tuple[Decimal, Decimal] | None:
    return read(name, None, lambda raw: price_pair(name, raw))


def price_pair(name: str, raw: str) -> tuple[Decimal, Decimal]:
    """`0.40,1.60`: what a million tokens cost as input and as output."""
    try:
        found = [Decimal(part.strip()) for part in raw.split(",")]
    except InvalidOperation:
        found = []
    if len(found) != 2 or not all(price.is_finite() and 0 <= price < 10**6 for price in found):
        raise ValueError(
            f"{name} must look like 0.40,1.60 (a million tokens' price as input, as output)."
        )
    return found[0], found[1]


# What this service is -----------------------------------------------------------------------
EMBEDDED = switch("EMBEDDED")
DEBUG = switch("DEBUG")
SECRET_KEY = text("SECRET_KEY")
HOST = text("HOST", "127.0.0.1")
PORT = whole_number("PORT", 8000, at_most=65535)
WEB_CONCURRENCY = whole_number("WEB_CONCURRENCY", 2, at_most=1024)

BOOK_TITLE = text("BOOK_TITLE", "Physical AI & Humanoid Robotics")
CHAT_HISTORY_MESSAGES = whole_number("CHAT_HISTORY_MESSAGES", 10, at_least=0, at_most=1000)
CHAT_MESSAGE_MAX_CHARS = whole_number("CHAT_MESSAGE_MAX_CHARS", 4000, at_most=1_000_000)
CHAT_SELECTED_TEXT_MAX_CHARS = whole_number(
    "CHAT_SELECTED_TEXT_MAX_CHARS", 20_000, at_most=1_000_000
)
CHAT_RATE = rate("CHAT_RATE", "30/m")
CHAT_DAILY_TOKEN_BUDGET = whole_number("CHAT_DAILY_TOKEN_BUDGET", 0, at_least=0, at_most=10**15)

# The model ----------------------------------------------------------------------------------
OPENAI_API_KEY = text("OPENAI_API_KEY")
OPENAI_BASE_URL = web_address("OPENAI_BASE_URL")
OPENAI_MODEL = text("OPENAI_MODEL", "gpt-4.1-mini")
GEMINI_API_KEY = text("GEMINI_API_KEY")
GEMINI_MODEL = text("GEMINI_MODEL", "gemini-2.5-flash-lite")
LLM_TIMEOUT_SECONDS = seconds("LLM_TIMEOUT_SECONDS", 60)
LLM_MAX_OUTPUT_TOKENS = whole_number("LLM_MAX_OUTPUT_TOKENS", 1024, at_most=1_000_000)
LLM_PRICE_PER_MILLION = prices("LLM_PRICE_PER_MILLION")

# Django -------------------------------------------------------------------------------------
ROOT_URLCONF = "chatbackend.urls"
ASGI_APPLICATION = "chatbackend.asgi.application"
INSTALLED_APPS = [
    "chat",
    "ninja",  # serves Swagger's files from here, not from a CDN
    "corsheaders",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",  # the search of messages
    "django.contrib.staticfiles",
]
# The API gets by without sessions, users and forms, so that none of it runs for a chat turn
# (`chatbackend.asgi`); a middleware that is not made for async would hold a thread while it lasts.
API_MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",  # outermost: errors carry its headers too
    "chat.problems.problem_middleware",
    "chatbackend.hosts.allowed_hosts_middleware",
]
MIDDLEWARE = [
    *API_MIDDLEWARE,
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# From the checkout the apps' own files are served; an image has collected them.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
# Of WhiteNoise's small files; each first one of a page would be a warning in the log.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# PostgreSQL ---------------------------------------------------------------------------------
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CONNECTION = {
    # A server that does not answer is noticed in time for the promised 503.
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "tcp_user_timeout": 8000,
}
DATABASE_TIMEOUT_SECONDS = 8
# Of each process, so many for the turns' statements and so many for the rest of the API; a page of
# the admin opens one of its own while it is made.
DATABASE_CONNECTIONS = 8

DATABASES: dict[str, dict[str, Any]] = {"default": database_url("DATABASE_URL")}
if not DATABASES["default"] and EMBEDDED and "DATABASE_URL" not in INVALID_SETTINGS:
    from chatbackend.embedded.postgres import database_settings

    DATABASES["default"] = database_settings(BASE_DIR / ".embedded")
elif not DATABASES["default"]:
    DATABASES["default"] = {"ENGINE": "django.db.backends.dummy"}
else:
    DATABASES["default"]["OPTIONS"] = CONNECTION | DATABASES["default"].get("OPTIONS", {})
# PgBouncer in transaction mode (Neon's pooled address) keeps no cursor between transactions.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True

# Who may call -------------------------------------------------------------------------------
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = list(dict.fromkeys(host_names("ALLOWED_HOSTS") + LOOPBACK))
CORS_ALLOWED_ORIGINS = list(dict.fromkeys(["http://localhost:3000", *origins("FRONTEND_URL")]))
CORS_ALLOW_METHODS = ["DELETE", "GET", "OPTIONS", "POST", "PUT"]
CORS_ALLOW_HEADERS = ["accept", "content-type", "idempotency-key", "x-request-id", "user-agent"]
CORS_EXPOSE_HEADERS = ["Retry-After", "X-Request-ID"]
NUM_PROXIES = whole_number("NUM_PROXIES", 0, at_least=0, at_most=100)

# JSON may write a character as up to 12 bytes (two \uXXXX escapes); the rest is room for the
# other fields and for the admin's forms.
MAX_BODY_BYTES = 12 * (CHAT_MESSAGE_MAX_CHARS + CHAT_SELECTED_TEXT_MAX_CHARS) + 2**16
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# On a public site TLS ends at the proxy, which also redirects plain HTTP; hence no redirect here.
PRODUCTION = not (DEBUG or EMBEDDED)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if PRODUCTION else 0
if NUM_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for sub-domains and
    "security.W021",  # preloading would bind an author's other sites
    "security.W008",  # the proxy redirects (see above)
]

# Our pages run and show nothing but their own files; data: is the icons in stylesheets.
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}

# Logging ------------------------------------------------------------------------------------
LOG_FORMAT = one_of("LOG_FORMAT", "pretty" if not PRODUCTION else "json", ("pretty", "json"))
LOG_LEVEL = one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING_CONFIG = "chatbackend.logs.configure"
LOGGING = {
    "level": LOG_LEVEL,
    "format": LOG_FORMAT,
    "secrets": [
        SECRET_KEY,
        OPENAI_API_KEY,
        GEMINI_API_KEY,
        DATABASES["default"].get("PASSWORD", ""),
    ],
}
