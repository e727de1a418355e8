"""One side under one workload: what it did, and what that cost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from statistics import quantiles

import psutil

from benchmarks.environment import CHECKOUT, CLUSTER
from benchmarks.load import Load, Result
from benchmarks.processes import (
    QUIET_CORES,
    asked,
    cpu_seconds,
    family,
    machine_seconds,
    repeated,
    wait_until_quiet,
)
from benchmarks.sides import Side, checkpoint, database_work, rows, some_sessions
from benchmarks.workloads import Workload

WARM_READERS, WARM_TURNS = 32, 300
LOAD_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Usage:
    """Over the time of the load; CPU in seconds, memory in bytes."""

    app: float
    database: float
    strangers: float  # cores that others used
    memory: int  # at most; what the server's processes share counts once
    memory_grown: int


@dataclass(frozen=True, slots=True)
class Measured:
    side: Side
    workload: Workload
    result: Result
    usage: Usage
    connections: int  # made to the database, over the server's whole life
    transactions: float  # for each turn, over the server's whole life
    amiss: tuple[str, ...]  # what was not as it should be

    @property
    def is_disturbed(self) -> bool:
        return self.usage.strangers > QUIET_CORES

    @property
    def per_second(self) -> float:
        return self.result.answered / self.result.seconds

    def per_thousand(self, used: float) -> float:
        return 1000 * used / max(self.result.answered, 1)

    def added_ms(self, percent: int) -> float:
        """To a whole answer, beyond what the model itself takes."""
        return percentile(self.result.answer_seconds, percent) - 1000 * self.workload.model_seconds

    def added_first_ms(self, percent: int) -> float:
        delay = 1000 * self.workload.speech.delay
        return percentile(self.result.first_seconds, percent) - delay


def percentile(seconds: list[float], percent: int) -> float:
    """In milliseconds."""
    if len(seconds) < 2:
        return float("nan")
    return 1000 * quantiles(seconds, n=100, method="inclusive")[percent - 1]


def measured(
    side: Side, workload: Workload, model_port: int, patience: float, **settings: str
) -> Measured:
    """Waits up to `patience` seconds for others on this machine to be quiet."""
    database = side.database(workload.in_full_database)
    stored = some_sessions(side, database) if workload.in_full_database else []
    rows_before, work_before = rows(side, database), database_work(database)
    checkpoint()
    model = workload.speech.name
    started = side.serving(database, model, model_port, workload.workers, **settings)
    with started as (process, port):
        asked(model_port, "/hurry")
        warm = run(Load(port, WARM_READERS, WARM_TURNS, workload.chunks))
        asked(model_port)
        wait_until_quiet(patience)
        load = Load(port, workload.readers, workload.turns, workload.chunks, workload.ramp)
        load.sessions, load.all_differ = stored, workload.all_differ
        result, usage = used_by(process, lambda: run(load))
        told = asked(model_port)
    work = database_work(database)
    turns = warm.answered + result.answered
    amiss = [
        f"{count} times {error}" for error, count in [*warm.errors.items(), *result.errors.items()]
    ]
    if told["calls"] != workload.turns:
        amiss.append(f"the model was asked {told['calls']} times")
    if workload.all_open and told["at_once"] < workload.readers:
        amiss.append(f"only {told['at_once']} were open at once")
    amiss += misstored(rows_before, rows(side, database), warm, result)
    return Measured(
        side,
        workload,
        result,
        usage,
        connections=work[1] - work_before[1],
        transactions=(work[0] - work_before[0]) / max(turns, 1),
        amiss=tuple(amiss),
    )


def run(load: Load) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=CHECKOUT,
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        text=True,
        timeout=LOAD_SECONDS,
        check=True,
    )
    return Result(**json.loads(done.stdout))


def misstored(
    before: tuple[int, int, int], after: tuple[int, int, int], *results: Result
) -> Iterator[str]:
    """Nothing is lost, nothing doubled: what the rows say."""
    answered = sum(result.answered for result in results)
    begun = sum(result.begun for result in results)
    wanted = {"sessions": begun, "messages": 2 * answered, "empty messages": 0}
    for (name, count), was, now in zip(wanted.items(), before, after, strict=True):
        if now - was != count:
            yield f"{now - was - count:+d} {name}"


# What it costs ------------------------------------------------------------------------------
def used_by(process: psutil.Process, work: Callable[[], Result]) -> tuple[Result, Usage]:
    def now() -> tuple[float, float, float, float]:
        ours = cpu_seconds(os.getpid()) + cpu_seconds(CLUSTER.pid)
        app, database = cpu_seconds(process.pid), cpu_seconds(CLUSTER.pid)
        return app, database, machine_seconds() - ours, time.monotonic()

    before = now()
    with memory_watched(process) as memory:
        result = work()
    app, database, strangers, seconds = (
        after - was for after, was in zip(now(), before, strict=True)
    )
    usage = Usage(app, database, max(strangers, 0) / seconds, max(memory), max(memory) - memory[0])
    return result, usage


@contextmanager
def memory_watched(process: psutil.Process) -> Iterator[list[int]]:
    """The bytes in use, at the beginning and then once a second."""
    processes = family(process.pid)
    seen: list[int] = []

    def look() -> None:
        with suppress(psutil.NoSuchProcess):
            infos = [each.memory_full_info() for each in processes]
            seen.append(sum(getattr(info, "pss", info.uss) for info in infos))

    look()
    with repeated(look, 1):
        yield seen
