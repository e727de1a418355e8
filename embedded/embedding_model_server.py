"""The embedding model's start in its keeper, and the settings of its server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedded import llama_server
from embedded.child import spawn

STOP = llama_server.STOP
SLOTS = 4  # texts that are embedded at once
CONTEXT_TOKENS = 512  # of a text, at most


@contextmanager
def launched(
    folder: Path, options: dict[str, Any]
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    file = folder / options["file"]
    if not file.exists():
        convert(options["source"], file)
    with llama_server.launched(__name__, file, options["name"]) as running:
        yield running


def convert(source: str, file: Path) -> None:
    """Done once for a folder, in a process of its own, which takes its memory with it."""
    command = [sys.executable, "-m", "embedded.embedding_weights", source, str(file)]
    if spawn(command, STOP).wait():
        sys.exit("The embedding model's weights could not be converted.")


def configure(settings: Any) -> None:
    settings.embedding = True
    settings.n_parallel = SLOTS
    settings.n_ctx = SLOTS * CONTEXT_TOKENS
    # A text is computed in one piece; a larger batch would need more memory, and is no faster.
    settings.n_batch = settings.n_ubatch = CONTEXT_TOKENS


if __name__ == "__main__":
    llama_server.serve(configure, *sys.argv[1:])
