"""The media types we answer with, and which of them a client accepts (RFC 9110, 12.5.1)."""

import re

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EVENT_STREAM = "text/event-stream"
TEXT = "text/plain"
ZERO = re.compile(r"0+(\.0*)?")


def accepts(header: str, media_type: str) -> bool:
    """Whether a header Accept admits `media_type`; an empty one admits any."""
    ranges = _ranges(header)
    main_type = media_type.partition("/")[0]
    for media_range in (media_type, f"{main_type}/*", "*/*"):  # the most specific one decides
        if media_range in ranges:
            return ranges[media_range]
    return not ranges


def names(header: str, media_type: str) -> bool:
    """Whether a header Accept asks for `media_type` by its name, and not just for anything."""
    return media_type in header.lower() and _ranges(header).get(media_type, False)


def _ranges(header: str) -> dict[str, bool]:
    """Each media range of the header, without parameters: whether its weight is above zero."""
    ranges: dict[str, bool] = {}
    for each in header.lower().split(","):
        media_range, *parameters = (part.strip() for part in each.split(";"))
        if media_range:
            refused = any(_is_zero_weight(parameter) for parameter in parameters)
            ranges[media_range] = ranges.get(media_range, False) or not refused
    return ranges


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and bool(ZERO.fullmatch(value.strip()))
