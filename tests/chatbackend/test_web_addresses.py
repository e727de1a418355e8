"""FRONTEND_URL, ALLOWED_HOSTS and HOST, as browsers, Django and sockets write them."""

import pytest

from chatbackend import environment
from chatbackend.gunicorn import shown_host
from chatbackend.web_addresses import host_of, origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://book.example", "https://book.example"),
        ("https://book.example/", "https://book.example"),
        ("https://Book.Example/path?query#part", "https://book.example"),
        ("HTTPS://book.example", "https://book.example"),
        ("https://book.example:443", "https://book.example"),
        ("http://book.example:80", "http://book.example"),
        ("http://book.example:443", "http://book.example:443"),
        ("https://book.example:", "https://book.example"),
        ("https://book.example.", "https://book.example."),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example:8443/", "https://xn--bcher-kva.example:8443"),
        ("https://📚.example", "https://xn--zt8h.example"),
        ("https://b%C3%BCcher.example", "https://xn--bcher-kva.example"),
        ("http://127.1:3000", "http://127.0.0.1:3000"),
        ("http://[2001:DB8:0::1]:80", "http://[2001:db8::1]"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(address, origin):
    assert origin_of(address) == origin


@pytest.mark.parametrize(
    "address",
    [
        "book.example",
        "//book.example",
        "https:book.example",
        "https:///book.example",
        "ftp://book.example",
        "file:///book",
        "null",
        "*",
        "https://*.book.example",
        "https://*",
        "https://a.example;https://b.example",
        "https://a.example https://b.example",
        "https://a.example\nhttps://b.example",
        "https://reader:secret@book.example",
        "https://book.example:99999",
        "https://book.example:0",
        "https://book.example:port",
        "https://",
        "https://a b.example",
        "https://book.example\\x",
    ],
)
def test_what_no_browser_sends_is_refused(address):
    with pytest.raises(ValueError, match="address"):
        origin_of(address)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("book.example", "book.example"),
        ("Book.Example", "book.example"),
        ("book.example:8000", "book.example"),
        ("book.example.", "book.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        (".book.example", ".book.example"),
        ("*", "*"),
        ("10.0.0.7", "10.0.0.7"),
        ("::1", "[::1]"),
        ("[::1]:8000", "[::1]"),
        ("2001:DB8:0::1", "[2001:db8::1]"),
    ],
)
def test_a_host_is_written_as_django_compares_it(name, host):
    assert host_of(name) == host


@pytest.mark.parametrize(
    "name",
    [
        "http://book.example",
        "book.example/path",
        "*.book.example",
        "a.example;b.example",
        "a.example b.example",
        "reader@book.example",
        "under_score.example",
        "book.example:port",
        "[::1",
        ".",
        "10.0.0.0/8",
    ],
)
def test_what_no_request_can_name_is_refused(name):
    with pytest.raises(ValueError, match="not a"):
        host_of(name)


@pytest.mark.parametrize(
    ("value", "host", "shown"),
    [
        ("::", "::", "localhost"),
        ("[::]", "::", "localhost"),
        ("[::1]", "::1", "[::1]"),
        ("0.0.0.0", "0.0.0.0", "localhost"),
        ("127.0.0.1", "127.0.0.1", "localhost"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("chat_web", "chat_web", "chat_web"),
    ],
)
def test_a_host_to_listen_on_may_be_ipv6(monkeypatch, value, host, shown):
    monkeypatch.setenv("HOST", value)

    assert environment.listening_host("HOST", "unset") == host
    assert shown_host(host) == shown


@pytest.mark.parametrize(
    "value", ["0.0.0.0:8000", "[::]:8000", "http://x", "unix:/run/x", "a b", "*", "[]"]
)
def test_a_host_to_listen_on_has_no_port(monkeypatch, value):
    monkeypatch.setenv("HOST", value)
    monkeypatch.setattr(environment, "INVALID", {})

    environment.listening_host("HOST", "unset")

    assert "without a port" in environment.INVALID["HOST"]
