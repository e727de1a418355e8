"""gunicorn as users start it, on a free port, ended by its id."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

from tests.helpers import CHECKOUT as CHECKOUT
from tests.helpers.forked import Forked

MEASURED = any(name.startswith("COVERAGE_") for name in os.environ)
CONFIG = "tests/helpers/gunicorn_measured.py" if MEASURED else "chatbackend/gunicorn.py"
APPLICATION = "chatbackend.asgi:application"
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", CONFIG, APPLICATION]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A running server: `client` speaks to it, `log` is what it wrote so far."""

    def __init__(self, log_file: Path, environment: dict[str, str], config: str = CONFIG) -> None:
        self.port = free_port()
        self.log_file = log_file
        self.base_url = f"http://127.0.0.1:{self.port}"
        environment = {"WEB_CONCURRENCY": "2", "LOG_FORMAT": "json"} | environment
        with log_file.open("ab") as log:
            self.process = Forked(
                "gunicorn",
                *("-c", config, APPLICATION),
                environment=os.environ | {"PORT": str(self.port)} | environment,
                stdout=log,
                stderr=log,
            )
        self.client = httpx2.Client(base_url=self.base_url, timeout=30)
        try:
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_until_healthy(self, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.client.get("/health").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the server did not come up:\n{self.log[-3000:]}")

    def workers(self) -> list[psutil.Process]:
        """The processes that answer, as opposed to the one that keeps them."""
        children: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return children

    def kill(self) -> None:
        """As when a machine loses its power."""
        for process in [psutil.Process(self.process.pid), *self.workers()]:
            process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
        except TimeoutError:
            self.process.kill()
            raise


@contextmanager
def running_server(log_file: Path, **environment: str) -> Iterator[Server]:
    server = Server(log_file, environment)
    try:
        yield server
    finally:
        server.stop()
