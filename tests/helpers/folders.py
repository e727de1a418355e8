"""Folders that every user can come to, as PostgreSQL must; pytest's own are private."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chatbackend-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for _ in range(100):  # a server that is ending still tidies up in there
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.05)
