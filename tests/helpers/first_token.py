"""How long a model's first word is on its way to a reader's screen, while others read too."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from playwright.sync_api import Page

from tests.helpers.reader import answered, say
from tests.helpers.scripted_model import Reply, ScriptedModel

GAP_SECONDS = 0.03  # between words: as quick as hosted models are
THINKING_SECONDS = 0.3
ALONG = "Reading along"

# The word is in the document when the chat has drawn it, and seen once the frame after that begins.
WATCH = """(count) => {
  window.seen = new Promise((resolve) => {
    const list = document.querySelector("book-chat").shadowRoot.querySelector(".messages");
    const observer = new MutationObserver(() => {
      const replies = list.querySelectorAll(".assistant .text");
      if (replies.length !== count || !replies[count - 1].textContent.trim()) return;
      observer.disconnect();
      requestAnimationFrame(() => resolve(Date.now()));
    });
    observer.observe(list, { childList: true, subtree: true, characterData: true });
  });
}"""


def milliseconds(page: Page, model: ScriptedModel, rounds: int) -> list[float]:
    """For so many questions on the chat's own page: from the model's first word to the screen."""
    times = []
    for number in range(1, rounds + 1):
        page.evaluate(WATCH, number)
        say(page, f"Question {number}")
        seen = page.evaluate("seen")
        times.append(seen - model.spoke[f"Question {number}"] * 1000)
        answered(page, number)
    return times


def speak(body: dict[str, Any]) -> Reply:
    words = 100 if body["messages"][-1]["content"] == ALONG else 5
    return Reply("word " * words, gap=GAP_SECONDS, delay=THINKING_SECONDS)


@contextmanager
def reading_along(base_url: str, model: ScriptedModel, readers: int) -> Iterator[None]:
    """So many others, each reading one answer after the other."""
    model.decides(speak)
    over = threading.Event()
    body = {"message": ALONG, "stream": True}

    def read() -> None:
        with httpx2.Client(base_url=base_url, timeout=60) as client:
            while not over.is_set():
                with client.stream("POST", "/chat", json=body) as answer:
                    answer.raise_for_status()
                    for _ in answer.iter_bytes():
                        pass

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
        time.sleep(GAP_SECONDS)  # not all at once
    try:
        yield
        assert all(thread.is_alive() for thread in threads)
    finally:
        over.set()
        for thread in threads:
            thread.join()
