"""`make run` with nothing configured: a real server, a real PostgreSQL, a real (small) model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from tests.helpers.environment import CHECKOUT, SETTINGS
from tests.helpers.folders import open_folder
from tests.helpers.server import free_port

# Under 5 on a machine that does nothing else.
MOST_SECONDS = 30 if "PYTEST_XDIST_WORKER" in os.environ else 10
# The first time, the example book is indexed before: 20 seconds where nothing else runs.
MOST_SECONDS_TO_INDEX = 300


@pytest.fixture
def checkout():
    """A fresh checkout, without what this one keeps: its data, its keys."""
    with open_folder() as folder:
        yield copied_to(folder / "checkout")


def copied_to(folder):
    folder.mkdir()
    packages = ("chatbackend", "review", "chat", "book", "llm", "embedded")
    for name in (*packages, "examples", "manage.py", "templates", "Makefile", "pyproject.toml"):
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, folder / name)
    # The environment is the one the tests run in: it is set up already.
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "gunicorn"):
        script = folder / ".venv" / "bin" / name
        module = "" if name == "python" else "-m gunicorn"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        script.chmod(0o755)
    shutil.copytree(CHECKOUT / "requirements", folder / "requirements")
    shutil.copytree(CHECKOUT / ".ci", folder / ".ci")
    (folder / ".venv" / ".installed").touch()
    return folder


def make_run(checkout, log):
    """Start it; return the process, a client, and the seconds to the first healthy answer."""
    port = free_port()
    # Not measured for coverage either, which would slow down what is timed here.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith("COVERAGE")
    }
    begin = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["make", "run"],
            cwd=checkout,
            env=environment | {"PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
    while time.monotonic() - begin < MOST_SECONDS_TO_INDEX and process.poll() is None:
        try:
            if client.get("/health").status_code == 200:
                return process, client, time.monotonic() - begin
        except httpx2.TransportError:
            time.sleep(0.1)
    process.terminate()
    process.wait(30)
    raise AssertionError(log.read_text())


def processes_of(checkout):
    """The ids of processes that mention the checkout, or were started in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            command = (process / "cmdline").read_text().replace("\0", " ")
            folder = str((process / "cwd").readlink())
            if str(checkout) in command or (command and folder.startswith(str(checkout))):
                found.append(command)
    return found


@pytest.mark.timeout(2 * MOST_SECONDS_TO_INDEX)
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for what is left running")
def test_a_reader_is_answered_with_nothing_configured(checkout, tmp_path):
    log = tmp_path / "log"
    process, client, _ = make_run(checkout, log)
    try:
        first = client.post("/chat", json={"message": "What is a robot?"})
        session = first.json()["session_id"]
        second = client.post("/chat", json={"message": "Give an example.", "session_id": session})
        page = client.get("/").text
        found = client.get("/book/search", params={"q": "What is a node?"}).json()["results"]
    finally:
        process.terminate()
        client.close()
        process.wait(30)

    assert (first.status_code, second.status_code) == (200, 200), log.read_text()
    assert first.json()["response"].strip()
    assert second.json()["response"].strip()
    assert "demonstration model" in page
    assert found[0]["url"].startswith(f"http://localhost:{client.base_url.port}/example/nodes")
    told = log.read_text()
    assert "demonstration model" in told
    assert "/admin/" in told
    assert "/docs" in told
    assert processes_of(checkout) == []
    environment = (checkout / ".env").read_text().splitlines()
    assert environment[0] == "EMBEDDED=true"
    assert len(environment[1]) > 60
    assert (checkout / ".env").stat().st_mode & 0o077 == 0

    again, client, seconds = make_run(checkout, log)
    try:
        history = client.get(f"/chat/{session}").json()
    finally:
        os.killpg(again.pid, signal.SIGKILL)
        client.close()
        again.wait(30)

    assert history["messages"][0]["content"] == "What is a robot?"
    assert len(history["messages"]) == 4
    assert seconds < MOST_SECONDS
    end = time.monotonic() + 15
    while processes_of(checkout) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_of(checkout) == []
