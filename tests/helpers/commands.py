"""`manage.py COMMAND`, run to its end."""

import os
from contextlib import ExitStack
from subprocess import CompletedProcess
from tempfile import TemporaryFile

from tests.helpers.forked import Forked

SECONDS = 60


def manage(*arguments: str, stdin: str = "", **environment: str) -> CompletedProcess[str]:
    """Exit code, standard output and standard error; `environment` is added to the tests' own."""
    with ExitStack() as stack:
        read, out, err = (stack.enter_context(TemporaryFile("w+")) for _ in range(3))
        read.write(stdin)
        read.seek(0)
        process = Forked(
            "manage",
            *arguments,
            environment=os.environ | environment,
            stdin=read,
            stdout=out,
            stderr=err,
        )
        code = process.wait(SECONDS)
        for file in (out, err):
            file.seek(0)
        return CompletedProcess(["manage.py", *arguments], code, out.read(), err.read())
