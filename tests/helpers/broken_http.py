"""What a model's service may send in place of an answer: broken HTTP, and bodies without bounds."""

import gzip
import json
import zlib
from functools import cache

from tests.helpers.scripted_model import Reply

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = OK + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWER = json.dumps(Reply("Hello.").completion("scripted")).encode()

BROKEN: dict[str, list[bytes]] = {
    "nothing": [],
    "another protocol": [b"SSH-2.0-OpenSSH_9.9\r\n"],
    "HTTP/2": [b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" * 3],
    "a TLS alert": [b"\x15\x03\x01\x00\x02\x02\x28"],
    "bytes": [bytes(range(256)) * 4],
    "a line end": [b"\r\n"],
    "half a status line": [b"HTTP/1.1 20"],
    "a status in words": [b"HTTP/1.1 OK fine\r\n\r\n"],
    "a status of two digits": [b"HTTP/1.1 20 OK\r\n\r\n"],
    "a status of four digits": [b"HTTP/1.1 2000 OK\r\n\r\n"],
    "a status of nothing": [b"HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n"],
    "a status beyond all": [b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"],
    "a version of its own": [b"HTTP/7.3 200 OK\r\n\r\n"],
    "a reason that is no text": [b"HTTP/1.1 500 \xff\xfe\r\nContent-Length: 0\r\n\r\n"],
    "half a head": [OK + b"Content-Type: app"],
    "a header without a colon": [OK + b"no header at all\r\n\r\n"],
    "a header with a NUL": [OK + b"X: a\x00b\r\n\r\n"],
    "a header without a name": [OK + b": x\r\n\r\n"],
    "a header that is no text": [OK + b"X-\xff: \xff\r\nContent-Length: 0\r\n\r\n"],
    "a long header": [OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n"],
    "many headers": [OK + b"X: x\r\n" * 100_000 + b"\r\n"],
    "two lengths": [OK + JSON + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello"],
    "a length in words": [OK + JSON + b"Content-Length: some\r\n\r\n"],
    "a negative length": [OK + JSON + b"Content-Length: -5\r\n\r\nhello"],
    "less than promised": [OK + JSON + b"Content-Length: 5000\r\n\r\n" + ANSWER],
    "a bad chunk size": [CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n"],
    "a negative chunk size": [CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"],
    "a huge chunk size": [CHUNKED + b"f" * 40 + b"\r\nhello"],
    "a chunk without its end": [CHUNKED + b"5\r\nhelloworld\r\n0\r\n\r\n"],
    "a cut within a chunk": [CHUNKED + b"ff\r\nhello"],
    "no last chunk": [CHUNKED + b"%x\r\n" % len(ANSWER) + ANSWER],
    "an unknown encoding": [OK + JSON + b"Content-Encoding: br\r\n\r\n" + ANSWER],
    "a false gzip": [OK + JSON + b"Content-Encoding: gzip\r\n\r\n" + ANSWER],
    "half a gzip": [OK + JSON + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(ANSWER)[:20]],
    "a false deflate": [OK + JSON + b"Content-Encoding: deflate\r\n\r\n" + ANSWER],
    "an error that breaks off": [b"HTTP/1.1 500 No\r\nContent-Length: 999\r\n\r\n{"],
    "another protocol is offered": [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"],
    "no content": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "continue, and then nothing": [b"HTTP/1.1 100 Continue\r\n\r\n" * 3],
}


@cache
def bomb(wbits: int, payload: bytes = b" ", size: int = 200 * 2**20) -> list[bytes]:
    """A packed body that is a thousand times as large when it is unpacked."""
    packer = zlib.compressobj(9, wbits=wbits)
    part = payload * (2**20 // len(payload))
    return [packer.compress(part) for _ in range(size // 2**20)] + [packer.flush()]
