"""Who a client is to the limits, by what proxies write into X-Forwarded-For."""

import pytest

from chat.api.client import client_of


@pytest.fixture
def client_behind(settings):
    """The client of a request that one proxy of ours passed on."""
    settings.NUM_PROXIES = 1
    return lambda forwarded: client_of("192.0.2.1", forwarded)


IPV4 = "203.0.113.8"
IPV6 = "2001:db8:1:2::1"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.8:50001", IPV4),
        ('"203.0.113.8:50001"', IPV4),
        ("[203.0.113.8]:50001", IPV4),
        (" 203.0.113.8 ", IPV4),
        ("::ffff:203.0.113.8", IPV4),
        ("[::ffff:203.0.113.8]:50001", IPV4),
        ("[2001:db8:1:2::1]", IPV6),
        ("[2001:db8:1:2::1]:50001", IPV6),
        ('"[2001:db8:1:2::1]:50001"', IPV6),
        ("[2001:db8:1:2::1", IPV6),
        ("2001:db8:1:2::1%eth0", IPV6),
        ("[2001:db8:1:2::1%25eth0]:50001", IPV6),
        ("2001:DB8:0001:2:0:0:0:9", IPV6),
        ("2001:db8:1:2:3:4:5:6:50001", IPV6),
        ("host.example:50001", "host.example"),
        ("unknown", "unknown"),
    ],
)
def test_one_client_is_one_client_however_its_address_is_written(client_behind, entry, address):
    assert client_behind(entry) == client_behind(address)
    assert client_behind(f"spoofed, {entry}") == client_behind(address)


def test_another_address_is_another_client(client_behind):
    addresses = [IPV4, "203.0.113.9", IPV6, "2001:db8:1:3::1", "unknown"]

    assert len({client_behind(each) for each in addresses}) == len(addresses)


@pytest.mark.parametrize("forwarded", ["", " ", ",", " , "])
def test_without_an_entry_the_client_is_who_connected(client_behind, forwarded):
    assert client_behind(forwarded) == client_of("192.0.2.1", "")


def test_a_new_port_for_each_question_is_no_way_round_the_rate(serve, model):
    server = serve(CHAT_RATE="3/h", NUM_PROXIES="1", WEB_CONCURRENCY="1")

    def ask(port):
        headers = {"X-Forwarded-For": f"[2001:db8:5:5::1]:{port}"}
        return server.client.post("/chat", json={"message": "?"}, headers=headers).status_code

    assert [ask(50_000 + n) for n in range(5)] == [200, 200, 200, 429, 429]
