"""How gunicorn serves: `gunicorn -c chatbackend/gunicorn.py chatbackend.asgi:application`."""

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbackend.settings")

import django
from django.conf import settings
from django.db import connection
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger as GunicornLogger
from gunicorn.workers.base import Worker as AnyWorker
from loguru import logger
from uvicorn_worker import UvicornWorker

from chatbackend.http_protocol import Connections, Protocol
from chatbackend.web_addresses import in_brackets
from llm.providers import (
    activating_settings,
    are_embeddings_embedded,
    embedding_provider,
    is_demonstration,
    providers,
)

django.setup()

from chat.checks import warning_sentences  # noqa: E402 - models need a Django that is set up
from review import indexing  # noqa: E402

SHARED_MEMORY = "/dev/shm"  # noqa: S108
MOST_CONNECTIONS = 10_000  # of a worker, where the system allows them
# How long a thread that makes a page may keep Python's lock from readers' turns, each time they
# need it: Python's own 5 ms are as long as a whole turn.
SWITCH_SECONDS = 0.0005
OTHER_DESCRIPTORS = 100  # for the database, the admin, libraries, sockets that listen


class Worker(UvicornWorker):
    # The client's address is the socket's; `NUM_PROXIES` decides whether a header may replace it,
    # where the address is needed.
    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": Protocol,
        "ws": "none",
        "proxy_headers": False,
        "access_log": False,  # `chatbackend.asgi` writes it
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sys.setswitchinterval(SWITCH_SECONDS)
        logging.getLogger("uvicorn.error").propagate = True  # to the one sink (`chatbackend.logs`)

    def _install_sigquit_handler(self) -> None:
        """gunicorn sends SIGQUIT to its workers on SIGINT, which uvicorn-worker does not handle."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, lambda: signal.raise_signal(signal.SIGTERM))


class Logger(GunicornLogger):
    """Sends gunicorn's lines to the one sink too."""

    def setup(self, cfg: object) -> None:
        for each in (self.error_log, self.access_log):
            each.handlers, each.propagate = [], True


def most_connections() -> int:
    """How many connections a worker may have: with each it may need another one to the model."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS + OTHER_DESCRIPTORS
    if soft < wanted:
        with suppress(OSError, ValueError):  # some systems allow less than they say
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return max(1, (min(soft, wanted) - OTHER_DESCRIPTORS) // 2)


Connections.most = most_connections()
bind = f"{in_brackets(settings.HOST)}:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
preload_app = True  # loaded once, shared by the workers: a quicker start, less memory
# Each worker keeps a file for its heartbeat; in memory, since the root file system of a container
# is often read-only.
worker_tmp_dir = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK | os.X_OK) else None
worker_class = Worker
logger_class = Logger
control_socket_disable = True
# Answers that are being written when the server is to end get the time to be completed.
graceful_timeout = int(settings.LLM_TIMEOUT_SECONDS) + 15
keepalive = 75  # longer than the usual balancer's, so that the balancer closes first
timeout = 60  # without a sign of life from a worker


def on_starting(server: Arbiter) -> None:
    indexing.end_runs_with_this_server()
    for sentence in warning_sentences():
        logger.warning(sentence)
    # The embedded parts are started here once; all workers share them.
    if "EMBEDDED_FOLDER" in settings.DATABASES["default"]:
        connection.ensure_connection()
        connection.close()
    if is_demonstration():
        providers()
    if are_embeddings_embedded():
        embedding_provider()


def post_fork(server: Arbiter, worker: AnyWorker) -> None:
    """End the worker when its master is killed, which uvicorn's worker would not notice."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def shown_host(host: str) -> str:
    """The host as it stands in an address that works on this machine."""
    everywhere_or_here = ("0.0.0.0", "127.0.0.1", "::")  # noqa: S104
    return "localhost" if host in everywhere_or_here else in_brackets(host)


def when_ready(server: Arbiter) -> None:
    # Objects that the workers share are never freed, and a collection over them takes 0.1 s.
    gc.freeze()
    base = f"http://{shown_host(settings.HOST)}:{settings.PORT}"
    logger.info("The page is at {}/, the API documentation at {}/docs", base, base)
    logger.info("The admin is at {}/admin/ (manage.py createsuperuser makes you a user)", base)
    if is_demonstration():
        *names, last = activating_settings()
        logger.warning(
            "Answers come from a small demonstration model and are often wrong: set {} or {} for a "
            "real one",
            ", ".join(names),
            last,
        )
