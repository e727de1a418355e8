import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2
import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test.utils import setup_databases, teardown_databases
from loguru import logger

from book import question_vector
from chat.models import ChatSession, RateWindow
from chat.turn import retrieve
from embedded.postgres import Cluster
from tests.helpers.clusters import copied_cluster, migrated_cluster
from tests.helpers.indexed_book import book_server, published  # noqa: F401 - for all tests
from tests.helpers.scripted_model import ScriptedModel, scripted_model
from tests.helpers.server import Server, running_server

HASTY = "tests/helpers/gunicorn_hasty.py"


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """A password is stored as in production, but with one round in place of a million."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1)
        yield


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Each test's questions are embedded and searched, also those that an earlier one has asked."""
    question_vector._remembered.clear()
    retrieve._remembered.clear()


@pytest.fixture(scope="session")
def _model() -> Iterator[ScriptedModel]:
    with scripted_model() as model:
        yield model


@pytest.fixture
def model(_model: ScriptedModel) -> ScriptedModel:
    """The scripted model, with nothing said to it yet."""
    _model.forget()
    return _model


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """The tests' database, also for those that reach it through a server alone.

    pytest-django's own makes it only where some test is marked to use it.
    """
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default": False})
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def environment(_model: ScriptedModel, django_db_setup: None) -> dict[str, str]:
    """A server's settings: the tests' database and the scripted model."""
    return {
        "DATABASE_URL": database_url(settings.DATABASES["default"]["NAME"]),
        "OPENAI_BASE_URL": _model.base_url,
        "OPENAI_MODEL": "scripted",
        "LLM_TIMEOUT_SECONDS": "5",
    }


def database_url(name: str) -> str:
    address = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(address._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def server(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server") / "log", **environment) as running:
        yield running


@pytest.fixture
def serve(
    environment: dict[str, str], model: ScriptedModel, tmp_path: Path
) -> Iterator[Callable[..., Server]]:
    """Starts servers with settings of their own."""
    with ExitStack() as stack:

        def start(**settings: str) -> Server:
            log = tmp_path / f"log of {len(list(tmp_path.iterdir()))}"
            return stack.enter_context(running_server(log, **environment | settings))

        yield start


@pytest.fixture(scope="session")
def start_hasty(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Server]]:
    """Starts servers with short time limits, and with room for 30 connections."""
    with ExitStack() as stack:

        def start() -> Server:
            log = tmp_path_factory.mktemp("hasty") / "log"
            server = Server(log, environment | {"WEB_CONCURRENCY": "1"}, HASTY)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture(scope="session")
def hasty(start_hasty: Callable[[], Server]) -> Server:
    return start_hasty()


@pytest.fixture(scope="session")
def cluster_template(environment: dict[str, str]) -> Iterator[Path]:
    with migrated_cluster(environment) as cluster:
        folder = cluster.service.folder
        cluster.stop()
        yield folder


@pytest.fixture
def cluster(cluster_template: Path) -> Iterator[Cluster]:
    """A PostgreSQL, migrated, that may be taken away."""
    with copied_cluster(cluster_template) as cluster:
        yield cluster


@pytest.fixture
def client(server: Server, model: ScriptedModel) -> httpx2.Client:
    """Speaks to the server; the model has been told nothing."""
    return server.client


@pytest.fixture
def ask(client: httpx2.Client) -> Callable[..., httpx2.Response]:
    def asking(message: str = "What is a node?", **body: Any) -> httpx2.Response:
        return client.post("/chat", json={"message": message} | body)

    return asking


@pytest.fixture
def stored(django_db_blocker: Any, django_db_setup: None) -> Iterator[None]:
    """The rows that the server wrote, through the ORM; nothing is rolled back."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def ask_llm(settings: Any, model: ScriptedModel) -> None:
    """This process asks the scripted model."""
    settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = model.base_url, "scripted"


@pytest.fixture
def only_ours(db: None) -> None:
    """Sessions and clients are the test's alone; in the end the others are there again."""
    ChatSession.objects.all().delete()
    RateWindow.objects.all().delete()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What is logged in this process: each message, with what is bound to it."""
    found: list[str] = []

    def keep(message: Any) -> None:
        found.append(f"{message.record['message']} {message.record['extra']}")

    for package in ("chat", "llm", "book"):  # commands turn these off in their process
        logger.enable(package)
    sink = logger.add(keep, level="INFO")
    yield found
    logger.remove(sink)


@pytest.fixture
def nobody_listens() -> str:
    """An address on this machine where every connection is refused."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
