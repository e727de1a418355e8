"""Processes that are measured: started with a log, ended by their ids, and what they use."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil

from benchmarks.environment import CHECKOUT

QUIET_CORES = 0.15
START_SECONDS = 40
STOP_SECONDS = 30


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(
    command: Sequence[str], port: int, path: str, log: Path, **environment: str
) -> Iterator[psutil.Process]:
    """The server, once it answers on that path; ended, with what it started, at the end."""
    with log.open("wb") as file:
        process = psutil.Popen(
            command,
            cwd=CHECKOUT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(process, port, path, log)
        yield process
    finally:
        _end(process)


def _wait_until_up(process: Any, port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            asked(port, path)
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args} did not come up:\n{log.read_text(errors='replace')[-3000:]}")


def _end(process: Any) -> None:
    workers = process.children(recursive=True) if process.poll() is None else []
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    _, left = psutil.wait_procs([process, *workers], timeout=STOP_SECONDS)
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def asked(port: int, path: str = "/") -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


# What they use ------------------------------------------------------------------------------
def family(pid: int) -> list[psutil.Process]:
    """The process and all that it started; none where it has died."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """Of the process and all that it started, those that have ended included."""
    total = 0.0
    for each in family(pid):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@contextmanager
def repeated(work: Callable[[], object], seconds: float) -> Iterator[None]:
    """Does it every so many seconds, in a thread of its own, until the end."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            work()

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# Strangers ----------------------------------------------------------------------------------
def machine_seconds() -> float:
    """CPU seconds of everything that runs on this machine."""
    times: Mapping[str, float] = psutil.cpu_times()._asdict()
    return sum(times[name] for name in ("user", "system", "nice", "irq", "softirq"))


def wait_until_quiet(seconds: float) -> None:
    """Until others leave the machine alone for a second, or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before, begin = machine_seconds(), time.monotonic()
        time.sleep(1)
        if (machine_seconds() - before) / (time.monotonic() - begin) < QUIET_CORES:
            return
