"""How gunicorn's workers share and read what comes."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from statistics import median

import httpx2
import pytest

from tests.helpers.server import CHECKOUT, GUNICORN, free_port
from tests.helpers.waiting import eventually

BURSTS, CONNECTIONS = 9, 32


async def fewest(server):
    """Of connections that come at once and stay: how many the worker has that got the fewest."""

    async def connection():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"}")
        return writer

    writers = await asyncio.gather(*[connection() for _ in range(CONNECTIONS)])
    try:
        return min(connections(worker, server.port) for worker in server.workers())
    finally:
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.2)


def connections(worker, port):
    return sum(each.laddr.port == port for each in worker.net_connections("tcp") if each.raddr)


def test_connections_that_come_at_once_are_shared_by_the_workers(serve):
    server = serve(WEB_CONCURRENCY="2")

    async def bursts():
        return [await fewest(server) for _ in range(BURSTS)]

    assert median(asyncio.run(bursts())) > CONNECTIONS / 5  # else one takes nearly all


UPGRADE = b"Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
HIDDEN = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("pause", [0, 0.2])
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /chat HTTP/1.1\r\nContent-Length: %d\r\n" % len(HIDDEN), b"400"),
        (b"POST /chat HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\n", b"200"),
    ],
)
def test_what_follows_a_wish_for_another_protocol_is_no_request(server, head, status, pause):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(head + UPGRADE + b"\r\n")
        time.sleep(pause)
        client.sendall(HIDDEN)
        answers = b""
        while more := received(client):
            answers += more

    assert answers.startswith(b"HTTP/1.1 " + status)
    assert answers.count(b"HTTP/1.1") == 1


def received(client):
    try:
        return client.recv(4096)
    except ConnectionResetError:  # by a server that has not read everything
        return b""


# Where it listens and what it writes --------------------------------------------------------
def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@contextmanager
def started(command, environment, log):
    """A server that the usual `Server` cannot start; ended by its id."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=os.environ | environment, stdout=output, stderr=output
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def health_at(url):
    try:
        return httpx2.get(f"{url}/health").json()
    except httpx2.TransportError:
        return None


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(("host", "shown"), [("::", "localhost"), ("[::1]", "[::1]")])
def test_an_ipv6_host_is_listened_on_and_shown_as_an_address(environment, tmp_path, host, shown):
    port = free_port()
    log = tmp_path / "log"

    with started(GUNICORN, environment | {"HOST": host, "PORT": str(port)}, log):
        assert eventually(lambda: health_at(f"http://[::1]:{port}"), 60) == {"status": "healthy"}
        eventually(lambda: f"The page is at http://{shown}:{port}/" in log.read_text())


READ_ONLY = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
# The root file system becomes read-only, and so do the usual folders for temporary files where they
# are file systems of their own.
REMOUNT = "for each in / /tmp /var/tmp; do mount -o remount,bind,ro $each 2>/dev/null; done; "


def may_make_a_root_read_only():
    command = [*READ_ONLY, f"{REMOUNT} ! touch /read-only 2>/dev/null"]
    return bool(shutil.which("unshare")) and subprocess.run(command, check=False).returncode == 0


@pytest.mark.skipif(not may_make_a_root_read_only(), reason="needs user namespaces (unshare)")
def test_nothing_but_shared_memory_need_be_writable(environment, tmp_path):
    """As in a container with a read-only root file system."""
    port = free_port()
    settings = {"PORT": str(port), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    command = [*READ_ONLY, f'{REMOUNT} exec "$@"', "sh", *GUNICORN]

    with started(command, environment | settings, tmp_path / "log"):
        health = eventually(lambda: health_at(f"http://127.0.0.1:{port}"), 60)

    assert health == {"status": "healthy"}
