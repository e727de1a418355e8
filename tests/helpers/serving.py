"""HTTP servers of this process, each in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

POLL_SECONDS = 0.02  # until the end is noticed


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    """Answers until the block ends; its port is free then."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
