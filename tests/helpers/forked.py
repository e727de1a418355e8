"""Python programs without the wait for their imports.

Most of a server's start, and of a command's, is the import of libraries. Here one process imports
them once and is forked for each program: `multiprocessing`'s fork server, which has no threads,
no settings and none of our modules. From there on it is `python -m MODULE`.
"""

import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

import coverage

from tests.helpers import CHECKOUT

LIBRARIES = [
    "aiohttp",
    "coverage",
    "django.contrib.admin.options",
    "django.core.management",
    "django.db.backends.postgresql.base",
    "django.test",
    "gunicorn.app.wsgiapp",
    "gunicorn.arbiter",
    "loguru",
    "markdown_it",
    "nh3",
    "openai",
    "pydantic",
    "sqlparse",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn_worker",
    "uvloop",
    "whitenoise.middleware",
]
CONTEXT = multiprocessing.get_context("forkserver")


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Forked:
    """A process that runs `module` on these files; without `stdin` there is nothing to read."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        stdin: HasFileno | None = None,
        stdout: HasFileno,
        stderr: HasFileno,
    ) -> None:
        start_fork_server()
        with ExitStack() as stack, Path(os.devnull).open() as nothing:
            files = [
                # The wrapping in which `multiprocessing` hands a descriptor on.
                stack.enter_context(Connection(os.dup(file.fileno())))
                for file in (stdin or nothing, stdout, stderr)
            ]
            self._process = CONTEXT.Process(
                target=_run, args=(module, arguments, dict(environment), files)
            )
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float) -> int:
        """The exit code; TimeoutError where there is none yet."""
        self._process.join(seconds)
        if (code := self.poll()) is None:
            raise TimeoutError(f"process {self.pid} still runs after {seconds} s")
        return code

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start_fork_server() -> None:
    """It is not measured for coverage: what it would import first is no code of ours."""
    measured = [name for name in os.environ if name.startswith("COVERAGE_")]
    with patch.dict(os.environ):
        for name in measured:
            del os.environ[name]
        CONTEXT.set_forkserver_preload(LIBRARIES)
        forkserver.ensure_running()


def _run(
    module: str, arguments: tuple[str, ...], environment: dict[str, str], files: list[Connection]
) -> None:
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
        file.close()
    sys.stdin = os.fdopen(0)  # `multiprocessing` has put nothing in its place
    os.setsid()
    os.chdir(CHECKOUT)
    os.environ.clear()
    os.environ.update(environment)
    coverage.process_startup()  # where the environment asks for it
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
