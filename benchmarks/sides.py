"""The two that are measured side by side: how each is started, and where it keeps its rows."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import psycopg

from benchmarks.environment import CLUSTER, FOLDER, empty_database, manage
from benchmarks.peer import TABLES
from benchmarks.processes import free_port, serving

MESSAGES_OF_A_SESSION = 5  # on average, as `seed_demo` makes them
GUNICORN = "-m gunicorn -c chatbackend/gunicorn.py chatbackend.asgi:application"
UVICORN = (
    "-m uvicorn benchmarks.peer:app --host 127.0.0.1 --port {port} --workers {workers} "
    "--loop uvloop --http httptools --no-access-log --log-level warning"
)
# As in production, but for the limits of readers.
SETTINGS = {"EMBEDDED": "", "LOG_LEVEL": "INFO", "LOG_FORMAT": "json", "CHAT_RATE": ""}


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    tables: tuple[str, str]  # of sessions, of messages
    command: str

    def database(self, full: bool = False) -> str:
        return f"{self.name}_full" if full else self.name

    def prepare(self, full: bool = False) -> None:
        """An empty database with the tables."""
        address = empty_database(self.database(full))
        if self is PEER:
            with psycopg.connect(address) as connection:
                connection.execute(TABLES)
        else:
            manage("migrate", "--verbosity", "0", DATABASE_URL=address)

    @contextmanager
    def serving(
        self, database: str, model: str, model_port: int, workers: int, **settings: str
    ) -> Iterator[tuple[psutil.Process, int]]:
        """The server, and its port."""
        port = free_port()
        command = self.command.format(port=port, workers=workers).split()
        environment = (
            SETTINGS
            | {
                "DATABASE_URL": CLUSTER.url(database),
                "OPENAI_API_KEY": "sk-measured",
                "OPENAI_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
                "OPENAI_MODEL": model,
                "PORT": str(port),
                "WEB_CONCURRENCY": str(workers),
            }
            | settings
        )
        log = FOLDER / f"{self.name}.log"
        with serving([sys.executable, *command], port, "/health", log, **environment) as process:
            yield process, port


WITH_BOOK = Side("with_book", ("chat_session", "chat_message"), GUNICORN)
US = Side("us", ("chat_session", "chat_message"), GUNICORN)
PEER = Side("peer", ("peer_session", "peer_message"), UVICORN)
SIDES = (US, PEER)


# Rows ---------------------------------------------------------------------------------------
def fill(messages: int) -> None:
    """Both sides' full databases: the same conversations, under the same ids."""
    for side in SIDES:
        side.prepare(full=True)
    ours, theirs = (CLUSTER.url(side.database(full=True)) for side in SIDES)
    sessions = max(messages // MESSAGES_OF_A_SESSION, 1)
    manage("seed_demo", "--sessions", str(sessions), "--seed", "1", DATABASE_URL=ours)
    with psycopg.connect(ours) as source, psycopg.connect(theirs) as target:
        copy(source, "chat_session", target, "peer_session", "id, created_at")
        columns = "id, session_id, role, content, created_at"
        copy(source, "chat_message", target, "peer_message", columns)
    for address in (ours, theirs):
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


def copy(
    source: psycopg.Connection, table: str, target: psycopg.Connection, into: str, columns: str
) -> None:
    read = source.cursor().copy(f"COPY (SELECT {columns} FROM {table}) TO STDOUT (FORMAT binary)")
    write = target.cursor().copy(f"COPY {into} ({columns}) FROM STDIN (FORMAT binary)")
    with read as rows, write as taken:
        for piece in rows:
            taken.write(piece)


def some_sessions(side: Side, database: str, count: int = 5_000) -> list[str]:
    with psycopg.connect(CLUSTER.url(database)) as connection:
        found = connection.execute(
            f"SELECT id FROM {side.tables[0]} ORDER BY random() LIMIT {count}"
        )
        return [str(session) for (session,) in found]


def rows(side: Side, database: str) -> tuple[int, int, int]:
    """How many sessions, messages, and messages that say nothing."""
    sessions, messages = side.tables
    counted = f"""
        SELECT (SELECT count(*) FROM {sessions}), count(*), count(*) FILTER (WHERE content = '')
        FROM {messages}
    """
    with psycopg.connect(CLUSTER.url(database)) as connection:
        found = connection.execute(counted).fetchone()
    assert found
    return found[0], found[1], found[2]


# Database work ------------------------------------------------------------------------------
def database_work(database: str) -> tuple[int, int]:
    """Transactions and connections of that database so far, those of ended processes."""
    with psycopg.connect(CLUSTER.url("postgres"), autocommit=True) as connection:
        found = connection.execute(
            "SELECT xact_commit + xact_rollback, sessions FROM pg_stat_database WHERE datname = %s",
            [database],
        ).fetchone()
    assert found
    return found[0], found[1]


def checkpoint() -> None:
    """So that no measurement pays for the writes of the one before."""
    with psycopg.connect(CLUSTER.url("postgres"), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
