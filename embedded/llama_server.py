"""A server of llama.cpp: its start in its keeper, and the process that then serves.

A process of its own: llama.cpp may hold the GIL or crash when it stops.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.child import spawn

STOP = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers, on this machine alone, and the API key it requires."""

    base_url: str
    api_key: str
    model: str


@contextmanager
def launched(
    module: str, file: Path, name: str
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """The process that runs `module`, which calls `serve`, and how it can be reached."""
    command = [sys.executable, "-m", module, str(file), name]
    server = spawn(command, STOP, stdout=subprocess.PIPE)
    line = server.stdout.readline() if server.stdout else b""
    if not line:
        sys.exit("The model's server ended while it started.")
    yield server, json.loads(line)


def serve(configure: Callable[[Any], None], file: str, name: str) -> None:
    """Serve the model in `file` under that name; `configure` completes the settings."""
    report = os.dup(1)
    os.dup2(2, 1)  # what the library may print goes to the log
    import xllamacpp  # noqa: PLC0415 - 150 ms that the keeper can do without

    key = secrets.token_urlsafe(32)
    settings = xllamacpp.CommonParams()
    settings.model.path = file
    settings.model_alias = {name}
    settings.api_keys = [key]
    set_common(settings)
    configure(settings)
    server = xllamacpp.Server(settings)
    state = {"base_url": f"{server.listening_address}/v1", "api_key": key}
    os.write(report, json.dumps(state).encode() + b"\n")
    os.close(report)
    signal.pause()  # until SIGTERM ends the process: a clean end of the library can crash


def set_common(settings: Any) -> None:
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    # Its threads wait for each other: on cores that others want too, fewer are faster.
    threads = max(1, (os.cpu_count() or 1) // 2)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.cache_ram_mib = 0
    settings.offline = True
    settings.ui = False
    settings.verbosity = -1
