"""What is not HTTP, or breaks off: a failure like any other, tried again and handed on."""

import gzip
import socket
import threading
import zlib

import pytest

from llm.errors import ModelUnavailable
from tests.helpers.broken_http import ANSWER, BROKEN, CHUNKED, JSON, OK
from tests.helpers.scripted_model import Reply, chunk, frames


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_broken_http_is_tried_again_and_handed_to_the_next(model, ask, fallback, raw):
    model.says(Reply(raw=raw))
    fallback.says("From the other one.")

    assert ask().text == "From the other one."
    assert len(model.requests) >= 2  # a try may be spent on a connection that was just closed


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_broken_http_without_another_is_an_unavailable_model(model, ask, raw):
    model.says(Reply(raw=raw))

    with pytest.raises(ModelUnavailable):
        ask()


def test_http_that_mends_itself_is_answered(model, ask):
    model.says(Reply(raw=[b"garbage"]), "There it is.")

    assert ask().text == "There it is."


def test_a_server_that_speaks_no_tls_is_unavailable(model, complete, settings):
    settings.OPENAI_BASE_URL = model.base_url.replace("http:", "https:")

    with pytest.raises(ModelUnavailable):
        complete()


def test_a_refused_connection_says_so_in_the_log(ask, settings, nobody_listens, logged):
    settings.OPENAI_BASE_URL = nobody_listens

    with pytest.raises(ModelUnavailable):
        ask()

    assert "ClientConnectorError: Cannot connect to host 127.0.0.1" in "\n".join(logged)


def test_a_connection_that_is_reset_is_unavailable(ask, settings):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        threading.Thread(target=reset_all, args=(listening,), daemon=True).start()

        with pytest.raises(ModelUnavailable):
            ask()


def reset_all(listening):
    for _ in range(3):
        connection, _ = listening.accept()
        connection.recv(100)
        now = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        connection.close()


@pytest.mark.parametrize(
    "raw",
    [
        [b"HTTP/1.1 100 Continue\r\n\r\n" + OK + JSON + b"\r\n" + ANSWER],
        [b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER],
        [b"HTTP/1.1 201 Created\r\n" + JSON + b"\r\n" + ANSWER],
        [OK + b"\r\n" + ANSWER],
        [OK + b"Content-Type: nonsense\r\n\r\n" + ANSWER],
        [OK + b"Content-Encoding: \r\n\r\n" + ANSWER],
        [OK + b"Content-Encoding: identity\r\n\r\n" + ANSWER],
        [CHUNKED + b"%x;ext=1\r\n" % len(ANSWER) + ANSWER + b"\r\n0\r\nTrailer: x\r\n\r\n"],
        [CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in ANSWER) + b"0\r\n\r\n"],
        [OK + b"\r\n", *(b"%c" % byte for byte in ANSWER)],
    ],
)  # fmt: skip
def test_unusual_http_is_understood(model, ask, raw):
    model.says(Reply(raw=raw))

    assert ask().text == "Hello."


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED = {
    "gzip": gzip.compress(ANSWER),
    "x-gzip": gzip.compress(ANSWER),
    "GZip": gzip.compress(ANSWER),
    "deflate": zlib.compress(ANSWER),
    "deflate ": raw_deflate(ANSWER),
    "gzip, gzip": gzip.compress(gzip.compress(ANSWER)),
    "deflate, gzip": gzip.compress(zlib.compress(ANSWER)),
    "gzip ": gzip.compress(ANSWER[:10]) + gzip.compress(ANSWER[10:]),
}


@pytest.mark.parametrize(("encoding", "body"), PACKED.items())
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_packed_answer_is_unpacked_though_nobody_asked_for_it(model, ask, encoding, body, size):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    model.says(Reply(pieces=pieces, headers={"Content-Encoding": encoding}))

    assert ask().text == "Hello."


def test_a_packed_stream_comes_as_it_is_sent(model, stream, asked):
    packer = zlib.compressobj(wbits=31)
    parts = [frames(chunk(text), done=False).body for text in ("Hel", "lo.")]
    parts.append(b"data: [DONE]\n\n")
    pieces = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    model.says(Reply(pieces=pieces, headers={"Content-Encoding": "gzip"}, gap=0.05))

    assert stream().text == "Hello."
    assert asked.deltas == ["Hel", "lo."]


def test_a_packed_error_is_read(model, ask):
    body = gzip.compress(b'{"error": {"message": "No such thing.", "code": "nothing"}}')
    model.says(Reply(status=400, body=body, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(ModelUnavailable, match="400 nothing No such thing"):
        ask()
