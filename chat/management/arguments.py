"""How operators write moments and ages on the command line."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

AGE = re.compile(r"([1-9][0-9]{0,5})([hdw])")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """`2026-11-23`, or `2026-11-23T12:00`; UTC where it has no offset."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text} is no date such as 2026-11-23 or 2026-11-23T12:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def age(text: str) -> timedelta:
    """`90d`, `12w` or `36h`."""
    if not (found := AGE.fullmatch(text)):
        raise ArgumentTypeError(f"{text} is no age such as 90d, 12w or 36h")
    number, unit = found.groups()
    return timedelta(**{UNITS[unit]: int(number)})
