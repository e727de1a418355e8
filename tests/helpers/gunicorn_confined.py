"""The server's settings on a system that allows few descriptors."""

import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (220, 220))

from tests.helpers.gunicorn_measured import *  # noqa: E402, F403 - gunicorn reads these names
