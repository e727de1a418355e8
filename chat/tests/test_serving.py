"""How gunicorn's workers share what comes."""

import asyncio
from statistics import median

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
