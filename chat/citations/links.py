"""Stand-in."""

from typing import Any


class AllowedLinks:
    def __init__(self, *_: Any) -> None: ...
