"""How gunicorn serves: `gunicorn -c chatbackend/gunicorn.py chatbackend.asgi:application`."""

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
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

from chatbackend.http_protocol import Protocol
from llm.providers import activating_settings, is_demonstration, providers

django.setup()


class Worker(UvicornWorker):
    # The client's address is what the socket says; `NUM_PROXIES` decides whether a header may
    # say otherwise, and it is read where it is needed.
    CONFIG_KWARGS = {
        "loop": "uvloop",
        "http": Protocol,
        "proxy_headers": False,
        "access_log": False,  # `chatbackend.asgi` writes it
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        logging.getLogger("uvicorn.error").propagate = True  # to where all lines go

    def _install_sigquit_handler(self) -> None:
        """gunicorn's word to its workers when it got SIGINT; uvicorn-worker's own does nothing."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, lambda: signal.raise_signal(signal.SIGTERM))


class Logger(GunicornLogger):
    """gunicorn's lines go where all others go."""

    def setup(self, cfg: object) -> None:
        for each in (self.error_log, self.access_log):
            each.handlers, each.propagate = [], True


bind = f"{settings.HOST}:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
preload_app = True  # loaded once, shared by the workers: a quicker start, less memory
worker_class = Worker
logger_class = Logger
control_socket_disable = True
# An answer that is being written when the server is told to end gets the time to be finished.
graceful_timeout = int(settings.LLM_TIMEOUT_SECONDS) + 15
keepalive = 75  # longer than the usual balancer's, so that it is never us who closes first
timeout = 60


def on_starting(server: Arbiter) -> None:
    # The embedded parts are started here once, and shared by the workers that come and go.
    if "EMBEDDED_FOLDER" in settings.DATABASES["default"]:
        connection.ensure_connection()
        connection.close()
    if is_demonstration():
        providers()


def post_fork(server: Arbiter, worker: AnyWorker) -> None:
    """A worker does not outlive a master that was killed (uvicorn's worker would not notice)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def when_ready(server: Arbiter) -> None:
    # What the workers share is there to stay; a collector that goes through it stops one for 0.1 s.
    gc.freeze()
    everywhere_or_here = ("0.0.0.0", "127.0.0.1", "::")  # noqa: S104
    host = "localhost" if settings.HOST in everywhere_or_here else settings.HOST
    base = f"http://{host}:{settings.PORT}"
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
