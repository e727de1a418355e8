"""Reads `.env`: one `NAME=value` a line, as shells and Docker both understand it.

`export` before the name, quotes around the value and ` # a comment` after it are allowed. A line
that is none of this is reported and stops the start: most often it is a key that was pasted with
blanks around the equals sign, and guessing would start the service without it. No report shows a
value.
"""

import codecs
import re
from pathlib import Path

SETTING = re.compile(r"(?:export )?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
NAME = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]{0,63})\s*[=:]")
COMMENT = re.compile(r"(?:^|\s)\s*#.*")
IN_SINGLE_QUOTES = re.compile(r"'([^']*)'\s*(?:\s#.*)?")
IN_DOUBLE_QUOTES = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:\s#.*)?')
# A backslash before one of these stays, as it always did here.
ESCAPED = re.compile(r"\\([^rnt])")
WIDE_ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark begins the same way
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class NoSetting(ValueError):
    """A line that cannot be read; the message says why, without its value."""


def read(path: Path) -> tuple[dict[str, str], dict[int, str]]:
    """The settings in the file, and a sentence for each line (from 1) that is none.

    A file that does not exist holds no settings.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        return {}, {0: f"{path.name} cannot be read: {error.strerror}."}
    try:
        text = _decode(content)
    except UnicodeDecodeError as error:
        number = 1 + content.count(b"\n", 0, error.start)
        return {}, {number: _sentence(path, number, _line(content, number), str(error.reason))}
    found: dict[str, str] = {}
    problems: dict[int, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        try:
            found |= _setting(line)
        except NoSetting as error:
            problems[number] = _sentence(path, number, line, str(error))
    return found, problems


def _decode(content: bytes) -> str:
    """Raises UnicodeDecodeError, with the reason as a reader of the report gets it."""
    for mark, encoding in WIDE_ENCODINGS.items():
        if content.startswith(mark):
            reason = f"the file is in {encoding.upper()}; save it as UTF-8"
            raise UnicodeDecodeError(encoding, content, 0, 1, reason)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        error.reason = "the file is not in UTF-8; save it as UTF-8"
        raise


def _line(content: bytes, number: int) -> str:
    """A line of a file in some unknown encoding, so far as its name can be read."""
    line = content.split(b"\n")[number - 1]
    return line.lstrip(b"\xff\xfe").replace(b"\0", b"").decode("latin-1")


def _setting(line: str) -> dict[str, str]:
    """The line's setting; none where it is blank or a comment. Raises NoSetting."""
    if not line.strip() or line.lstrip().startswith("#"):
        return {}
    if "\0" in line:
        raise NoSetting("it contains NUL characters; save the file as UTF-8")
    if found := SETTING.fullmatch(line):
        name, value = found.groups()
        return {name: _value(value)}
    if line[0].isspace():
        raise NoSetting("write it without blanks before the name")
    if re.match(r"(?:export\s+)?\w+\s+=", line):
        raise NoSetting("write it without blanks around the equals sign")
    raise NoSetting("a setting is written NAME=value")


def _value(raw: str) -> str:
    """The value without quotes and comment."""
    if found := IN_SINGLE_QUOTES.fullmatch(raw):
        return found[1]
    if found := IN_DOUBLE_QUOTES.fullmatch(raw):
        return ESCAPED.sub(r"\1", found[1])
    value = COMMENT.sub("", raw, count=1).rstrip()
    if value[:1].isspace():
        raise NoSetting("write it without blanks around the equals sign")
    if value[:1] in ("'", '"') or _ends_in_a_lone_quote(value):
        raise NoSetting("its quotes are not balanced")
    return value


def _ends_in_a_lone_quote(value: str) -> bool:
    return value[-1:] in ("'", '"') and value.count(value[-1]) % 2 == 1


def _sentence(path: Path, number: int, line: str, reason: str) -> str:
    found = NAME.match(line.replace("\0", ""))
    name = f" ({found[1]})" if found else ""
    return f"{path.name}, line {number}{name}, is not a setting: {reason}."
