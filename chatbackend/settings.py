"""Every setting, read from the environment or from `.env` (the environment wins)."""

import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.utils.csp import CSP

from chatbackend.environment import (
    INVALID,
    UNREADABLE_LINES,
    WARNINGS,
    api_key,
    database_url,
    host_names,
    language_tags,
    listening_host,
    one_of,
    origins,
    prices,
    public_address,
    rate,
    read_env_file,
    seconds,
    switch,
    text,
    web_address,
    whole_number,
)
from chatbackend.web_addresses import host_of
from llm.providers import SERVICES

BASE_DIR = Path(__file__).resolve().parent.parent
read_env_file(BASE_DIR / ".env")
# For `chat.checks`.
ENV_FILE_PROBLEMS = UNREADABLE_LINES
INVALID_SETTINGS = INVALID
SETTINGS_WARNINGS = WARNINGS

# What this service is -----------------------------------------------------------------------
EMBEDDED = switch("EMBEDDED")
DEBUG = switch("DEBUG")
SECRET_KEY = text("SECRET_KEY")
HOST = listening_host("HOST", "127.0.0.1")
PORT = whole_number("PORT", 8000, at_most=65535)
WEB_CONCURRENCY = whole_number("WEB_CONCURRENCY", 2, at_most=1024)

# Where the service is for its readers. Django makes the path (of proxies) part of every address.
PUBLIC_URL = public_address("PUBLIC_URL")
PUBLIC_PATH = urlsplit(PUBLIC_URL).path
FORCE_SCRIPT_NAME = PUBLIC_PATH or None

BOOK_TITLE = text("BOOK_TITLE", "Physical AI & Humanoid Robotics")
BOOK_SOURCE = text("BOOK_SOURCE")
BOOK_URL = web_address("BOOK_URL")
BOOK_QUESTIONS = whole_number("BOOK_QUESTIONS", 6, at_least=0, at_most=20)
BOOK_LANGUAGES = language_tags("BOOK_LANGUAGES")
BOOK_ANSWERS = one_of("BOOK_ANSWERS", "book", ("book", "beyond"))
BOOK_EXCERPT_TOKENS = whole_number("BOOK_EXCERPT_TOKENS", 2500, at_least=100, at_most=100_000)
CHAT_HISTORY_MESSAGES = whole_number("CHAT_HISTORY_MESSAGES", 10, at_least=0, at_most=1000)
CHAT_MESSAGE_MAX_CHARS = whole_number("CHAT_MESSAGE_MAX_CHARS", 4000, at_most=1_000_000)
CHAT_SELECTED_TEXT_MAX_CHARS = whole_number(
    "CHAT_SELECTED_TEXT_MAX_CHARS", 20_000, at_most=1_000_000
)
CHAT_RATE = rate("CHAT_RATE", "30/m")
CHAT_EXCERPTS_INSTEAD_OF_ERRORS = switch("CHAT_EXCERPTS_INSTEAD_OF_ERRORS", True)
CHAT_DAILY_TOKEN_BUDGET = whole_number("CHAT_DAILY_TOKEN_BUDGET", 0, at_least=0, at_most=10**15)

WEBHOOK_URL = web_address("WEBHOOK_URL")
WEBHOOK_SECRET = text("WEBHOOK_SECRET")

# The model ----------------------------------------------------------------------------------
for service in SERVICES:  # OPENAI_API_KEY, OPENAI_MODEL, GEMINI_API_KEY, …
    globals()[service.key_setting] = api_key(service.key_setting)
    globals()[service.model_setting] = text(service.model_setting, service.default_model)
    if service.base_url_setting:
        globals()[service.base_url_setting] = web_address(service.base_url_setting)
EMBEDDING_MODEL = text("EMBEDDING_MODEL")
EMBEDDING_BASE_URL = web_address("EMBEDDING_BASE_URL")
EMBEDDING_API_KEY = api_key("EMBEDDING_API_KEY")
LLM_TIMEOUT_SECONDS = seconds("LLM_TIMEOUT_SECONDS", 60)
LLM_MAX_OUTPUT_TOKENS = whole_number("LLM_MAX_OUTPUT_TOKENS", 1024, at_most=1_000_000)
LLM_PRICE_PER_MILLION = prices("LLM_PRICE_PER_MILLION")

