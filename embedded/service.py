"""A service that the processes of a checkout share, as its users see it.

Processes coordinate by `flock` on files in one folder, since the kernel releases a lock however its
holder ends:

* `NAME.users`: every user holds it shared; forked children hold it with their parent. The keeper
  waits for it exclusively, and so learns when the last user has ended.
* `NAME.start`: held while starting, so that only one of many starters does it.
* `NAME.keeper`: the keeper holds it for its lifetime; its starter hands it over, locked.
* `NAME.service`: all that runs for the service holds it; a keeper that takes over from one which
  was killed waits here until the old service is gone.

`NAME.json` exists while the service can be used, and says how; `NAME.log` is its output.
"""

import atexit
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
START_SECONDS = 60
STOP_SECONDS = 10

# The locks this process, or the one it was forked from, holds as a user.
_held: dict[Path, int] = {}


class NotStarted(RuntimeError):
    """An embedded service did not start; the message says why."""


class Service:
    """One service in a folder of ours; `NAME_server` is the module that launches it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder.resolve()
        self.name = name
        self.state = self._file("json")
        self.log = self._file("log")

    def start(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Use the service, starting it where it does not run; return its state.

        Cheap when it is used already, so that it can be called before every use.
        """
        if self._file("users") in _held and (state := self._running()):
            return state
        self._make_folder()
        start = self.lock("start", fcntl.LOCK_EX)
        try:
            self._use()
            return self._settled() or self._launch(options)
        finally:
            os.close(start)

    def stop(self) -> None:
        """End this process's use. If it was the last, return when the service has stopped."""
        users = _held.pop(self._file("users"), None)
        if users is None:
            return
        os.close(users)
        deadline = time.monotonic() + STOP_SECONDS
        while self._unused() and self._kept() and time.monotonic() < deadline:
            time.sleep(0.01)

    def lock(self, kind: str, how: int) -> int:
        """Open the lock file and lock it; closing the descriptor releases the lock."""
        descriptor = os.open(self._file(kind), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.name}.{kind}"

    def _free(self, kind: str, how: int) -> bool:
        try:
            os.close(self.lock(kind, how | fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _kept(self) -> bool:
        return not self._free("keeper", fcntl.LOCK_SH)

    def _unused(self) -> bool:
        """No process holds the users' lock, or the keeper has it already."""
        return self._free("users", fcntl.LOCK_EX) or not self._free("users", fcntl.LOCK_SH)

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise NotStarted(f"{self.folder} cannot be made: {error.strerror}.") from error
            # Root's PostgreSQL runs as another user, who must be able to pass.
            self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        owner = self.folder.stat().st_uid
        if owner != os.geteuid():
            raise NotStarted(
                f"{self.folder} belongs to user {owner}: run as that user, or delete the folder."
            )

    def _use(self) -> None:
        users = self._file("users")
        if users not in _held:
            _held[users] = self.lock("users", fcntl.LOCK_SH)
            atexit.register(self._stop_in, os.getpid())

    def _stop_in(self, pid: int) -> None:
        """At the end of a forked child its parent may still be a user."""
        if pid == os.getpid():
            self.stop()

    def _running(self) -> dict[str, Any] | None:
        if not self._kept():
            return None
        try:
            state: dict[str, Any] = json.loads(self.state.read_text())
        except FileNotFoundError:
            return None
        return state

    def _settled(self) -> dict[str, Any] | None:
        """The state, or None when no keeper is there; one that comes or goes is waited for."""
        deadline = time.monotonic() + START_SECONDS
        while self._kept():
            if state := self._running():
                return state
            if time.monotonic() > deadline:
                raise NotStarted(f"The keeper of the embedded {self.name} hangs: see {self.log}.")
            time.sleep(0.02)
        return None

    def _launch(self, options: Mapping[str, Any]) -> dict[str, Any]:
        self.state.unlink(missing_ok=True)  # of a keeper that was killed
        ready, tell = os.pipe()
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        kept = self.lock("keeper", fcntl.LOCK_EX)
        try:
            path = filter(None, (str(PROJECT), os.environ.get("PYTHONPATH")))
            arguments = (self.name, str(self.folder), json.dumps(options), str(kept))
            # A session of its own: Ctrl-C in the terminal is for the server, not for its services.
            keeper = subprocess.Popen(
                [sys.executable, "-m", "embedded.keeper", *arguments],
                cwd=PROJECT,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
                stdin=subprocess.DEVNULL,
                stdout=tell,
                stderr=log,
                pass_fds=[kept],
                start_new_session=True,
            )
        finally:
            for descriptor in (tell, log, kept):
                os.close(descriptor)
        keeper.wait()  # it goes on in a child of its own
        try:
            if not select.select([ready], [], [], START_SECONDS)[0]:
                with suppress(ProcessLookupError):
                    os.killpg(keeper.pid, signal.SIGTERM)
        finally:
            os.close(ready)
        if state := self._running():
            return state | {"launched": True}  # by us, just now
        last_lines = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        raise NotStarted(f"The embedded {self.name} did not start. {self.log} ends:\n{last_lines}")


def installed(package: str) -> Path:
    """Where the package's files are. It is not imported: that would cost time, or more."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotStarted(f"The package {package} is missing: install the embedded extra.")
    return Path(spec.submodule_search_locations[0])
