"""chatbackend.page_limit: few pages are made at once; the others wait in turn, or are refused."""

import asyncio

import pytest

from chatbackend import page_limit
from chatbackend.page_limit import (
    ADMIN_PAGES_AT_ONCE,
    LOG_INS_AT_ONCE,
    OTHER_PAGES_AT_ONCE,
    LimitedPages,
)


class Pages:
    """An application whose pages are finished when a test says so."""

    def __init__(self):
        self.started, self.may_answer, self.may_end = [], asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.started.append(scope["name"])
        await self.may_answer.wait()
        if scope["name"] == "crash":
            raise ValueError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.may_end.wait()
        await send({"type": "http.response.body"})


class Visitors:
    def __init__(self, pages):
        self.limited, self.statuses, self.tasks = LimitedPages(pages), {}, []

    async def arrive(self, *names, path="/admin/", method="GET"):
        for name in names:
            scope = {"path": path, "method": method, "name": name}
            self.tasks.append(asyncio.create_task(self.visit(scope)))
        await self.settle()

    async def visit(self, scope):
        async def send(event):
            if event["type"] == "http.response.start":
                self.statuses[scope["name"]] = event["status"]

        await self.limited(scope, None, send)

    async def settle(self):
        for _ in range(20):
            await asyncio.sleep(0)

    async def leave(self):
        return await asyncio.gather(*self.tasks, return_exceptions=True)


def test_pages_beyond_the_limit_wait_in_turn_until_an_answer_begins():
    async def scenario():
        pages = Pages()
        visitors = Visitors(pages)
        names = list(range(ADMIN_PAGES_AT_ONCE + 3))
        await visitors.arrive(*names)
        assert pages.started == names[:ADMIN_PAGES_AT_ONCE]

        pages.may_answer.set()  # not to the end: their clients read slowly
        await visitors.settle()

        assert pages.started == names
        pages.may_end.set()
        await visitors.leave()
        assert set(visitors.statuses.values()) == {200}

    asyncio.run(scenario())


@pytest.mark.parametrize("path", ["/admin/", "/", "/static/x.css"])
def test_log_ins_keep_nobody_else_waiting(path):
    async def scenario():
        pages = Pages()
        visitors = Visitors(pages)
        await visitors.arrive(*range(50), path="/admin/login/", method="POST")

        await visitors.arrive("other", path=path)

        assert pages.started == [*range(LOG_INS_AT_ONCE), "other"]
        pages.may_answer.set()
        pages.may_end.set()
        await visitors.leave()

    asyncio.run(scenario())


def test_pages_that_are_open_to_all_come_at_a_pace():
    count = 3 * OTHER_PAGES_AT_ONCE

    async def scenario():
        pages = Pages()
        visitors = Visitors(pages)
        await visitors.arrive(*range(count), path="/")
        await asyncio.sleep(0.02)  # as long as the first ones take
        pages.may_answer.set()
        pages.may_end.set()
        await visitors.settle()

        assert len(pages.started) == OTHER_PAGES_AT_ONCE
        await visitors.leave()
        assert len(visitors.statuses) == count

    asyncio.run(scenario())


def test_a_crash_frees_its_place():
    async def scenario():
        pages = Pages()
        pages.may_answer.set()
        pages.may_end.set()
        visitors = Visitors(pages)

        await visitors.arrive(*["crash"] * 20, "page")

        assert visitors.statuses == {"page": 200}
        errors = await visitors.leave()
        assert [type(error) for error in errors] == [ValueError] * 20 + [type(None)]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_WAITING", 1), ("MAX_WAIT_SECONDS", 0.01)], ids=["many", "long"]
)
def test_a_page_that_would_wait_too_long_is_refused(monkeypatch, limit, value):
    monkeypatch.setattr(page_limit, limit, value)

    async def scenario():
        pages = Pages()
        visitors = Visitors(pages)
        await visitors.arrive(*range(ADMIN_PAGES_AT_ONCE + 2))
        await asyncio.sleep(0.1 if limit == "MAX_WAIT_SECONDS" else 0)

        assert visitors.statuses.pop(ADMIN_PAGES_AT_ONCE + 1) == 429
        pages.may_answer.set()
        pages.may_end.set()
        await visitors.leave()
        assert set(visitors.statuses.values()) <= {200, 429}
        assert len(pages.started) >= ADMIN_PAGES_AT_ONCE

    asyncio.run(scenario())
