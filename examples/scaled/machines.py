"""Hosts behind nginx, on one PostgreSQL through PgBouncer: as on many machines, on this one.

Each host is a gunicorn with a port and an environment of its own; what they share is the database.
nginx and PgBouncer are Debian's. Nothing needs root; started by root, the two run as the user that
the embedded PostgreSQL runs as. All of it ends with the process that started it, however that ends.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGQUIT, SIGTERM, Signals
from string import Template
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from embedded.postgres_server import server_user

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PROGRAMS = {"nginx": "nginx-light", "pgbouncer": "pgbouncer", "setpriv": "util-linux"}
GUNICORN = ("-m", "gunicorn", "-c", "chatbackend/gunicorn.py", "chatbackend.asgi:application")
UP_SECONDS = 60
# Longer than the longest turn, which is finished first.
END_SECONDS = 100
# A ProxyHandler without proxies: this machine is asked directly, whatever the environment says.
http = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NotUp(RuntimeError):
    """A part is missing or did not start; the message says which."""


def missing_programs() -> str:
    """What to install, in a sentence; empty where all is there."""
    absent = [name for name in PROGRAMS if not program(name)]
    packages = " ".join(PROGRAMS[name] for name in absent)
    return f"{' and '.join(absent)} not found: apt-get install {packages}" if absent else ""


def program(name: str) -> str | None:
    """Debian keeps servers where a plain user's PATH does not look."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def wait_until(is_so: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise NotUp(f"{what}: not after {seconds:g} seconds.")
        time.sleep(0.05)


