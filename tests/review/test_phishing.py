"""Staff are not phished: only pages of the book are links, anything else shows where it leads."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.models import ChatSession, Message
from review.addresses import is_in_book, shown
from review.markdown import rendered

pytestmark = pytest.mark.django_db
SESSIONS = "/admin/chat/chatsession/"
MARK = '<span class="badge foreign">not in the book</span>'

# What is not in the book (https://book.example), and where a browser would go.
FOREIGN = {
    "another host": ("https://evil.example/chapter-1", "evil.example/chapter-1"),
    "user name": ("https://book.example@evil.example/login", "evil.example/login"),
    "user name and password": ("https://a:b@book.example/1", "book.example/1"),
    "long user name": (f"https://book.example{'%20' * 90}@evil.example/", "evil.example/"),
    "longer name": ("https://book.example.evil.example/1", "book.example.evil.example/1"),
    "subdomain": ("https://evil.book.example/1", "evil.book.example/1"),
    "backslash": ("https://evil.example\\@book.example/", "evil.example/@book.example/"),
    "other port": ("https://book.example:8443/1", "book.example:8443/1"),
    "homograph": ("https://b\u043eok.example/1", "xn--bok-sed.example/1"),
    "address": ("http://2130706433/1", "127.0.0.1/1"),
    "final dot": ("https://book.example./1", "book.example./1"),
    "host in capitals": ("https://EVIL.example/", "evil.example/"),
    "three slashes": ("https:///evil.example/1", "evil.example/1"),
    "one slash": ("https:/book.example/1", "https:/book.example/1"),
    "no slash": ("https:book.example/1", "https:book.example/1"),
    "script": ("javascript:alert(1)", "javascript:alert(1)"),
    "data": ("data:text/html,x", "data:text/html,x"),
}
foreign = pytest.mark.parametrize(("address", "destination"), FOREIGN.values(), ids=FOREIGN)


@pytest.fixture
def ada():
    ChatSession.objects.all().delete()
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


def question(address, passage=""):
    return Message.objects.create(
        session=ChatSession.objects.create(),
        role="user",
        content="What?",
        page_url=address,
        selected_text=passage,
    )


def pages_about(asked):
    yield SESSIONS
    yield f"{SESSIONS}{asked.session_id}/change/"
    yield f"/admin/chat/message/{asked.pk}/change/"


@foreign
@pytest.mark.parametrize("passage", ["", "A node computes."], ids=["page", "passage"])
def test_a_page_outside_the_book_is_marked_and_no_link(ada, address, destination, passage):
    asked = question(address, passage)

    for path in pages_about(asked):
        page = ada.get(path).content.decode().partition('id="content-main"')[2]
        assert f"<bdi>{destination}</bdi> {MARK}" in page, path
        assert "in the book</a>" not in page
        links = re.findall(r'href="([^"]*)"', page)
        assert not [link for link in links if link.startswith(("http", "javascript", "data"))]


@pytest.mark.parametrize(
    "address",
    [
        "https://book.example/1",
        "https://book.example",
        "HTTPS://BOOK.EXAMPLE/1",
        "http://book.example/1#nodes",
        "https://book.example:443/1?x=1",
        "http://localhost:3000/1",
    ],
)
def test_a_page_of_a_front_end_is_a_link(ada, address):
    asked = question(address)

    for path in pages_about(asked):
        page = ada.get(path).content.decode()
        assert f'<a href="{address}" rel="noopener noreferrer">' in page, path
        assert MARK not in page


@foreign
def test_the_insights_link_no_page_outside_the_book(ada, address, destination):
    asked = question(address, "A node computes.")
    Message.objects.create(session=asked.session, role="assistant", content="Yes.", reply_to=asked)

    page = ada.get("/admin/insights/").content.decode()

    assert page.count(MARK) == 2  # the busiest pages, the passages
    links = re.findall(r'href="([^"]*)"', page.partition('id="content-main"')[2])
    assert not [link for link in links if not link.startswith(("?", "/admin/"))]


@foreign
def test_a_link_in_an_answer_shows_its_destination(address, destination):
    html = rendered(f"Read [chapter 1](<{address}>).")

    for link in re.findall('href="([^"]*)"', html):  # escaped by Markdown, which may change it
        isolated = f"<bdi>(→ {shown(link)})</bdi>"  # not turned around by U+202E in front of it
        assert f">chapter 1</a> {isolated}" in html
    if destination == "evil.example/chapter-1":
        assert f"(→ {destination})" in html


def test_a_link_of_an_answer_into_the_book_is_only_a_link():
    html = rendered('Read [chapter 1](https://book.example/1 "https://evil.example").')

    link = 'href="https://book.example/1" rel="noopener noreferrer nofollow"'
    assert html == f"<p>Read <a {link}>chapter 1</a>.</p>\n"


@foreign
def test_addresses_are_read_as_browsers_read_them(address, destination):
    assert not is_in_book(address)
    assert shown(address) == destination


@pytest.mark.parametrize("named", ["BOOK_URL", "BOOK_SOURCE"])
def test_the_pages_of_the_indexed_book_are_in_the_book(named, settings):
    settings.BOOK_SOURCE = "docs"
    assert not is_in_book("https://bees.example/1")

    setattr(settings, named, "https://bees.example/")

    assert is_in_book("https://bees.example/1")
    assert not is_in_book("https:///docs")
