"""MCP's official clients, in Python and TypeScript, against two workers (`make clients`)."""

import json
import subprocess

import pytest

from tests.helpers import CHECKOUT
from tests.helpers.marks import mark_of
from tests.helpers.scripted_model import Reply

pytestmark = pytest.mark.doors

HERE = CHECKOUT / "tests" / "clients"
PYTHON = (str(CHECKOUT / ".venv" / "clients" / "bin" / "python"), str(HERE / "mcp_client.py"))
TYPESCRIPT = ("node", str(HERE / "mcp_client.mjs"))


@pytest.mark.parametrize(
    ("program", "mode", "version"),
    [
        (PYTHON, "auto", "2026-07-28"),
        (PYTHON, "legacy", "2025-11-25"),
        (TYPESCRIPT, "auto", "2026-07-28"),
        (TYPESCRIPT, "legacy", "2025-11-25"),
        (TYPESCRIPT, "sdk-1", None),
    ],
)
def test_an_official_client_searches_reads_and_asks(book_server, model, program, mode, version):
    model.decides(
        lambda body: Reply(chunks=("Each has ", f"a name [{mark_of(body, 'Names')}]."), gap=0.4)
    )

    command = [*program, f"{book_server.base_url}/mcp", mode]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["version"] == version
    assert seen["tools"] == ["search", "fetch", "ask"]
    assert seen["section"] == "Nodes › Names"
    assert seen["page"].startswith("# Nodes")
    assert seen["answer"]["response"] == "Each has a name [1]."
    assert seen["answer"]["grounding"] == "book"
    assert seen["progress"][0].startswith("Each has")
