"""Attack the server as one client could, with readers beside it (`make attack`).

Real gunicorn with two workers, real PostgreSQL and a scripted model, all on this machine and on the
loopback interface. Each attack lasts some seconds; before it the same readers ask undisturbed.
Prints the table of docs/security.md, and exits with 1 if the readers' median more than doubled, one
of them failed, memory or pending replies are left behind, or the attackers got what they must not.
"""

from benchmarks.environment import CHECKOUT, DATABASE, FOLDER, manage  # first: it sets Django up

# isort: split
import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks.attack import stored
from benchmarks.attack.beside import Seen, between, megabytes, peak_watched, read
from benchmarks.attack.many_turns import many_turns
from benchmarks.attack.scenarios import SCENARIOS, Scenario
from benchmarks.attack.wire import Outcomes, Target
from benchmarks.load import Load
from benchmarks.measured import run
from benchmarks.model import Speech
from benchmarks.processes import free_port, serving, wait_until_quiet
from benchmarks.sides import US
from benchmarks.turns import allow_many_connections

WORKERS = 2
SETTINGS = {
    "CHAT_RATE": "30/m",
    "CHAT_DAILY_TOKEN_BUDGET": str(10**12),  # so that tokens are counted
    "NUM_PROXIES": "1",  # readers name addresses of their own
    "LLM_TIMEOUT_SECONDS": "10",
    "LOG_LEVEL": "INFO",
    "LOG_FORMAT": "json",
}
MOST_SLOWER, MOST_LARGER = 2.0, 1.2
SLOWEST_MS = 10_000
RSS_SECONDS = 60
PATIENCE_SECONDS = 150  # for the attackers, beyond their time
TRIES = 3  # what others do on the machine must not decide


@dataclass
class Row:
    scenario: Scenario
    outcomes: Outcomes
    calm: Seen
    attacked: Seen
    before: float  # megabytes
    peak: float
    after: float
    pending: int
    errors: int  # crashes in the log

    @property
    def turn_ratio(self) -> float:
        return self.attacked.turn / self.calm.turn

    @property
    def health_ratio(self) -> float:
        return self.attacked.health / self.calm.health

    @property
    def amiss(self) -> list[str]:
        checks = {
            f"turns took {self.turn_ratio:.1f} times as long": self.turn_ratio > MOST_SLOWER,
            f"/health took {self.health_ratio:.1f} times as long": self.health_ratio > MOST_SLOWER,
            f"a turn took {self.attacked.slowest:.0f} ms": self.attacked.slowest > SLOWEST_MS,
            f"{self.attacked.failures}": bool(self.attacked.failures),
            f"{self.calm.failures} undisturbed": bool(self.calm.failures),
            "memory is kept": self.after > MOST_LARGER * self.before,
            f"{self.pending} replies are pending": self.pending > 0,
            f"{self.errors} crashes are in the log": self.errors > 0,
        }
        return [what for what, is_amiss in checks.items() if is_amiss] + self.scenario.amiss(
            self.outcomes
        )


def main() -> None:
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what was started, too
    allow_many_connections()
    manage("migrate", "--verbosity", "0")
    with model_served() as model:
        rows = list(attacked(options, model)) if not options.turns or options.only else []
        kept = many_turns(options.turns, model) if options.turns else []
    amiss = [f"{row.scenario.name}: {'; '.join(row.amiss)}" for row in rows if row.amiss] + kept
    print("", *(table(rows) if rows else ()), "", *amiss, sep="\n")
    sys.exit(bool(amiss))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.attack", description=__doc__)
    names = [each.name for each in SCENARIOS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="SCENARIO")
    parser.add_argument("--seconds", type=float, default=8, help="of each attack")
    parser.add_argument(
        "--patience", type=float, default=5, help="seconds to wait for others to be quiet"
    )
    parser.add_argument(
        "--turns", type=int, default=0, help="take so many turns instead: is nothing kept?"
    )
    return parser.parse_args()


@contextmanager
def model_served() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.attack.model", str(port)]
    with serving(command, port, "/", FOLDER / "model.log"):
        yield port