class Part:
    """A program of the set-up, which writes to `log` (a descriptor)."""

    process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, name: str, port: int, log: int, ends_by: Signals = SIGTERM) -> None:
        self.name = name
        self.port = port
        self.log = log
        self.ends_by = ends_by

    def run(self, command: list[str], environment: Mapping[str, str], user: list[str]) -> None:
        """Start it; it is told to end when this process is gone."""
        if Part.is_up(self):
            raise NotUp(f"{self.name} finds port {self.port} taken.")
        setpriv = [program("setpriv") or "setpriv", "--pdeathsig", "TERM", *user, "--"]
        self.process = subprocess.Popen(
            [*setpriv, *command],
            cwd=CHECKOUT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,  # Ctrl-C in the terminal is for whoever started it all
        )
        wait_until(self._is_up_or_over, UP_SECONDS, f"{self.name} answers")

    @property
    def pid(self) -> int:
        if self.process is None:
            raise NotUp(f"{self.name} was not started.")
        return self.process.pid

    def _is_up_or_over(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise NotUp(f"{self.name} ended while it started: see what it wrote.")
        return self.is_up()

    def is_up(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        """Tell it to end, and wait for that: what it is doing is done first."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.ends_by)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """As when a machine loses its power: all of its processes at once."""
        if self.process:
            os.killpg(self.pid, SIGKILL)
            self.process.wait()


class Host(Part):
    """A gunicorn with its workers, as one machine has it."""

    def __init__(self, port: int, log: int, environment: Mapping[str, str]) -> None:
        super().__init__("gunicorn", port, log)
        self.environment = {**environment, "HOST": "127.0.0.1", "PORT": str(port)}
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        self.run([sys.executable, *GUNICORN], self.environment, [])

    def is_up(self) -> bool:
        """Up means ready: the database is there, and as this version wants it."""
        with suppress(OSError, urllib.error.URLError), http.open(f"{self.url}/health/ready"):
            return True
        return False


class Machines:
    """`url` is where readers ask, `hosts` who answers, `database_url` how they see PostgreSQL.

    `database` is PostgreSQL's own address (libpq's), `environment` the hosts' settings.
    """

    def __init__(
        self,
        database: str,
        environment: Mapping[str, str],
        log: int,
        *,
        hosts: int = 2,
        port: int | None = None,
        pool_size: int = 20,
    ) -> None:
        if sentence := missing_programs():
            raise NotUp(sentence)
        self.user = server_user()
        self.folder = Path(tempfile.mkdtemp(prefix="chat-machines-"))
        self._hand_over(self.folder)
        self.database = conninfo_to_dict(database)
        self.password = secrets.token_urlsafe()
        self.pool_size = pool_size
        self.pooler = Part("PgBouncer", free_port(), log)
        self.balancer = Part("nginx", port or free_port(), log, ends_by=SIGQUIT)
        self.url = f"http://127.0.0.1:{self.balancer.port}"
        shared = {"SECRET_KEY": secrets.token_urlsafe(50)} | dict(environment)
        shared |= {"DATABASE_URL": self.database_url, "NUM_PROXIES": "1"}
        self.hosts = [Host(free_port(), log, shared) for _ in range(hosts)]

    @property
    def database_url(self) -> str:
        user, name = quote(str(self.database["user"])), quote(str(self.database["dbname"]))
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.pooler.port}/{name}"

    def start(self) -> None:
        self.start_pooler()
        for host in self.hosts:
            host.start()
        self.start_balancer()

    def stop(self) -> None:
        """From the readers on: whoever is being answered still is."""
        for part in (self.balancer, *self.hosts, self.pooler):
            part.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # PgBouncer --------------------------------------------------------------------------------
    def start_pooler(self) -> None:
        users = f'"{self.database["user"]}" "{self.password}"\n'
        self._write("users.txt", users)
        values = {
            "DATABASE_HOST": self.database["host"],
            "DATABASE_PORT": self.database["port"],
            "DATABASE_USER": self.database["user"],
            "LISTEN_HOST": "127.0.0.1",
            "LISTEN_PORT": self.pooler.port,
            "POOL_SIZE": self.pool_size,
        }
        config = self._write("pgbouncer.ini", self._filled("pgbouncer.ini", values))
        self.pooler.run([program("pgbouncer") or "", "--quiet", config], {}, self._as_user())

    # nginx ------------------------------------------------------------------------------------
    def start_balancer(self) -> None:
        config = self._write_balancer_config(without=None)
        command = [program("nginx") or "", "-e", "stderr", "-p", str(self.folder), "-c", config]
        self.balancer.run(command, {}, self._as_user())

    def _write_balancer_config(self, without: Host | None) -> str:
        servers = [
            f"server 127.0.0.1:{host.port} fail_timeout=2s{' down' if host is without else ''};"
            for host in self.hosts
        ]
        values = {"LISTEN": f"127.0.0.1:{self.balancer.port}", "HOSTS": " ".join(servers)}
        return self._write("nginx.conf", self._filled("nginx.conf", values))

    def balance(self, *, without: Host | None = None) -> None:
        """From now on, new requests go to all hosts but one."""
        self._write_balancer_config(without)
        before = self._balancing()
        os.kill(self.balancer.pid, SIGHUP)
        wait_until(lambda: not before & self._balancing(), UP_SECONDS, "nginx reads its file anew")

    def _balancing(self) -> set[str]:
        """nginx' processes that take new connections; a reload replaces them."""
        pid = self.balancer.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = set()
        for child in children:
            with suppress(OSError):
                told = Path(f"/proc/{child}/cmdline").read_text()
                if "worker process" in told and "shutting down" not in told:
                    found.add(child)
        return found

    # Hosts ------------------------------------------------------------------------------------
    def restart_hosts(self) -> None:
        """One after the other, each taken out of the balancer before it is told to end.

        Without that, what waits in the socket of a host that ends is lost.
        """
        for host in self.hosts:
            self.balance(without=host)
            host.stop()
            host.start()
        self.balance()

    # Files that nginx and PgBouncer may read --------------------------------------------------
    def _filled(self, name: str, values: Mapping[str, Any]) -> str:
        template = Template((HERE / name).read_text())
        return template.safe_substitute(values, FOLDER=self.folder)  # nginx' own names stay

    def _write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        self._hand_over(path)
        return str(path)

    def _hand_over(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _as_user(self) -> list[str]:
        if os.geteuid():
            return []
        return [f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
