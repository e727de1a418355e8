"""What a connection may send, hold and wait for: spoken to by sockets, as attackers do."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress

import httpx2
import pytest

from chatbackend import body_limit
from tests.helpers.scripted_model import Reply
from tests.helpers.server import Server
from tests.helpers.waiting import eventually

BOOK = b"Origin: http://localhost:3000\r\n"
HOST = b"Host: localhost\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n" + HOST
CHUNKED = (
    b"POST /chat HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    + HOST
    + BOOK
)
CONFINED = "tests/helpers/gunicorn_confined.py"


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def everything(sock):
    """What comes until the server ends the connection."""
    content = b""
    with suppress(ConnectionResetError):
        while data := sock.recv(65536):
            content += data
    return content


def sent(server, *parts, pause=0.0):
    """The answer to what is sent in these parts; what the server no longer takes is not sent."""
    with connect(server) as sock:
        with suppress(ConnectionError):
            for part in parts:
                sock.sendall(part)
                time.sleep(pause)
        return everything(sock)


def check_refusal(answer, status=400, code="bad_request", *, cors=True):
    """One answer, a problem document, with all that answers carry."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    problem = json.loads(body)
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == headers["x-request-id"]
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["cache-control"] == "no-store"
    if cors:
        assert headers["access-control-allow-origin"] == "http://localhost:3000"
    return problem["request_id"]


# What it may send ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    "head",
    [
        HEALTH + BOOK + b"no header\r\n\r\n",
        HEALTH + BOOK + b"X: " + b"x" * 40_000 + b"\r\n\r\n",
        HEALTH + BOOK + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n",
        HEALTH + BOOK + b"X: x\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n" + HOST + BOOK + b"\r\n",
        b"GET http://localhost:123456/ HTTP/1.1\r\n" + HOST + BOOK + b"\r\n",
        b"POST /chat HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + BOOK + b"\r\nx",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + BOOK + b"\r\n",
    ],
    ids=["line", "large", "larger", "many", "path", "port", "lengths", "connect"],
)
def test_a_head_that_is_not_accepted_is_answered_with_a_problem(server, head):
    request_id = check_refusal(sent(server, head))

    (line,) = [json.loads(line) for line in server.log.splitlines() if request_id in line]
    assert (line["status"], line["code"]) == (400, "bad_request")
    assert line["reason"]


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00 TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n" * 20_000]
)
def test_what_is_no_request_is_answered_with_a_problem(server, start):
    check_refusal(sent(server, start), cors=False)


def test_the_largest_head_of_a_browser_is_accepted(server):
    cookies = b"Cookie: " + b"x" * 16_000 + b"\r\n"
    others = b"".join(b"X-Header-%d: %s\r\n" % (n, b"y" * 80) for n in range(60))

    assert sent(server, HEALTH + cookies + others + b"Connection: close\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )


@pytest.mark.parametrize(
    "parts",
    [
        [b"5\r\nabcde\r\nno size\r\n"],
        [b"2\r\n{}\r\n0\r\nX: ", *[b"x" * 10_000] * 30],
        [b"2\r\n{}\r\n0\r\n", *[b"X: y\r\n" * 1000] * 30],
        [b"2;", *[b"x" * 10_000] * 30],
        [b"2\r\n{}\r\n", *[b"1;" + b"x" * 10_000, b"x" * 10_000] * 30],
    ],
    ids=["size", "trailer", "trailers", "extension", "extensions"],
)
def test_what_frames_a_body_is_bounded(server, model, parts):
    answer = sent(server, CHUNKED + b"\r\n", *parts, pause=0.01)

    check_refusal(answer)
    assert model.requests == []


@pytest.mark.parametrize("pause", [0, 0.1])
def test_a_trailer_is_no_header(server, model, pause):
    """Whether or not it comes together with the head."""
    body = b'{"message": "What?"}'
    trailers = b"Idempotency-Key: trailed\r\nX-Request-ID: trailed\r\nHost: evil.example\r\n"
    answers = [
        sent(
            server,
            CHUNKED + b"Connection: close\r\n\r\n",
            b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers),
            pause=pause,
        )
        for _ in range(2)
    ]

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert not any(b"trailed" in answer for answer in answers)
    assert len(model.requests) == 2


def test_requests_that_do_not_wait_for_answers_are_bounded(server):
    answers = sent(server, (HEALTH + b"\r\n") * 1000)

    count = answers.count(b"HTTP/1.1 200")
    assert 1 < count < 40
    check_refusal(answers[answers.rindex(b"HTTP/1.1 ") :], cors=False)


