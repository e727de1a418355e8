"""The model's start in its keeper, and the process that then serves it.

A process of its own: llama.cpp may hold the GIL or crash when it stops.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedded.child import spawn

STOP = signal.SIGTERM


@contextmanager
def launched(
    _folder: Path, options: dict[str, Any]
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    command = [sys.executable, "-m", "embedded.chat_model_server"]
    server = spawn([*command, options["file"], options["name"]], STOP, stdout=subprocess.PIPE)
    line = server.stdout.readline() if server.stdout else b""
    if not line:
        sys.exit("The model's server ended while it started.")
    yield server, json.loads(line)


def serve(file: str, name: str) -> None:
    report = os.dup(1)
    os.dup2(2, 1)  # what the library may print goes to the log
    import xllamacpp  # noqa: PLC0415 - 150 ms that the keeper can do without

    key = secrets.token_urlsafe(32)
    settings = xllamacpp.CommonParams()
    settings.model_alias = {name}
    server = xllamacpp.Server(configure(settings, file, key))
    state = {"base_url": f"{server.listening_address}/v1", "api_key": key}
    os.write(report, json.dumps(state).encode() + b"\n")
    os.close(report)
    signal.pause()  # until SIGTERM ends the process: a clean end of the library can crash


def configure(settings: Any, file: str, key: str) -> Any:
    settings.model.path = file
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.api_keys = [key]
    # Its threads wait for each other: on cores that others want too, fewer are faster.
    threads = max(1, (os.cpu_count() or 1) // 2)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.n_parallel = 2
    settings.n_ctx = 16384  # for both together
    settings.cache_ram_mib = 0
    settings.sse_ping_interval = 1
    settings.offline = True
    settings.ui = False
    settings.verbosity = -1
    return settings


if __name__ == "__main__":
    serve(*sys.argv[1:])
