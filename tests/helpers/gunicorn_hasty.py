"""The server's settings with time limits that tests can wait for, and room for few connections."""

from tests.helpers.gunicorn_measured import *  # noqa: F403 - gunicorn reads the names of this module

# ruff: noqa: I001 - what follows needs a Django that is set up
from chat.turn import heartbeat
from chatbackend import http_protocol

http_protocol.HEAD_SECONDS = 1.5
http_protocol.BODY_SECONDS = 2.5
http_protocol.UNREAD_SECONDS = 2.5
http_protocol.LINGER_SECONDS = 2
http_protocol.SWEEP_SECONDS = 0.2
http_protocol.Connections.most = 30
heartbeat.SCAN_SECONDS = 4
heartbeat.STEADY_SECONDS = 1
keepalive = 3
