"""What the tests of pages rest on: nothing that goes wrong in a page passes unnoticed."""

import pytest

from tests.helpers.browser import overflow, serious_problems


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.error('Broken.')", "console: Broken."),
        ("console.warn('Old.')", "console: Old."),
        ("setTimeout(() => { throw Error('Thrown.') })", "page: Thrown."),
        ("alert('Look!')", "dialog: Look!"),
        ("fetch('/nowhere')", "404"),
        ("new Image().src = 'http://tracker.example/a.png'", "tracker.example"),
        ("navigator.sendBeacon('http://192.0.2.1/', 'x')", "192.0.2.1"),
        ("location = 'http://tracker.example/'", "tracker.example"),
        ("new WebSocket('ws://tracker.example/')", "tracker.example"),
    ],
)
def test_an_error_in_a_page_fails_the_test(visit, server, troubles, script, told):
    page = visit(base_url=server.base_url)
    page.goto("/")

    page.evaluate(f"() => {{ {script} }}")
    while not any(told in trouble for trouble in troubles):
        page.wait_for_timeout(50)

    page.wait_for_timeout(200)  # what follows from it
    page.close()
    troubles.clear()


def test_what_axe_finds_fails_the_test(visit):
    page = visit()
    page.set_content("<html lang=en><title>t</title><img src='data:,'><div style='width: 200vw'>x")

    (problem,) = serious_problems(page)

    assert problem.startswith("image-alt: <img")
    assert overflow(page) > 0
