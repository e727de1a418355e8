"""Loguru as the one sink for Django, gunicorn, uvicorn and the SDKs.

JSON lines in production, readable lines in development, both on standard error. No line contains a
configured secret, a whole session id or a variable's value: identifiers are shortened, secrets are
masked, and an exception is logged as its type, its first line and its stack frames (the rest of a
database's error is the row's values). Nor does a line contain anything that a terminal would obey.
"""

import json
import logging
import logging.config
import re
import sys
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loguru import logger

from book.terminal import HARMFUL, harmless
from llm import telemetry

if TYPE_CHECKING:
    from loguru import Message, Record

UUID = re.compile(r"([0-9a-f]{8})-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
# Of a session whose client made an id of its own.
OTHER_ID = re.compile(r"(/chat/[A-Za-z0-9_.:-]{8})[A-Za-z0-9_.:-]{8,}")
SHORTEST_SECRET = 6
# Of what comes from outside, such as a path; each of its characters may be written as six.
LONGEST_FIELD = 500
# Their lines would repeat what the access line says, or report every request of an SDK.
QUIET = {
    "django.request": logging.ERROR,  # the traceback of a crash; refusals are in the access line
    "django.security.DisallowedHost": logging.CRITICAL,
    "uvicorn.access": logging.CRITICAL,
    "uvicorn.error": logging.WARNING,  # start and end of each worker, which gunicorn logs too
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "openai": logging.WARNING,
    "asyncio": logging.WARNING,
}

_secrets: list[str] = []


class Intercept(logging.Handler):
    """Hands the standard library's records to Loguru, under their own logger's name."""

    def emit(self, record: logging.LogRecord) -> None:
        level: str | int = record.levelname
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
            level = record.levelno
        logger.bind(logger=record.name).opt(exception=record.exc_info).log(
            level, "{}", record.getMessage()
        )


def configure(config: Mapping[str, Any]) -> None:
    """Django's LOGGING_CONFIG: `config` holds `level`, `format` (pretty|json) and `secrets`."""
    _secrets[:] = [secret for secret in config["secrets"] if len(secret) >= SHORTEST_SECRET]
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[Intercept()], level=config["level"], force=True)
    for name in list(logging.root.manager.loggerDict):
        each = logging.getLogger(name)
        each.handlers, each.propagate = [], True
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    logger.remove()
    logger.add(
        write_json if config["format"] == "json" else write_pretty,
        level=config["level"],
        format="{message}",
        backtrace=False,
        diagnose=False,
    )


def scrub(text: str) -> str:
    """`text` with secrets masked, and with ids too short to be used."""
    for secret in _secrets:
        text = text.replace(secret, "***")
    return OTHER_ID.sub(r"\1…", UUID.sub(r"\1…", text))


def write_json(message: "Message") -> None:
    record = message.record
    line: dict[str, Any] = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "logger": record["extra"].get("logger", record["name"]),
        "message": scrub(record["message"]),
    }
    line |= fields(record)
    if where := exception(record):
        line["exception"] = where
    text = json.dumps(line, default=str, ensure_ascii=False)
    if not text.isprintable():  # json.dumps escapes no control characters beyond ASCII
        text = HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stderr.write(text + "\n")


def write_pretty(message: "Message") -> None:
    record = message.record
    words = [f"{record['time']:HH:mm:ss.SSS} {record['level'].name:<8}", scrub(record["message"])]
    words += [f"{name}={value}" for name, value in fields(record).items() if value is not None]
    lines = [" ".join(words)]
    if where := exception(record):
        lines += [*where["frames"], where["what"]]
    # What continues a line is indented, so that nothing from outside passes for a line of its own.
    sys.stderr.write(harmless("\n".join(lines)).replace("\n", "\n    ") + "\n")


def fields(record: "Record") -> dict[str, Any]:
    """What was bound to the line; the request id in full, since operators search for it."""
    bound = {
        name: _field(value) if isinstance(value, str) and name != "request_id" else value
        for name, value in record["extra"].items()
        if name != "logger"
    }
    return {**bound, **telemetry.log_fields()}


def _field(value: str) -> str:
    found = scrub(value)
    return found if len(found) <= LONGEST_FIELD else f"{found[:LONGEST_FIELD]}…"


def exception(record: "Record") -> dict[str, Any] | None:
    raised = record["exception"]
    if raised is None or raised.type is None:
        return None
    first_line = str(raised.value).partition("\n")[0][:300]
    return {
        "type": raised.type.__name__,
        "what": scrub(f"{raised.type.__name__}: {first_line}"),
        "frames": [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(raised.traceback)
        ],
    }
