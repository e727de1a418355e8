"""The attacks, each by a process of its own (`python -m benchmarks.attack.scenarios NAME`).

It says that it is ready, reads its `Target` as JSON, attacks until the time is over, and writes how
many answers of each status it got. It runs at low priority: what is measured is the server's work,
not its own.
"""

import asyncio
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Set
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from benchmarks.attack.model import FAILURES, FLOODS
from benchmarks.attack.wire import Connection, Outcomes, Target, at_once, hammer, question, request

NICENESS = 10
CHUNKED = request("POST", "/chat", "Content-Type: application/json", "Transfer-Encoding: chunked")
TRAILER = CHUNKED + b"2\r\n{}\r\n0\r\nX: "
SESSIONS = "/admin/chat/chatsession/"
RATE = 30  # CHAT_RATE's default, in a minute
MEGABYTES = 300


async def endless_trailers(target: Target) -> Outcomes:
    async def flood(_: int) -> Outcomes:
        outcomes: Outcomes = Counter()
        while target.is_open:
            async with Connection(target) as connection:
                outcomes[await _flooded(connection, TRAILER)] += 1
        return outcomes

    return await at_once(4, flood)


async def _flooded(connection: Connection, beginning: bytes) -> str:
    try:
        await connection.send(beginning)
        for _ in range(16 * MEGABYTES):
            await connection.send(b"x" * 2**16)
    except OSError:
        return "closed"
    return "taken"


async def trickled_trailers(target: Target) -> Outcomes:
    return await _trickled(target, 50, TRAILER, b"xxxxx")


async def _trickled(target: Target, count: int, beginning: bytes, drop: bytes) -> Outcomes:
    """50 bytes a second where `drop` has five."""

    async def trickle(_: int) -> Outcomes:
        async with Connection(target) as connection:
            try:
                await connection.send(beginning)
                while target.is_open:
                    await connection.send(drop)
                    await asyncio.sleep(0.1)
            except OSError:
                return Counter(["closed"])
        return Counter(["open"])

    return await at_once(count, trickle)


async def headers_in_trailers(target: Target) -> Outcomes:
    """More questions than the rate allows, each with the address of another client behind it."""
    outcomes: Outcomes = Counter()
    body = b'{"message": "What is a node?"}'
    async with Connection(target) as connection:
        for number in range(45):
            trailers = f"X-Forwarded-For: 10.1.2.{number}\r\nHost: evil.example\r\n\r\n"
            sent = CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(body), body) + trailers.encode()
            outcomes[await connection.ask(sent)] += 1
    await target.rest()
    return outcomes


async def history(target: Target) -> Outcomes:
    return await hammer(target, 64, [request("GET", f"/chat/{target.emoji_session}?limit=200")])


async def unread_history(target: Target) -> Outcomes:
    async def stare(_: int) -> Outcomes:
        async with Connection(target) as connection:
            await connection.open(receive_buffer=4096)
            await connection.send(request("GET", f"/chat/{target.emoji_session}?limit=200"))
            await target.rest()
        return Counter(["unread"])

    return await at_once(40, stare)


async def log_ins(target: Target) -> Outcomes:
    """120 at once, with a name and an address of its own each."""
    token = "a" * 32

    async def guess(number: int) -> Outcomes:
        form = {"username": f"{number} {uuid4()}", "password": "guess"}
        body = urlencode(form | {"csrfmiddlewaretoken": token}).encode()
        headers = ("Content-Type: application/x-www-form-urlencoded", f"Cookie: csrftoken={token}")
        client = f"X-Forwarded-For: 10.3.{os.getpid() % 250}.{number}"
        async with Connection(target) as connection:
            sent = request("POST", "/admin/login/", client, *headers, body=body)
            return Counter([await connection.ask(sent)])

    return await at_once(120, guess)


async def session_list(target: Target) -> Outcomes:
    """As staff see it, with a session of 130,000 questions."""
    paths = (
        SESSIONS,
        f"{SESSIONS}?failed=yes",
        f"{SESSIONS}?disliked=yes",
        f"{SESSIONS}?q=question",
    )
    return await hammer(target, 2, [request("GET", path, target.cookie) for path in paths])


async def broken_answers(target: Target) -> Outcomes:
    names = list(FAILURES)
    return await _asked(target, 8, names, len(names))


async def endless_answers(target: Target) -> Outcomes:
    return await _asked(target, 6, FLOODS, 10 * len(FLOODS))


async def _asked(target: Target, at_most: int, names: list[str], count: int) -> Outcomes:
    """So many hostile answers, plain and streamed in turn, by another client each."""
    left = iter(range(count))

    async def ask(_: int) -> Outcomes:
        outcomes: Outcomes = Counter()
        for number in left:
            client = f"X-Forwarded-For: 10.2.{os.getpid() % 250}.{number}"
            text = f"hostile {names[number % len(names)]}."
            is_streamed = number // len(names) % 2 == 1
            async with Connection(target) as connection:
                sent = question(text, client, stream=is_streamed)
                outcomes[await connection.ask(sent)] += 1
            if not target.is_open:
                break
        return outcomes

    return await at_once(at_most, ask)


