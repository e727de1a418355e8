"""Session ids as clients make them: UUIDs, and what AI SDK clients and older front ends make."""

import re
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID, uuid5

from pydantic import PlainValidator, TypeAdapter, ValidationError, WithJsonSchema

PATTERN = "[A-Za-z0-9_.:-]{16,128}"
OTHER_ID = re.compile(PATTERN)
RULE = "must be a UUID or have 16 to 128 letters, digits, dots, colons, hyphens and underscores"
# The digest is no secret, and needs none: whoever knows a session's id may read the session anyway.
# With the server's own key in it, conversations would be lost whenever that is renewed.
NAMESPACE = UUID("7f0c3a52-6f5e-4c0e-9d1b-0b6a4a4f1c55")
# What assistant-ui calls the only conversation of a page, the same for every reader.
NOBODYS_OWN = frozenset({"DEFAULT_THREAD_ID"})

_uuid = TypeAdapter(UUID).validate_python


@dataclass(frozen=True, slots=True)
class SessionId:
    """A session's id in the database, and as its client sent it, which is how it is answered."""

    uuid: UUID
    sent: str


def session_id(value: object) -> SessionId:
    """Raises ValueError."""
    try:
        uuid = _uuid(value)
    except ValidationError as error:
        if isinstance(value, str) and OTHER_ID.fullmatch(value) and value not in NOBODYS_OWN:
            return SessionId(uuid5(NAMESPACE, value), value)
        raise ValueError(RULE) from error
    return SessionId(uuid, str(uuid))


def session_named(*names: str) -> SessionId:
    """The session of several names that are not enough each; answered as a UUID."""
    uuid = uuid5(NAMESPACE, " ".join(names).encode(errors="replace"))
    return SessionId(uuid, str(uuid))


AnySessionId = Annotated[
    SessionId,
    PlainValidator(session_id),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$"}),
]
