"""The chat model's start in its keeper, and the settings of its server."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from embedded import llama_server

STOP = llama_server.STOP


def launched(
    _folder: Path, options: dict[str, Any]
) -> AbstractContextManager[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    return llama_server.launched(__name__, Path(options["file"]), options["name"])


def configure(settings: Any) -> None:
    settings.n_parallel = 2
    settings.n_ctx = 16384  # for both together
    settings.sse_ping_interval = 1


if __name__ == "__main__":
    llama_server.serve(configure, *sys.argv[1:])