# Django -------------------------------------------------------------------------------------
ROOT_URLCONF = "chatbackend.urls"
ASGI_APPLICATION = "chatbackend.asgi.application"
INSTALLED_APPS = [
    "review.apps.ReviewConfig",
    "chat",
    "book.apps.BookConfig",
    "ninja",  # serves Swagger's files from here, not from a CDN
    "review.apps.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",  # the search of messages
    "django.contrib.staticfiles",
    "django_otp",
    "review.apps.SecondFactorConfig",
    "django_otp.plugins.otp_static",  # backup codes, by `manage.py addstatictoken`
]
# The API needs no sessions, users or forms, so its handler (`chatbackend.asgi`) runs these alone;
# a middleware that is not made for async would hold a thread.
API_MIDDLEWARE = [
    "chatbackend.middleware.problem_middleware",
    "chatbackend.middleware.allowed_hosts_middleware",
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
STATIC_URL = f"{PUBLIC_PATH}/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# A checkout serves the apps' own files; an image has collected them.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()
warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
# WhiteNoise's small files; the first one of each page would be a warning in the log.
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
PASSWORD_HASHERS = ["review.passwords.LowPriorityHasher"]
STAFF_SECOND_FACTOR = one_of("STAFF_SECOND_FACTOR", "off", ("off", "optional", "required"))
OTP_TOTP_ISSUER = BOOK_TITLE  # as authenticator apps name the account

# PostgreSQL ---------------------------------------------------------------------------------
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CONNECTION = {
    # A server that does not answer is noticed in time for the promised 503.
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "tcp_user_timeout": 8000,
}
DATABASE_TIMEOUT_SECONDS = 8
# In each process, this many for the statements of turns and this many for the rest of the API; a
# page of the admin opens one of its own while it is made.
DATABASE_CONNECTIONS = 8

DATABASES: dict[str, dict[str, Any]] = {"default": database_url("DATABASE_URL")}
if DATABASES["default"]:
    DATABASES["default"]["OPTIONS"] = CONNECTION | DATABASES["default"]["OPTIONS"]
elif EMBEDDED and "DATABASE_URL" not in INVALID:
    from embedded.postgres import database_settings

    DATABASES["default"] = database_settings(BASE_DIR / ".embedded")
else:
    DATABASES["default"] = {"ENGINE": "django.db.backends.dummy"}
# PgBouncer in transaction mode (Neon's pooled address) keeps no cursor between transactions.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True

# Who may call -------------------------------------------------------------------------------
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
PUBLIC_HOST = [host_of(urlsplit(PUBLIC_URL).netloc)] if PUBLIC_URL else []
ALLOWED_HOSTS = list(dict.fromkeys(host_names("ALLOWED_HOSTS") + PUBLIC_HOST + LOOPBACK))
FRONTEND_ORIGINS = list(dict.fromkeys(["http://localhost:3000", *origins("FRONTEND_URL")]))
NUM_PROXIES = whole_number("NUM_PROXIES", 0, at_least=0, at_most=100)

# JSON may write a character as up to 12 bytes (two \uXXXX escapes); the rest is room for the
# other fields and for the admin's forms.
MAX_BODY_BYTES = 12 * (CHAT_MESSAGE_MAX_CHARS + CHAT_SELECTED_TEXT_MAX_CHARS) + 2**16
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
FILE_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES + 1  # no body is kept in a file: none may be writable

# On a public site TLS ends at the proxy, which also redirects plain HTTP; hence no redirect here.
PRODUCTION = not (DEBUG or EMBEDDED)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PUBLIC_PATH}/"  # not for the host's other services
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
OTEL_EXPORTER_OTLP_ENDPOINT = web_address("OTEL_EXPORTER_OTLP_ENDPOINT")
LOGGING_CONFIG = "chatbackend.logs.configure"
LOGGING = {
    "level": LOG_LEVEL,
    "format": LOG_FORMAT,
    "secrets": [
        SECRET_KEY,
        *(globals()[service.key_setting] for service in SERVICES),
        EMBEDDING_API_KEY,
        WEBHOOK_SECRET,
        WEBHOOK_URL,  # may hold a token
        DATABASES["default"].get("PASSWORD", ""),
    ],
}
