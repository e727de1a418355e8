"""What a turn costs, beside a peer that does as little as possible (`make bench`).

Both sides are measured in one run, one after the other, on a PostgreSQL of their own
(`.embedded/bench`), with a model that costs next to nothing and readers who check each answer;
then the rows are counted. What it prints goes to docs/performance.md. Only ratios mean something
on another machine.
"""

import benchmarks.environment  # first: it sets Django up

# isort: split
import argparse
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import plans, tables
from benchmarks.measured import measured
from benchmarks.processes import free_port, serving
from benchmarks.sides import SIDES, fill
from benchmarks.tables import Round
from benchmarks.workloads import WORKLOADS, Workload, chosen


def main() -> None:
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends what was started, too
    allow_many_connections()
    if options.explain:
        sys.exit(plans.explain(options.messages or plans.MESSAGES))
    for side in SIDES:
        side.prepare()
    if options.messages:
        fill(options.messages)
    workloads = chosen(options.only, bool(options.messages), options.quick)
    with model_served() as port:
        rounds = [
            taken_round(number, workloads, port, options.patience)
            for number in range(options.rounds)
        ]
    print(f"{tables.described(options.rounds)}\n\n{tables.EXPLAINED}")
    for workload in workloads:
        told = workload.told.format(messages=options.messages)
        print("", *tables.table(workload, rounds, told), sep="\n")
    amiss = [row for each in rounds for row in each.values() if row.amiss]
    for row in amiss:
        print(f"\nAmiss in {row.workload.name} of {row.side.name}: {'; '.join(row.amiss)}.")
    sys.exit(bool(amiss))


def parsed() -> argparse.Namespace:
    names = [each.name for each in WORKLOADS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="WORKLOAD")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer turns: to see that it works")
    parser.add_argument(
        "--messages", type=int, default=0, help="measure `full` too, with so many stored before"
    )
    parser.add_argument(
        "--patience", type=float, default=30, help="seconds to wait for others to be quiet"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="measure nothing: print the plans of the statements, and fail where one reads a "
        f"whole table ({plans.MESSAGES:,} messages where --messages does not say)",
    )
    options = parser.parse_args()
    if "full" in options.only and not options.messages:
        parser.error("full needs --messages")
    return options


def allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def model_served() -> Iterator[int]:
    """Its port."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.model", str(port)]
    with serving(command, port, "/", benchmarks.environment.FOLDER / "model.log"):
        yield port


def taken_round(number: int, workloads: list[Workload], model_port: int, patience: float) -> Round:
    """Every workload, on both sides; who is first changes, so that a drift favours neither."""
    found: Round = {}
    for workload in workloads:
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            row = found[side, workload.name] = measured(side, workload, model_port, patience)
            print(f"round {number + 1}: {tables.line_of(row)}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
