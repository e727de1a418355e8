"""DATABASE_URL as libpq reads it, and what other libraries' addresses add to it.

Neon, Supabase, Heroku and the documentation of Prisma, SQLAlchemy and others give addresses with
options of their own (`?pgbouncer=true`, `?schema=book`). libpq refuses each option that it does not
know when it connects, which would be an error at every request; so all is decided here, once.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A user's name and password may hold what should have been percent-encoded, "@", "/" and "?" too.
ADDRESS = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://"  # SQLAlchemy names its driver
    r"(?:(?P<user>[^:@/?]*)(?::(?P<password>.*?))?@)?"
    r"(?P<hosts>[^@/?\s]*)"
    r"(?:/(?P<database>[^?@]*))?"
    r"(?:\?(?P<query>(?:[\w.-]+(?:=[^&]*)?(?:&|$))*))?"
)
# Other libraries' names for the schema that tables are in.
SCHEMA_OPTIONS = ("schema", "currentSchema", "search_path")
# asyncpg's and node-postgres's `ssl` is libpq's `sslmode` or a truth value.
SSL_MODES = {"true": "require", "1": "require", "false": "disable", "0": "disable"}
# Known to libpq, but the first two are set by Django, and with the last no statement can be run.
NOT_FOR_US = {"client_encoding", "fallback_application_name", "replication"}
WHOLE_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
LONGEST_NAME_BYTES = 63
# A folder that cannot exist: what libpq reports without naming it, it found before connecting.
NOWHERE = "/dev/null/nowhere"


class Unusable(ValueError):
    """An address that cannot work. The message says why; it holds neither user nor password."""


def database_settings(url: str) -> tuple[dict[str, Any], list[str]]:
    """The entry for Django's DATABASES, and the names of the options that were left out.

    Raises Unusable.
    """
    found = ADDRESS.fullmatch(url)
    if not found:
        raise Unusable("it does not look like postgresql://user:password@host:5432/name")
    options = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    if "ssl" in options:
        ssl = options.pop("ssl")
        options.setdefault("sslmode", SSL_MODES.get(ssl.lower(), ssl))
    known = {name: value for name, value in options.items() if name in _libpq_options()}
    params = _parsed(found, known)
    _add_search_path(params, options)
    _check(params)
    left_out = sorted(options.keys() - known.keys() - set(SCHEMA_OPTIONS))
    return _django_settings(params), left_out


def _libpq_options() -> set[str]:
    return {each.keyword.decode() for each in pq.Conninfo.get_defaults()} - NOT_FOR_US


def _parsed(found: re.Match[str], options: dict[str, str]) -> dict[str, str]:
    """libpq's parameters. Raises Unusable."""
    hosts, database = found["hosts"], found["database"] or ""
    if database.startswith("/"):  # django-environ's way to write a socket: //folder/name
        folder, _, database = database.rpartition("/")
        hosts, options = "", {"host": unquote(folder), **options}
    login = _quoted(found["user"]) + (f":{_quoted(found['password'])}" if found["password"] else "")
    url = f"postgresql://{login}{'@' if login else ''}{hosts}/{_quoted(database)}"
    if options:
        url += "?" + urlencode(options, quote_via=quote)
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, UnicodeError, ValueError):  # its message may hold the password
        raise Unusable("it does not look like postgresql://user:password@host:5432/name") from None


def _quoted(text: str | None) -> str:
    """Percent-encoded, whether or not it was before."""
    return quote(unquote(text or ""), safe="")


def _add_search_path(params: dict[str, str], options: dict[str, str]) -> None:
    schemas = [options[name] for name in SCHEMA_OPTIONS if options.get(name)]
    if not schemas or schemas[0] == "public":  # which is where tables are without it
        return
    path = schemas[0].replace("\\", "\\\\").replace(" ", "\\ ")
    params["options"] = f"{params.get('options', '')} -c search_path={path}".strip()


def _check(params: dict[str, str]) -> None:
    """Raises Unusable."""
    if not params.get("dbname") and not params.get("service"):
        raise Unusable("it names no database")
    if len(params.get("dbname", "").encode()) > LONGEST_NAME_BYTES:
        raise Unusable(f"the database's name has more than {LONGEST_NAME_BYTES} bytes")
    ports = filter(None, params.get("port", "").split(","))
    if not all(port.isdecimal() and 0 < int(port) < 2**16 for port in ports):
        raise Unusable("its port is not a number from 1 to 65535")
    for name in WHOLE_NUMBERS:
        if name in params and not re.fullmatch(r"[0-9]{1,9}", params[name]):
            raise Unusable(f"{name} is not a whole number")
    if reason := _libpq_refusal(params):
        raise Unusable(reason)


def _libpq_refusal(params: dict[str, str]) -> str:
    """What libpq finds wrong with the values, which it checks before it connects; or nothing."""
    hosts = params.get("host", "").count(",") + 1
    others = {name: value for name, value in params.items() if name not in ("host", "hostaddr")}
    probe = make_conninfo("", **others, host=",".join([NOWHERE] * hosts))
    connection = pq.PGconn.connect_start(probe.encode())
    try:
        report = connection.get_error_message()
    finally:
        connection.finish()
    if NOWHERE in report:
        return ""
    reason = report.strip().partition("\n")[0].removesuffix(".")
    for name in ("password", "sslpassword", "oauth_client_secret"):
        if secret := params.get(name):
            reason = reason.replace(secret, "***")
    return reason


def _django_settings(params: dict[str, str]) -> dict[str, Any]:
    libpq_names = {
        "NAME": "dbname",
        "USER": "user",
        "PASSWORD": "password",
        "HOST": "host",
        "PORT": "port",
    }
    named = {name: params.pop(libpq_name, "") for name, libpq_name in libpq_names.items()}
    return {"ENGINE": "django.db.backends.postgresql", **named, "OPTIONS": params}
