"""Readers beside an attack: how long their turns and /health take, and what fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from itertools import count
from statistics import median
from threading import Event, Thread

import psutil

from benchmarks.load import Load
from benchmarks.measured import run
from benchmarks.processes import family, repeated

READERS, PAUSE_SECONDS = 40, 2.1  # each stays within CHAT_RATE
HEALTH_PAUSE_SECONDS = 0.05
LOOK_SECONDS = 0.25
LATE_SECONDS = 10
_phases = count()


@dataclass
class Seen:
    """Medians in milliseconds, and failures by what they were."""

    turn: float = 0
    health: float = 0
    slowest: float = 0
    failures: dict[str, int] = field(default_factory=dict)


def between(first: Seen, second: Seen) -> Seen:
    return Seen(
        turn=(first.turn + second.turn) / 2,
        health=(first.health + second.health) / 2,
        slowest=max(first.slowest, second.slowest),
        failures=first.failures | second.failures,
    )


def read(port: int, seconds: float) -> Seen:
    """As so many readers do; each phase with clients of its own."""
    load = Load(
        port,
        READERS,
        turns=round(READERS * seconds / PAUSE_SECONDS),
        ramp=PAUSE_SECONDS,
        pause=PAUSE_SECONDS,
        clients=f"10.{100 + next(_phases)}",
        patience=LATE_SECONDS,
    )
    with _health_asked(port) as (times, failures):
        result = run(load)
    return Seen(
        turn=1000 * median(result.answer_seconds or [LATE_SECONDS]),
        health=1000 * median(times or [LATE_SECONDS]),
        slowest=1000 * max(result.answer_seconds, default=LATE_SECONDS),
        failures=result.errors | failures,
    )


@contextmanager
def _health_asked(port: int) -> Iterator[tuple[list[float], dict[str, int]]]:
    times: list[float] = []
    failures: dict[str, int] = {}
    ended = Event()

    def ask() -> None:
        while not ended.wait(HEALTH_PAUSE_SECONDS):
            begin = time.perf_counter()
            connection = HTTPConnection("127.0.0.1", port, timeout=LATE_SECONDS)
            try:
                connection.request("GET", "/health")
                status = str(connection.getresponse().status)
            except (OSError, HTTPException) as error:
                status = repr(error)
            finally:
                connection.close()
            if status != "200":
                failures[f"/health: {status}"] = failures.get(f"/health: {status}", 0) + 1
            times.append(time.perf_counter() - begin)

    asking = Thread(target=ask)
    asking.start()
    try:
        yield times, failures
    finally:
        ended.set()
        asking.join()


# What the server uses -----------------------------------------------------------------------
def megabytes(server: psutil.Process) -> float:
    """RSS of all its processes; what they share counts for each."""
    return float(sum(each.memory_info().rss for each in family(server.pid))) / 1e6


def descriptors(server: psutil.Process) -> int:
    return int(sum(each.num_fds() for each in family(server.pid)))


@contextmanager
def peak_watched(server: psutil.Process) -> Iterator[list[float]]:
    """The most megabytes so far, as the list's one item."""
    most = [megabytes(server)]

    def look() -> None:
        most[0] = max(most[0], megabytes(server))

    with repeated(look, LOOK_SECONDS):
        yield most
