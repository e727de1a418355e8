"""Staff read, judge and correct conversations. Messages are neither edited nor added."""

from review.admin import book, messages, sessions, staff  # noqa: F401 - they register themselves
