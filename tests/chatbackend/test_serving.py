"""How gunicorn's workers share and read what comes."""

import asyncio
import socket
import time
from statistics import median

import pytest

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

    assert median(asyncio.run(bursts())) > CONNECTIONS / 3


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
