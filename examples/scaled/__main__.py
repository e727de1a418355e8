"""Serve from many machines, tried out on this one. Ctrl-C ends it all; SIGHUP restarts the hosts
one after the other, which no reader notices.

    python -m examples.scaled --hosts 2 --port 8080
"""

import argparse
import os
import signal
import subprocess
import sys
from queue import SimpleQueue

from embedded.postgres import Cluster
from examples.scaled.machines import CHECKOUT, Machines, NotUp

STDERR = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="where nginx listens (8080)")
    parser.add_argument("--hosts", type=int, default=2, help="how many gunicorns (2)")
    options = parser.parse_args()
    told: SimpleQueue[int] = SimpleQueue()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda number, _: told.put(number))
    try:
        serve(options, told)
    except NotUp as error:
        sys.exit(str(error))


def serve(options: argparse.Namespace, told: "SimpleQueue[int]") -> None:
    database = Cluster(CHECKOUT / ".embedded" / "scaled").start()
    environment = {"EMBEDDED": "true"} | dict(os.environ)
    machines = Machines(database, environment, STDERR, hosts=options.hosts, port=options.port)
    try:
        # Directly: a migration is one long transaction, and may want settings of its own.
        migrating = machines.hosts[0].environment | {"DATABASE_URL": database}
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=CHECKOUT,
            env=migrating,
            check=True,
        )
        machines.start()
        print(
            f"Readers ask at {machines.url}; restart the hosts by: kill -HUP {os.getpid()}",
            flush=True,
        )
        while told.get() == signal.SIGHUP:
            machines.restart_hosts()
            print("All hosts were restarted.", flush=True)
    finally:
        machines.stop()


if __name__ == "__main__":
    main()