def test_a_few_requests_that_do_not_wait_are_answered_in_order(server):
    requests = [
        b"GET /health%d HTTP/1.1\r\nX-Request-ID: n%d\r\n%s" % (n, n, HOST) for n in range(9)
    ]
    answers = sent(
        server,
        b"".join(each + b"\r\n" for each in requests) + HEALTH + b"Connection: close\r\n\r\n",
    )

    ids = [line for line in answers.split(b"\r\n") if line.startswith(b"x-request-id: n")]
    assert ids == [b"x-request-id: n%d" % n for n in range(9)]
    assert answers.endswith(b'{"status":"healthy"}')


def test_what_follows_a_running_answer_and_is_no_request_ends_the_connection_after_it(
    server, model
):
    model.says(Reply("One two three.", gap=0.2))
    body = b'{"message": "?", "stream": true}'
    head = b"POST /chat HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(
        body
    )

    answers = sent(server, head + HOST + b"\r\n" + body, b"\x00nonsense\r\n\r\n", pause=0.1)

    assert answers.count(b"HTTP/1.1 ") == 2
    assert answers.index(b"[DONE]") < answers.index(b"HTTP/1.1 400")


@pytest.mark.parametrize("path", [b"/chat", b"/nowhere"])
def test_a_body_without_end_is_answered_and_not_read_on(server, path):
    head = (
        b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n"
        % path
    )
    begin = time.monotonic()

    answer = sent(server, head + HOST + BOOK + b"\r\n", *[b"x" * 500_000] * 100)

    if path == b"/chat":
        check_refusal(answer, 413, "payload_too_large")
    else:
        check_refusal(answer, 404, "not_found")
    assert time.monotonic() - begin < 10


def test_large_bodies_are_parsed_one_after_the_other_at_a_pace():
    size = 4 * body_limit.LARGE_BYTES

    async def take(size):
        async def receive():
            return {"type": "http.request", "body": b"x" * size, "more_body": False}

        await body_limit.with_whole_body({}, receive)

    async def seconds(size, count):
        begin = time.monotonic()
        await asyncio.gather(*[take(size) for _ in range(count)])
        return time.monotonic() - begin

    assert asyncio.run(seconds(size, 4)) >= 4 * size / body_limit.LARGE_BYTES_PER_SECOND
    assert asyncio.run(seconds(body_limit.LARGE_BYTES, 64)) < 0.5


# What Django cannot make a request of -------------------------------------------------------
@pytest.mark.parametrize("path", ["/chat", "/admin/login/", "/", "/nowhere"])
def test_a_content_type_of_any_length_is_answered_with_a_problem(client, path):
    headers = {
        "Content-Type": "application/json" + ";a=b" * 5000,
        "Origin": "http://localhost:3000",
    }

    answer = client.post(path, content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


@pytest.mark.parametrize("path", ["/chat/x", "/health", "/nowhere", "/admin/login/"])
def test_a_query_with_too_many_fields_is_answered_with_a_problem(client, path):
    answer = client.get(f"{path}?{'a=1&' * 1000}a=1")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_cookie_with_nul_is_answered_with_a_problem(client):
    answer = client.get("/admin/", headers={"Cookie": r'sessionid="\000aaaaaaaaaaaa"'})

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


# How long it may take -----------------------------------------------------------------------
def seconds_until_closed(sock, trickle=b""):
    begin = time.monotonic()
    sock.settimeout(0.3)
    while time.monotonic() - begin < 15:
        try:
            if trickle:
                sock.sendall(trickle)
            if not sock.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begin


@pytest.mark.parametrize(
    ("beginning", "trickle", "least", "most"),
    [
        (b"", b"", 1, 10),
        (b"", b"\r\n", 1, 10),
        (b"GET /health HTTP/1.1\r\nX: ", b"x", 1, 10),
        (CHUNKED + b"\r\n", b"1\r\n \r\n", 2, 12),
        (CHUNKED + b"\r\n1\r\n \r\n0\r\nX: ", b"x", 2, 12),
        (HEALTH + b"\r\n", b"", 2.5, 12),
        (HEALTH + b"\r\n", b"\r\n", 2.5, 12),
    ],
    ids=["silent", "blank-lines", "head", "body", "trailer", "kept", "kept-blank-lines"],
)
def test_a_client_that_takes_too_long_is_let_go(hasty, beginning, trickle, least, most):
    with connect(hasty) as sock:
        sock.sendall(beginning)

        assert least < seconds_until_closed(sock, trickle) < most


@pytest.mark.parametrize(
    "beginning", [b"GET /health HTTP/1.1\r\n" + BOOK, CHUNKED + b"\r\n1\r\n{\r\n"]
)
def test_half_a_request_is_answered_before_it_is_let_go(hasty, beginning):
    check_refusal(sent(hasty, beginning), 408, "request_timeout")


def test_an_answer_that_is_not_read_is_let_go_with_its_memory(hasty, model):
    model.says(Reply("x" * 3_000_000))
    body = b'{"message": "?"}'
    head = b"POST /chat HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(
        body
    )

    with connect(hasty) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(head + HOST + b"\r\n" + body)
        (worker,) = hasty.workers()
        eventually(lambda: connections(worker, hasty.port) > 0)
        eventually(lambda: connections(worker, hasty.port) == 0, 15)


