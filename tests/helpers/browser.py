"""A pytest plugin: pages in a real Chromium, where whatever goes wrong fails the test.

Playwright's loop runs in the thread of the tests for as long as there is a browser, and Django
refuses queries there: `elsewhere` makes them in another thread. The loop would be in the way of
later tests of other files, hence one browser for each file (and process), not for the whole run.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# Chromium would load pages of its own beside each of ours, to be ready for an address bar that
# nobody sees, and keep a spare process: more than half of what a page costs.
UNUSED_FEATURES = ["SpareRendererForSitePerProcess", "WebUIOmniboxAimPopup", "WebUIOmniboxPopup"]
# Those that Playwright turns off; its switch does not count where there is one of ours.
PLAYWRIGHTS_UNUSED_FEATURES = [
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
]
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(UNUSED_FEATURES + PLAYWRIGHTS_UNUSED_FEATURES)}",
]
ELSEWHERE = re.compile(r"^(?!https?://(127\.0\.0\.1|localhost)[:/])")  # all but this machine
SECONDS = 10


@pytest.fixture(scope="module")
def browser(environment: dict[str, str]) -> Iterator[Browser]:
    # After `environment`, whose database is made in this thread.
    if not CHROMIUM:
        pytest.skip("Chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> Iterator[list[str]]:
    """What went wrong in the pages. A test that expects some looks at them and clears them."""
    troubles: list[str] = []
    yield troubles
    assert troubles == []


@pytest.fixture
def visit(browser: Browser, troubles: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens the empty page of a new visitor; `options` are Playwright's of a context."""
    with ExitStack() as stack:

        def visiting(**options: Any) -> Page:
            context = browser.new_context(service_workers="block", **options)
            stack.callback(context.close)
            context.set_default_timeout(SECONDS * 1000)
            watch(context, troubles)
            return context.new_page()

        yield visiting


def watch(context: BrowserContext, troubles: list[str]) -> None:
    def failed(request: Request) -> None:
        # Who goes on before a page is there ends its loading, and a file taken out its navigation;
        # what scripts ask for is to arrive.
        left = request.failure == "net::ERR_ABORTED"
        if not left or request.resource_type in ("fetch", "xhr", "eventsource"):
            troubles.append(f"{request.failure}: {request.url}")

    def leave(route: Route) -> None:
        troubles.append(f"leaves this machine: {route.request.url}")
        route.abort()

    def opened(dialog: Any) -> None:
        troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            troubles.append(f"console: {message.text}")

    context.on("console", said)
    context.on("weberror", lambda error: troubles.append(f"page: {error.error}"))
    context.on("dialog", opened)
    context.on("requestfailed", failed)
    context.route(ELSEWHERE, leave)


def serious_problems(page: Page) -> list[str]:
    """What axe finds to keep people out: each a rule with the elements that break it."""
    # A colour on its way to another is none that anyone reads.
    page.evaluate("document.getAnimations().forEach(animation => animation.finish())")
    found = Axe().run(page).response["violations"]
    return [
        f"{problem['id']}: {node['html']} ({node['failureSummary']})"
        for problem in found
        if problem["impact"] in ("serious", "critical")
        for node in problem["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window, once what scripts draw fits it."""
    pixels: int = page.evaluate("""async () => {
            for (const frame of [1, 2, 3, 4]) await new Promise(requestAnimationFrame);
            return document.documentElement.scrollWidth - innerWidth;
        }""")
    return pixels


def elsewhere[T](work: Callable[[], T]) -> T:
    """Done in a thread of its own, for queries."""

    def working() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(working).result()


def log_in(page: Page, username: str, password: str) -> None:
    """By the form, from the admin's door to its index."""
    page.goto("/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")
    page.wait_for_url(re.compile(r"^[^?]*/admin/$"))  # the form's own ends with ?next=/admin/
