"""The service under a path of the book's own host, behind nginx: PUBLIC_URL."""

import shutil
import subprocess
from contextlib import contextmanager
from urllib.parse import urljoin

import httpx2
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from chatbackend import environment
from chatbackend.paths import without_prefix
from tests.helpers.browser import elsewhere
from tests.helpers.reader import answered, ready, replies, say
from tests.helpers.server import free_port, running_server
from tests.helpers.waiting import eventually

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PREFIX = "/chat-api"
PASSWORD = "pass phrase"
CONFIG = """
daemon off; pid {folder}/pid; error_log stderr warn; worker_processes 1; events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    proxy_buffering off;
    server {{ listen 127.0.0.1:{passes}; location /chat-api/ {{ proxy_pass {server}; }} }}
    server {{ listen 127.0.0.1:{strips}; location /chat-api/ {{ proxy_pass {server}/; }} }}
}}
"""


@pytest.fixture(scope="module")
def proxies(environment, tmp_path_factory):
    """The service's address by a proxy that passes its path on, and by one that takes it away."""
    if not NGINX:
        pytest.skip("nginx is missing: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("nginx")
    ports = {"passes": free_port(), "strips": free_port()}
    address = f"http://127.0.0.1:{ports['passes']}{PREFIX}/"
    with running_server(folder / "log", **environment, PUBLIC_URL=address, DEBUG="true") as server:
        config = CONFIG.format(folder=folder, server=server.base_url, **ports)
        with nginx(folder, config):
            urls = {name: f"http://127.0.0.1:{port}{PREFIX}" for name, port in ports.items()}
            for url in urls.values():
                eventually(lambda url=url: is_up(url))
            yield urls


@contextmanager
def nginx(folder, config):
    (folder / "nginx.conf").write_text(config)
    command = [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def is_up(url):
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(params=["passes", "strips"])
def url(request, proxies):
    return proxies[request.param]


def test_api_and_its_document_answer_under_the_path(url, model):
    model.says("A node.")
    document = httpx2.get(f"{url}/openapi.json").json()
    at = urljoin(url, document["servers"][0]["url"])

    asked = httpx2.post(f"{at}/chat", json={"message": "What is a node?"}).json()
    assert httpx2.get(f"{at}/chat/{asked['session_id']}").json()["messages"][1]["content"]
    assert set(document["paths"]) >= {"/chat", "/book/search", "/health"}
    assert "/chat-api/openapi.json" in httpx2.get(f"{url}/docs").text
    assert httpx2.get(f"{url}/book").json()["code"] == "not_found"


def test_mcps_server_card_has_the_public_address_whichever_way_it_is_read(url, proxies):
    """The proxy that strips the path answers at another port: what counts is PUBLIC_URL."""
    card = httpx2.get(f"{url}/.well-known/mcp/server-card.json").json()
    (remote,) = card["remotes"]
    tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}

    assert remote["url"] == f"{proxies['passes']}/mcp"
    assert httpx2.post(remote["url"], json=tools).json()["result"]["tools"]


def test_readers_chat_works_under_the_path(url, model, visit):
    model.says("A node is a process.")
    page = visit()

    page.goto(f"{url}/")
    ready(page)
    say(page, "What is a node?")

    answered(page)
    expect(replies(page)).to_have_text("A node is a process.")
    assert page.request.get(page.locator("link[rel=icon]").evaluate("link => link.href")).ok


def test_staff_log_in_under_the_path_with_a_cookie_for_it_alone(
    url, visit, django_db_blocker, proxies
):
    with django_db_blocker.unblock():
        elsewhere(lambda: User.objects.create_superuser("ada", password=PASSWORD))
    try:
        page = visit()
        page.goto(f"{url}/admin/")
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Password").press("Enter")
        page.get_by_role("link", name="Sessions").click()

        expect(page).to_have_url(f"{url}/admin/chat/chatsession/")
        assert {cookie["path"] for cookie in page.context.cookies()} == {"/chat-api/"}
    finally:
        with django_db_blocker.unblock():
            elsewhere(User.objects.filter(username="ada").delete)


@pytest.mark.parametrize(
    ("path", "known_as"),
    [
        ("/chat-api", "/"),
        ("/chat-api/", "/"),
        ("/chat-api/chat", "/chat"),
        ("/chat", "/chat"),
        ("/chat-apis", "/chat-apis"),
    ],
)
def test_the_path_is_taken_away_once_and_only_as_a_whole(path, known_as):
    assert without_prefix(path, PREFIX) == known_as


@pytest.mark.parametrize(
    ("address", "what_is_wrong"),
    [
        ("x", " must be an http:// or https:// address"),
        ("https://reader:secret@book.example", " must have no user name and no wildcard"),
        ("https://book.example/a?b", "'s path must be words of letters, digits, “-”, “_” or “.”"),
        ("https://book.example/chat", "'s path must not be one of the service's own, /chat"),
        ("https://book.example/a/../chat", "'s path must not be one of the service's own, /chat"),
    ],
)
def test_an_address_that_cannot_work_is_one_sentence(monkeypatch, address, what_is_wrong):
    monkeypatch.setenv("PUBLIC_URL", address)
    monkeypatch.setattr(environment, "INVALID", {})

    assert environment.public_address("PUBLIC_URL") == ""
    assert {"PUBLIC_URL": f"PUBLIC_URL{what_is_wrong}."} == environment.INVALID