def connections(worker, port):
    return sum(
        each.laddr.port == port and bool(each.raddr) for each in worker.net_connections("tcp")
    )


def test_a_long_answer_that_is_read_slowly_is_not_cut(hasty, model):
    model.says(Reply("One two three four five six.", gap=0.8))

    with httpx2.stream(
        "POST", f"{hasty.base_url}/chat", json={"message": "?", "stream": True}
    ) as answer:
        content = answer.read().decode()

    assert content.endswith("data: [DONE]\n\n")


# How many there may be ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "beginning", [b"", b"GET /health HTTP/1.1\r\n", CHUNKED + b"\r\n1\r\n{\r\n"]
)
def test_connections_that_wait_leave_room_for_newcomers(hasty, beginning):
    with ExitStack() as stack:
        for _ in range(60):
            sock = stack.enter_context(connect(hasty))
            sock.sendall(beginning)
        begin = time.monotonic()
        answers = [httpx2.get(f"{hasty.base_url}/health").status_code for _ in range(5)]
        took = time.monotonic() - begin

    assert answers == [200] * 5
    assert took < 5


def test_a_newcomer_beyond_the_number_is_told_to_come_back(hasty, model):
    """Where all others are being answered."""
    model.says(Reply("One two.", hold_after=1))
    body = b'{"message": "?", "stream": true}'
    head = b"POST /chat HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(
        body
    )
    with ExitStack() as stack:
        streams = [stack.enter_context(connect(hasty)) for _ in range(30)]
        for sock in streams:
            sock.sendall(head + HOST + b"\r\n" + body)
        for sock in streams:
            assert sock.recv(100).startswith(b"HTTP/1.1 ")

        refused = sent(hasty)

    check_refusal(refused, 503, "unavailable", cors=False)
    assert b"\r\nretry-after: 1\r\n" in refused


def test_a_worker_takes_fewer_connections_than_it_has_descriptors(environment, tmp_path):
    server = Server(tmp_path / "log", environment | {"WEB_CONCURRENCY": "1"}, CONFINED)
    try:
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(connect(server))
            assert httpx2.get(f"{server.base_url}/health").status_code == 200
            (worker,) = server.workers()
            assert connections(worker, server.port) <= 60
    finally:
        server.stop()
    assert "Too many open files" not in server.log


# When a worker ends -------------------------------------------------------------------------
@pytest.mark.parametrize(
    "beginning", [b"", b"GET /health HTTP/1.1\r\n", CHUNKED + b"\r\n1\r\n{\r\n", HEALTH + b"\r\n"]
)
def test_what_clients_hold_open_does_not_delay_the_end(start_hasty, beginning):
    server = start_hasty()
    with connect(server) as sock:
        sock.sendall(beginning)
        if beginning.endswith(b"\r\n\r\n") and beginning.startswith(b"GET"):
            sock.recv(1000)
        time.sleep(0.2)
        begin = time.monotonic()

        assert server.stop() in (0, -15)

    assert time.monotonic() - begin < 15


def test_a_restart_of_the_workers_loses_no_connection(serve):
    """New connections, kept ones that are used all the time, and one now and then."""
    server = serve(WEB_CONCURRENCY="2")
    failed, counts, is_over = [], [0, 0, 0], threading.Event()

    def ask(kind, pause):
        with httpx2.Client(base_url=server.base_url, timeout=30) as kept:
            get = httpx2.get if kind == 0 else kept.get
            while not is_over.wait(pause):
                try:
                    status = get(f"{server.base_url}/health").status_code
                except httpx2.TransportError as error:
                    failed.append(repr(error))
                else:
                    assert status == 200
                    counts[kind] += 1

    kinds = [(0, 0), (1, 0), (1, 0.01), (2, 0.3), (2, 0.5)]
    threads = [threading.Thread(target=ask, args=each) for each in kinds]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(1)
        restart_workers(server)
    is_over.set()
    for thread in threads:
        thread.join()

    assert failed == []
    assert min(counts) > 1


def restart_workers(server):
    before = {worker.pid for worker in server.workers()}
    os.kill(server.process.pid, signal.SIGHUP)
    eventually(lambda: not before & {worker.pid for worker in server.workers()}, 60)
