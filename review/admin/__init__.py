"""Staff read, judge and correct conversations. Messages are neither edited nor added.

The modules register what they show.
"""

from review.admin import book, messages, sessions, staff, webhooks  # noqa: F401 - see above
