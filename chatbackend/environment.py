"""Typed readers of environment variables, for `chatbackend.settings`.

An empty value counts as unset. A value that cannot be read is noted in `INVALID` and replaced by
its default, so that `chat.checks` can report all problems at once, each in a sentence, before
anything is served.
"""

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from llm.prices import Prices, price_pair

READ: set[str] = set()  # the names of all settings
INVALID: dict[str, str] = {}  # a sentence for each setting that cannot be read


def read[T](name: str, default: T, cast: Callable[[str], T]) -> T:
    """The value of `name`; `default` where it is unset, empty or (noted) unreadable."""
    READ.add(name)
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        return cast(raw)
    except (ValueError, ImproperlyConfigured) as error:
        INVALID[name] = str(error)
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
        READ.add(name)
        return None
    return read(name, cast(default), cast)


def prices(name: str) -> Prices | None:
    return read(name, None, lambda raw: price_pair(name, raw))
