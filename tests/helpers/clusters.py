"""PostgreSQL clusters that a test may stop, kill or lock, beside the one that all tests share."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from embedded.postgres import Cluster
from tests.helpers.commands import manage
from tests.helpers.folders import open_folder

SETTINGS = {"fsync": "off"}


@contextmanager
def migrated_cluster(environment: Mapping[str, str]) -> Iterator[Cluster]:
    with open_folder() as folder, running(folder) as cluster:
        migrate = manage(
            "migrate", "--verbosity", "0", **{**environment, "DATABASE_URL": cluster.url()}
        )
        assert migrate.returncode == 0, migrate.stderr
        yield cluster


@contextmanager
def copied_cluster(template: Path) -> Iterator[Cluster]:
    """A cluster with the data of another one, which is stopped: cheaper than to make one anew."""
    with open_folder() as folder:
        # `cp` keeps the owner, which is a user of its own where root runs PostgreSQL.
        subprocess.run(["cp", "-a", template / "postgres", folder], check=True)
        with running(folder) as cluster:
            yield cluster


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder, SETTINGS)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