async def silent_connections(target: Target) -> Outcomes:
    """3,000 that wait: for nothing, with half a head, half a body, after an answer."""
    beginnings = [b"", b"GET /health HTTP/1.1\r\nX: ", CHUNKED + b"1\r\n{\r\n"]
    beginnings.append(request("GET", "/health"))

    async def wait(number: int) -> Outcomes:
        async with Connection(target) as connection:
            await connection.send(beginnings[number % len(beginnings)])
            await target.rest()
        return Counter(["open"])

    return await at_once(3000, wait)


async def slow_bodies(target: Target) -> Outcomes:
    return await _trickled(target, 200, CHUNKED, b"1\r\n \r\n")


async def open_pages(target: Target) -> Outcomes:
    paths = ("/openapi.json", "/health/ready", "/docs", "/widget.js", "/")
    return await hammer(target, 8, [request("GET", path) for path in paths])


async def refusals(target: Target) -> Outcomes:
    """With a key and without; what was answered under that key is answered again, for a while."""
    key = "Idempotency-Key: the-same-each-time"
    return await hammer(target, 8, [question("Am I?"), question("Am I refused?", key)])


async def other_calls(target: Target) -> Outcomes:
    """Stops, ratings and deletions of sessions that there are not."""
    path = f"/chat/{uuid4()}"
    kind = "Content-Type: application/json"
    rating = request("PUT", f"{path}/messages/{uuid4()}/feedback", kind, body=b'{"rating": "up"}')
    return await hammer(
        target, 8, [request("POST", f"{path}/stop", body=b""), rating, request("DELETE", path)]
    )


async def bad_requests(target: Target) -> Outcomes:
    """What is refused before anything is stored."""
    kind = "Content-Type: application/json"
    nested = b'{"message": ' + b"[" * 100_000
    many = b'{"message": 1, ' + b",".join(b'"%d": 1' % n for n in range(20_000)) + b"}"
    unseen = '{{"selected_text": "{}"}}'.format("\ufff8" * 100_000).encode()
    fields = "&".join(f"a{n}=1" for n in range(999))
    return await hammer(
        target,
        4,
        [
            request("POST", "/chat", kind, body=nested),
            request("POST", "/chat", kind, body=many),
            request("POST", "/chat", kind, body=unseen),
            request("POST", "/chat", kind, body=json.dumps({"message": "\ud800"}).encode()),
            request("GET", f"/chat/{uuid4()}?{fields}"),
            request("GET", "/" + "x/" * 10_000),
            request("OPTIONS", "/chat", "Origin: http://evil.example"),
        ],
    )


# What is attacked by what -------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Scenario:
    """`allowed` are the outcomes that it may have; `at_most` limits how often one may come."""

    told: str
    attack: Callable[[Target], Coroutine[Any, Any, Outcomes]]
    allowed: Set[str]
    at_most: tuple[str, int] = ("", 0)

    @property
    def name(self) -> str:
        return self.attack.__name__.replace("_", "-")

    def amiss(self, outcomes: Outcomes) -> list[str]:
        found = [
            f"{count} times {outcome}"
            for outcome, count in outcomes.items()
            if outcome not in self.allowed
        ]
        outcome, most = self.at_most
        if outcomes[outcome] > most > 0:
            found.append(f"{outcomes[outcome]} times {outcome}, not {most}")
        return found


SCENARIOS = [
    Scenario("a trailer of 300 MB, on 4 connections", endless_trailers, {"closed"}),
    Scenario("trailers of 50 bytes a second, on 50", trickled_trailers, {"open", "closed"}),
    Scenario(
        "`X-Forwarded-For` and `Host` in trailers, beyond the rate",
        headers_in_trailers,
        {"200", "429"},
        ("200", RATE),
    ),
    Scenario("64 read a session of 3 MB of emoji", history, {"200", "429"}),
    Scenario("40 ask for that and do not read", unread_history, {"unread"}),
    Scenario("120 log-ins at once", log_ins, {"200", "429"}),
    Scenario("staff list a session of 130,000 questions, on 2 connections", session_list, {"200"}),
    Scenario("a model that speaks no HTTP, or broken HTTP", broken_answers, {"502", "504"}),
    Scenario(
        "a model without end: gzip bombs, lines, events", endless_answers, {"200", "502", "504"}
    ),
    Scenario("3,000 connections that wait", silent_connections, {"open"}),
    Scenario("200 slow bodies", slow_bodies, {"open", "closed"}),
    Scenario("`/openapi.json`, `/health/ready` and pages, on 8", open_pages, {"200"}),
    Scenario("questions beyond the rate, new and repeated, on 8", refusals, {"200", "409", "429"}),
    Scenario("stops, ratings and deletions, on 8", other_calls, {"404", "429"}),
    Scenario("invalid requests, on 4", bad_requests, {"400", "404", "405", "413", "422", "429"}),
]


def main() -> None:
    (scenario,) = (each for each in SCENARIOS if each.name == sys.argv[1])
    os.nice(NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("ready", flush=True)
    target = Target(**json.load(sys.stdin))
    json.dump(asyncio.run(scenario.attack(target)), sys.stdout)


if __name__ == "__main__":
    main()
