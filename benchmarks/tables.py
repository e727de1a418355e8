"""What was measured, as Markdown for docs/performance.md."""

import math
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psycopg

from benchmarks.environment import CLUSTER
from benchmarks.measured import Measured
from benchmarks.sides import PEER, SIDES, US, Side
from benchmarks.workloads import Workload

PACKAGES = (
    "django",
    "django-ninja",
    "psycopg",
    "gunicorn",
    "fastapi",
    "asyncpg",
    "uvicorn",
    "openai",
    "aiohttp",
)
EXPLAINED = """\
We run as in production, with a log line for each request and each call of the model, but without
limits of readers; the peer writes no log. CPU in seconds for 1,000 answers; times in milliseconds
beyond those that the model itself takes; transactions (each is one statement) for each turn, and
connections made to PostgreSQL, both over the server's whole life, its start included; memory of
all of a server's processes, at most, what they share counted once. Medians of the rounds in which
others left the machine alone; † where there were none. The ratios are of the same rounds."""

type Round = dict[tuple[Side, str], Measured]


@dataclass(frozen=True, slots=True)
class Column:
    head: str
    of: Callable[[Measured], float]
    form: str = ".1f"
    has_ratio: bool = True
    of_streams: bool = False


COLUMNS = (
    Column("requests/s", lambda m: m.per_second, ".0f"),
    Column("app CPU", lambda m: m.per_thousand(m.usage.app), ".2f"),
    Column("PostgreSQL CPU", lambda m: m.per_thousand(m.usage.database), ".2f"),
    Column("first p50", lambda m: m.added_first_ms(50), of_streams=True),
    Column("first p95", lambda m: m.added_first_ms(95), of_streams=True),
    Column("p50", lambda m: m.added_ms(50)),
    Column("p95", lambda m: m.added_ms(95)),
    Column("errors", lambda m: sum(m.result.errors.values()), ".0f", False),
    Column("chunks missing", lambda m: m.result.missing, ".0f", False, True),
    Column("transactions", lambda m: m.transactions, ".2f"),
    Column("connections", lambda m: m.connections, ".0f", False),
    Column("memory, MB", lambda m: m.usage.memory / 1e6, ".0f"),
)
OF_EACH_STREAM = Column(
    "memory of a stream, kB", lambda m: m.usage.memory_grown / 1000 / m.workload.readers, ".0f"
)


def described(rounds: int) -> str:
    """Versions and machine, in a line."""
    with psycopg.connect(CLUSTER.url("postgres")) as connection:
        postgres = connection.info.parameter_status("server_version")
    parts = [f"Python {platform.python_version()}", f"PostgreSQL {postgres}"]
    parts += [f"{package} {version(package)}" for package in PACKAGES]
    parts += [f"{os.cpu_count()} cores ({processor()})", f"rounds: {rounds}"]
    return f"{datetime.now(UTC):%Y-%m-%d}: {', '.join(parts)}."


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def line_of(measured: Measured) -> str:
    """For who waits, as soon as it is there."""
    told = [
        f"{measured.workload.name}, {measured.side.name}:",
        f"{measured.per_second:.0f} requests/s,",
        f"{measured.per_thousand(measured.usage.app):.2f} s for 1,000,",
        f"strangers {measured.usage.strangers:.2f} cores,",
        f"readers {measured.result.cpu_seconds / measured.result.seconds:.2f}",
    ]
    return " ".join([*told, *measured.amiss])


def table(workload: Workload, rounds: list[Round], told: str) -> Iterator[str]:
    """A row for each side, and their ratios."""
    calm = [
        each for each in rounds if not any(each[side, workload.name].is_disturbed for side in SIDES)
    ]
    used, mark = (calm, "") if calm else (rounds, " †")
    columns = [each for each in COLUMNS if workload.is_stream or not each.of_streams]
    if workload.all_open:
        columns.append(OF_EACH_STREAM)
    heads = [each.head for each in columns]
    values = {
        side: [[column.of(each[side, workload.name]) for each in used] for column in columns]
        for side in SIDES
    }
    if workload.against:
        heads.append(f"of `{workload.against}`")
    yield f"**{workload.name}**: {told}.\n"
    yield row("", heads)
    yield row("---", ["---:"] * len(heads))
    for side in SIDES:
        cells = [f"{median(v):{c.form}}" for c, v in zip(columns, values[side], strict=True)]
        if workload.against:
            cells.append(f"{median(compared(each, side, workload) for each in used):.2f}")
        yield row(side.name + mark, cells)
    ratios = [
        ratio(ours, theirs) if column.has_ratio else ""
        for column, ours, theirs in zip(columns, values[US], values[PEER], strict=True)
    ]
    yield row("us / peer" + mark, ratios + [""] * bool(workload.against))


def compared(each: Round, side: Side, workload: Workload) -> float:
    """Its requests/s as a multiple of those that it is compared with, of the same round."""
    return each[side, workload.name].per_second / each[side, workload.against].per_second


def ratio(ours: list[float], theirs: list[float]) -> str:
    found = [our / their for our, their in zip(ours, theirs, strict=True) if their > 0]
    return f"{median(found):.2f}" if found and not math.isnan(median(found)) else ""


def row(head: str, cells: list[str]) -> str:
    return "| " + " | ".join([head, *cells]) + " |"
