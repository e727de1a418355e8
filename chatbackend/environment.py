"""Typed readers of environment variables, for `chatbackend.settings`.

An empty value counts as unset. A value that cannot work is recorded in `INVALID` and replaced by
its default, so that `chat.checks` can report all problems at once, each in a sentence, before
anything is served. No sentence shows a value, which may be a secret.
"""

import os
import re
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from pydantic_core import Url

from chatbackend import env_file, postgres_url, web_addresses
from chatbackend.paths import OWN_NAMES
from chatbackend.web_addresses import host_of, origin_of
from llm.prices import Prices, price_pair

READ: set[str] = set()  # the names of all settings
INVALID: dict[str, str] = {}  # a sentence for each setting that cannot be read
UNREADABLE_LINES: list[str] = []  # a sentence for each line of `.env` that is no setting
WARNINGS: list[str] = []  # a sentence for each value that works, but not as it was written

PUBLIC_PATH = re.compile(r"(/[\w.-]+)*", re.ASCII)
TRUE, FALSE = ("true", "on", "yes", "y", "ok", "1"), ("false", "off", "no", "n", "0")


def read_env_file(path: Path) -> None:
    """Add the file's settings to the environment, which wins where both have one."""
    found, problems = env_file.read(path)
    for name, value in found.items():
        os.environ.setdefault(name, value)
    UNREADABLE_LINES.extend(problems.values())


def read[T](name: str, default: T, cast: Callable[[str], T]) -> T:
    """The value of `name`; `default` where it is unset, empty or (recorded) unreadable."""
    READ.add(name)
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        return cast(raw)
    except ValueError as error:
        INVALID[name] = str(error)
        return default


def text(name: str, default: str = "") -> str:
    return read(name, default, str)


def switch(name: str, default: bool = False) -> bool:
    """A yes or no."""

    def cast(raw: str) -> bool:
        if raw.lower() in TRUE:
            return True
        if raw.lower() in FALSE:
            return False
        raise ValueError(f"{name} must be true or false.")

    return read(name, default, cast)


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


def listening_host(name: str, default: str) -> str:
    """A host to listen on: a name or an address; IPv6 with or without brackets."""

    def cast(raw: str) -> str:
        bare = raw[1:-1] if raw.startswith("[") and raw.endswith("]") else raw
        if not re.fullmatch(r"[\w.-]+", bare) and not _is_ipv6(bare):
            raise ValueError(f"{name} must be a host name or an IP address, without a port.")
        return bare

    return read(name, default, cast)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def host_names(name: str) -> list[str]:
    def cast(raw: str) -> list[str]:
        try:
            return [host_of(word) for word in _words(raw)]
        except ValueError:
            raise ValueError(
                f"{name} must be a comma-separated list of host names, without http:// or a path; "
                "all hosts of a domain are written .example.com."
            ) from None

    return read(name, [], cast)


def web_address(name: str) -> str:
    def cast(raw: str) -> str:
        _checked(name, raw)
        return raw

    return read(name, "", cast)


def _checked(name: str, raw: str) -> Url:
    try:
        return web_addresses.web_address(raw)
    except ValueError:
        raise ValueError(f"{name} must be an http:// or https:// address.") from None


def public_address(name: str) -> str:
    """An address without a final slash, whose path (if any) is none of the service's own."""

    def cast(raw: str) -> str:
        parts = _checked(name, raw)
        path = (parts.path or "").rstrip("/")
        if parts.query or parts.fragment or not PUBLIC_PATH.fullmatch(path):
            raise ValueError(f"{name}'s path must be words of letters, digits, “-”, “_” or “.”.")
        if path.removeprefix("/") in OWN_NAMES:
            raise ValueError(f"{name}'s path must not be one of the service's own, {path}.")
        try:
            return origin_of(raw) + path
        except ValueError:
            raise ValueError(f"{name} must have no user name and no wildcard.") from None

    return read(name, "", cast)


def origins(name: str) -> list[str]:
    """Origins, as browsers send them, of comma-separated addresses; a path is cut off."""

    def cast(raw: str) -> list[str]:
        try:
            return [origin_of(word) for word in _words(raw)]
        except ValueError:
            raise ValueError(
                f"{name} must be a comma-separated list of http:// or https:// addresses, each in "
                "full: without wildcards and user names."
            ) from None

    return read(name, [], cast)


def language_tags(name: str) -> list[str]:
    def cast(raw: str) -> list[str]:
        tags = _words(raw)
        if not all(re.fullmatch("[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", tag) for tag in tags):
            raise ValueError(
                f"{name} must be a comma-separated list of language tags such as ur, es, pt-BR."
            )
        return list(dict.fromkeys(tags))

    return read(name, [], cast)


def _words(raw: str) -> list[str]:
    return [word.strip() for word in raw.split(",") if word.strip()]


def database_url(name: str) -> dict[str, Any]:
    """The entry for DATABASES; empty where the setting is."""

    def cast(raw: str) -> dict[str, Any]:
        try:
            found, left_out = postgres_url.database_settings(raw)
        except postgres_url.Unusable as error:
            raise ValueError(f"{name} cannot be used: {error}.") from None
        if left_out:
            options = ", ".join(left_out)
            WARNINGS.append(f"{name} has options that are not libpq's, and are ignored: {options}.")
        return found

    return read(name, {}, cast)


def api_key(name: str) -> str:
    """A key, which is sent as a header's value."""

    def cast(raw: str) -> str:
        if not re.fullmatch("[!-~]+", raw):
            raise ValueError(
                f"{name} cannot be a key: it has blanks, line breaks or characters beyond ASCII."
            )
        return raw

    return read(name, "", cast)


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
