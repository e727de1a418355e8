"""What the API adds to a request's access line, which `chatbackend.asgi` writes."""

from uuid import UUID

from django.http import HttpRequest


def note(request: HttpRequest, **fields: str) -> None:
    getattr(request, "scope", {}).setdefault("state", {}).update(fields)


def note_session(request: HttpRequest, session_id: UUID) -> None:
    """Shortened: a session's id is the reader's key to it."""
    note(request, session_id=str(session_id)[:8])
