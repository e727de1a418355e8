"""Types of command-line arguments: moments, days, ages, numbers, prices."""

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from django.core.management.base import CommandError

from llm.prices import Prices, price_pair

AGE = re.compile(r"([1-9][0-9]{0,4})([hdw])")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """`2026-11-23`, or `2026-11-23T12:00`; UTC where it has no offset."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError where UTC has no such year
        raise ArgumentTypeError(
            f"{text} is not a date such as 2026-11-23 or 2026-11-23T12:00"
        ) from None


def check_order(since: datetime | None, until: datetime | None) -> None:
    """Raises CommandError for an empty period, which is surely a slip."""
    if since and until and since >= until:
        raise CommandError("--since must be before --until.")


def day(text: str) -> date:
    """`2026-11-23`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a day such as 2026-11-23") from None


def age(text: str) -> timedelta:
    """`90d`, `12w` or `36h`."""
    if not (found := AGE.fullmatch(text)):
        raise ArgumentTypeError(f"{text} is not an age such as 90d, 12w or 36h")
    number, unit = found.groups()
    return timedelta(**{UNITS[unit]: int(number)})


def whole_number(at_least: int, at_most: int) -> Callable[[str], int]:
    def cast(text: str) -> int:
        if text.isascii() and text.isdigit() and at_least <= int(text) <= at_most:
            return int(text)
        raise ArgumentTypeError(f"{text} is not a whole number from {at_least} to {at_most}")

    return cast


def prices(text: str) -> Prices:
    """`0.40,1.60`: what a million tokens cost as input and as output."""
    try:
        return price_pair("the price", text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
