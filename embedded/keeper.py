"""The process that supervises a service: starts it, and stops it when its last user has ended.

It is started by `service.Service`, one for each service, and imports little so as to start fast.
"""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from signal import Signals
from typing import Any

from embedded.service import Service

STOP_SECONDS = 15


def main(name: str, folder: str, options: str, kept: str) -> None:
    if os.fork():
        os._exit(0)  # so that init adopts the keeper, and no other process has to reap it
    service = Service(Path(folder), name)
    os.set_inheritable(int(kept), False)
    os.set_inheritable(service.lock("service", fcntl.LOCK_EX), True)
    module = import_module(f"embedded.{name}_server")
    with module.launched(service.folder, json.loads(options)) as (child, state):
        publish(service.state, state | {"pid": child.pid})
        os.dup2(2, 1)  # this closes the pipe on which the starter waits
        stopper = threading.Thread(target=stop_when_unused, args=(service, child, module.STOP))
        stopper.daemon = True
        stopper.start()
        child.wait()
        service.state.unlink(missing_ok=True)


def stop_when_unused(service: Service, child: subprocess.Popen[bytes], stop: Signals) -> None:
    service.lock("users", fcntl.LOCK_EX)  # held to the end: a user that starts now waits for it
    child.send_signal(stop)
    time.sleep(STOP_SECONDS)
    child.kill()


def publish(file: Path, state: dict[str, Any]) -> None:
    """Atomically, and readable by the owner alone."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(0o600)
    draft.write_text(json.dumps(state))
    draft.replace(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
