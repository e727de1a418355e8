"""Clients generated from the OpenAPI document: they compile, and make every call it describes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
GENERATED = HERE / "generated"
TOOLS = Path(sys.executable).parent
NODE_TOOLS = CHECKOUT / "node_modules" / ".bin"
pytestmark = pytest.mark.clients


@pytest.fixture(autouse=True)
def document(client):
    """The running server's document, beside which the clients are generated."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    file = GENERATED / "openapi.json"
    file.write_bytes(client.get("/openapi.json").content)
    yield file
    shutil.rmtree(GENERATED)


@pytest.fixture
def operations(client):
    paths = client.get("/openapi.json").json()["paths"].values()
    return {operation["operationId"] for item in paths for operation in item.values()}


def run(*command, **environment):
    """What a command prints; its output is the failure's message."""
    done = subprocess.run(
        command,
        cwd=HERE,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(
    not (shutil.which("node") and (NODE_TOOLS / "openapi-typescript").exists()),
    reason="node or openapi-typescript is missing (npm ci)",
)
def test_a_typescript_client_makes_every_call(server, model, document, operations):
    run(NODE_TOOLS / "openapi-typescript", document, "--output", GENERATED / "api.d.ts")
    run(NODE_TOOLS / "tsc", "-p", HERE)

    called = run("node", GENERATED / "js" / "calls.js", server.base_url)

    assert set(called.split()) == operations


def test_a_python_client_makes_every_call(server, model, document, operations):
    run(
        TOOLS / "openapi-python-client",
        *("generate", "--path", document, "--fail-on-warning"),
        *("--meta", "none", "--output-path", GENERATED / "book_chat"),
        PATH=f"{TOOLS}{os.pathsep}{os.environ['PATH']}",  # it formats its work with ruff
    )
    run(TOOLS / "mypy", "--config-file=", "--strict", "calls.py", MYPYPATH=str(HERE))

    called = run(sys.executable, "calls.py", server.base_url)

    assert set(called.split()) == operations