def attacked(options: argparse.Namespace, model: int) -> Iterator[Row]:
    emoji, cookie = stored.emoji_session(), stored.staff_cookie()
    stored.huge_session()
    with US.serving(DATABASE, Speech().name, model, WORKERS, **SETTINGS) as (server, port):
        target = Target(port, 0, emoji, cookie)
        warm_up(target)
        for scenario in SCENARIOS:
            if not options.only or scenario.name in options.only:
                yield taken(scenario, target, options.seconds, options.patience, server)


def warm_up(target: Target) -> None:
    """What a server loads once is not what an attack makes it keep."""
    for number in range(4):
        run(Load(target.port, 32, 100, chunks=40 * (number % 2), clients=f"10.{number}"))
    for name in ("session-list", "open-pages", "history", "broken-answers"):
        with attacking(name, target, 2):
            pass


def taken(
    scenario: Scenario, target: Target, seconds: float, patience: float, server: psutil.Process
) -> Row:
    """The quietest of some tries."""
    for number in range(TRIES):
        wait_until_quiet(patience)
        row = once(scenario, target, seconds, server)
        print(line_of(row), file=sys.stderr, flush=True)
        if not row.amiss or number == TRIES - 1:
            break
    return row


def once(scenario: Scenario, target: Target, seconds: float, server: psutil.Process) -> Row:
    """Undisturbed before and after, since a machine's pace changes."""
    log = FOLDER / f"{US.name}.log"
    first = read(target.port, seconds / 2)
    before, logged = megabytes(server), log.stat().st_size
    with peak_watched(server) as peak, attacking(scenario.name, target, seconds + 1) as outcomes:
        time.sleep(0.5)  # the attackers are there
        attacked = read(target.port, seconds)
    pending = stored.pending_replies()
    after = settled(server, before)
    crashes = crashes_in(log, logged)
    calm = between(first, read(target.port, seconds / 2))
    return Row(scenario, outcomes, calm, attacked, before, peak[0], after, pending, crashes)


@contextmanager
def attacking(name: str, target: Target, seconds: float) -> Iterator[Outcomes]:
    """What the attackers got is known afterwards."""
    outcomes: Outcomes = Counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.attack.scenarios", name],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdout.readline()  # it is ready
    aim = asdict(target) | {"until": time.monotonic() + seconds}
    process.stdin.write(json.dumps(aim))
    process.stdin.close()
    process.stdin = None
    try:
        yield outcomes
        found, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS)
        outcomes.update(json.loads(found))
    finally:
        process.kill()
        process.wait()


def settled(server: psutil.Process, before: float) -> float:
    """The memory in use, as soon as it is what it was, or a minute later."""
    end = time.monotonic() + RSS_SECONDS
    while (now := megabytes(server)) > MOST_LARGER * before and time.monotonic() < end:
        time.sleep(0.5)
    return now


def crashes_in(log: Path, since: int) -> int:
    with log.open("rb") as file:
        file.seek(since)
        return sum(b'"exception": {' in line or b'"status": 500' in line for line in file)


# What was seen ------------------------------------------------------------------------------
def table(rows: list[Row]) -> Iterator[str]:
    yield (
        "| attack | turns | `/health` | failed | memory at most | afterwards | pending "
        "| what the attackers got |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for row in rows:
        cells = [
            row.scenario.told,
            f"{row.turn_ratio:.2f}",
            f"{row.health_ratio:.2f}",
            f"{sum(row.attacked.failures.values())}",
            f"{row.peak / row.before:.2f}",
            f"{row.after / row.before:.2f}",
            f"{row.pending}",
            ", ".join(f"{what}: {count:,}" for what, count in sorted(row.outcomes.items())),
        ]
        yield f"| {' | '.join(cells)} |"


def line_of(row: Row) -> str:
    """For who waits, as soon as it is there."""
    parts = [
        f"{row.scenario.name}: turns {row.calm.turn:.1f} -> {row.attacked.turn:.1f} ms,",
        f"/health {row.calm.health:.1f} -> {row.attacked.health:.1f} ms,",
        f"slowest {row.attacked.slowest:.0f} ms,",
        f"RSS {row.before:.0f} -> {row.peak:.0f} -> {row.after:.0f} MB, {dict(row.outcomes)}",
    ]
    return " ".join([*parts, *(f"AMISS: {what}" for what in row.amiss)])


if __name__ == "__main__":
    main()
