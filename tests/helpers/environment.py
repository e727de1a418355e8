"""A pytest plugin, loaded before Django's settings: what the tests run on.

A PostgreSQL of their own (from the wheel, in `.embedded/tests`, without fsync) and none of the
machine's or the checkout's settings: what is set empty here, `.env` cannot fill in.
"""

import os

from embedded.postgres import Cluster
from tests.helpers import CHECKOUT as CHECKOUT

SETTINGS = [
    line.partition("=")[0]
    for line in (CHECKOUT / ".env.example").read_text().splitlines()
    if line and not line.startswith("#")
]

os.environ |= dict.fromkeys(SETTINGS, "")
os.environ["SECRET_KEY"] = "a key for tests alone, long enough to pass for a real one"
os.environ["FRONTEND_URL"] = "https://book.example"  # the pages that staff see as the book's
os.environ["WEB_CONCURRENCY"] = "1"  # gunicorn reads it too, and takes no empty one
os.environ["OPENAI_API_KEY"] = "sk-tests-only-0123456789"
if "DATABASE_OF_TESTS" not in os.environ:  # one cluster, whatever the number of processes
    cluster = Cluster(CHECKOUT / ".embedded" / "tests", {"fsync": "off"})
    os.environ["DATABASE_OF_TESTS"] = cluster.start()
os.environ["DATABASE_URL"] = os.environ["DATABASE_OF_TESTS"]
