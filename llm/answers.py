"""Reading an answer as it comes, in one piece or as a stream, whichever was asked for."""

import codecs
import json
import re
from typing import Any

from django.conf import settings

from llm import refusals
from llm.errors import ModelError, ModelUnavailable
from llm.frames import Frames
from llm.providers import Provider
from llm.spending import Usage, read_usage

MAX_JSON_BYTES = 4 * 2**20
MAX_TEXT_CHARS = 200_000
MAX_START_BYTES = 1000
CHARS_PER_TOKEN = 16  # on average at most, in any language
FINISH_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
}
FILTERED = ("content_filter", "content-filter", "safety", "sensitive", "prohibited", "recitation")
FAILED = re.compile("error|abort|cancel|insufficient|fail|interrupt")
# Thoughts beside the text: the field's name depends on the service.
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
THOUGHT_PARTS = ("thinking", "redacted_thinking", "reasoning", "reasoning_content", "thought")


class AnswerParser:
    """What is known of an answer so far. `feed` and `finish` return its text, thoughts included.

    What makes no sense is left out. An error in the answer's place ends it: `finish` raises it.
    """

    def __init__(self, provider: Provider) -> None:
        self.model = ""
        self.usage: Usage | None = None
        self.finish_reason = ""  # in our words; empty as long as there is none
        self.chars = 0  # of the text
        self.thought_chars = 0  # beside the text
        self.has_begun = False  # the service has begun to answer, for which it may be paid
        self.is_cut = False  # there is more than anyone should send
        self._provider = provider
        self._longest_text = max(MAX_TEXT_CHARS, CHARS_PER_TOKEN * settings.LLM_MAX_OUTPUT_TOKENS)
        self._start = b""  # as far as it does not show yet what it is
        self._json: list[bytes] | None = None  # the pieces of an answer in one piece
        self._json_size = 0
        self._frames: Frames | None = None
        self._has_chunks = False
        self._has_text = False
        self._without_choice: dict[str, Any] = {}  # the last chunk without a choice
        self._error: ModelError | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be read."""
        if self._error or self.is_cut:
            return True
        return self._frames is not None and self._frames.is_done

    # Bytes ----------------------------------------------------------------------------------
    def feed(self, data: bytes) -> str:
        if self._json is None and self._frames is None:
            self._start += data.lstrip() if not self._start else data
            if codecs.BOM_UTF8.startswith(self._start):
                return ""
            data = self._start.removeprefix(codecs.BOM_UTF8).lstrip()
            if data.startswith((b"{", b"[")):
                self._json = []
            elif data:
                self._frames = Frames()
        if self._frames is not None:
            return self._feed_frames(self._frames, data)
        if self._json is not None:
            self._json.append(data)
            self._json_size += len(data)
            self.is_cut = self._json_size > MAX_JSON_BYTES
        return ""

    def _feed_frames(self, frames: Frames, data: bytes) -> str:
        text = self._take_all(frames.feed(data))
        if frames.is_cut:
            text += self._salvage(frames.overlong)
        return text

    def _take_all(self, chunks: list[dict[str, Any]]) -> str:
        text = ""
        try:
            for chunk in chunks:
                text += self.take(chunk)
        except ModelError as error:  # what came before it is not lost
            self._error = error
        return self._bounded(text) if text else ""

    def _bounded(self, text: str) -> str:
        room = self._longest_text - self.chars
        if len(text) > room:
            self.is_cut = True
            text = text[: max(room, 0)]
        self.chars += len(text)
        return text

    def finish(self) -> str:
        """After the last byte. Raises ModelError if that was not the end of an answer."""
        text = self._finish_json(b"".join(self._json)) if self._json is not None else ""
        if self._frames is not None and not self.is_done:
            text += self._take_all(self._frames.finish())
        if self._error:
            raise self._error
        if not (self.finish_reason or self.is_done or self._json is not None):
            raise self.error_in_its_place("the answer was broken off")
        if self.is_cut:
            self.finish_reason = "length"
        return text

    def _finish_json(self, data: bytes) -> str:
        if self.is_cut:
            return self._salvage(data)
        try:
            answer = json.loads(str(data, "utf-8", "replace"))
        except (ValueError, RecursionError):
            return self._finish_lines(data)
        if not isinstance(answer, dict):
            raise refusals.in_answer(answer, self._provider)
        text = self._bounded(self.take(answer))
        if self._without_choice:
            raise self.error_in_its_place("the answer is not a chat completion")
        return text

    def _finish_lines(self, data: bytes) -> str:
        """An object in each line, which is none of the formats there are."""
        frames = Frames()
        text = self._take_all(frames.feed(data) + frames.finish())
        if not (self.chars or self.finish_reason):
            raise self.error_in_its_place("the answer is not JSON")
        return text

    def error_in_its_place(self, reason: str) -> ModelError:
        """The error for an answer that did not come, by what came in its place, if anything."""
        if self._without_choice and not self.chars:
            error = refusals.in_answer(self._without_choice, self._provider)
            if str(error) != error.code:
                return error
        elif not self._has_chunks:
            start = str(self._start[:MAX_START_BYTES], "utf-8", "replace")
            reason = f"{reason}: {refusals.first_words(start, self._provider)}"
        return ModelUnavailable(reason)

    def _salvage(self, data: bytes) -> str:
        """The text in the beginning of an answer that was too long to be read whole."""
        self.is_cut = True
        found = CONTENT.search(data)
        if not found:
            return ""
        text = str(found[1], "utf-8", "ignore")
        return self._bounded(json.loads(f'"{text}"', strict=False))

    # Chunks ---------------------------------------------------------------------------------
    def take(self, chunk: dict[str, Any]) -> str:
        """The text of a chunk, or of a whole completion."""
        self._has_chunks = True
        choices = chunk.get("choices")
        choice: dict[str, Any] = {}
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            choice = choices[0]
        else:
            self._without_choice = chunk
        if "usage" in chunk or "usage" in choice or "x_groq" in chunk:
            self._take_usage(chunk, choice)
        if chunk.get("error") or chunk.get("object") == "error":
            raise refusals.in_answer(chunk, self._provider)
        if choice.get("error"):
            raise refusals.in_answer(choice["error"], self._provider)
        if not self.model and isinstance(chunk.get("model"), str):
            self.model = chunk["model"]
        if word := choice.get("finish_reason"):
            self._take_finish_reason(word)
        return self._text(choice)

    def _take_usage(self, *places: dict[str, Any]) -> None:
        """From where it usually is, or from where Moonshot or Groq put it."""
        for place in (*places, places[0].get("x_groq")):
            if isinstance(place, dict) and (usage := read_usage(place.get("usage"))):
                self.usage = usage

    def _take_finish_reason(self, word: object) -> None:
        word = word.lower() if isinstance(word, str) else "?"
        if word in ("null", "none"):
            return
        if FAILED.search(word):
            raise ModelUnavailable(f"the answer ended with {word[:40]}")
        is_filtered = word.startswith(FILTERED)
        self.finish_reason = "content-filter" if is_filtered else FINISH_REASONS.get(word, "other")

    def _text(self, choice: dict[str, Any]) -> str:
        message = choice.get("delta")
        if not message and not self._has_text:  # some send it all again with the last chunk
            message = choice.get("message")
        if not isinstance(message, dict):
            message = {"content": choice.get("text")}  # as in the older kind of completions
        for name in THOUGHTS:
            if name in message and isinstance(message[name], str):
                self.thought_chars += len(message[name])
        text = _joined(message.get("content")) or _joined(message.get("refusal"))
        self._has_text = self._has_text or bool(text)
        return text


# The first "content" of an answer, as far as it came, without half an escape.
CONTENT = re.compile(rb'"content"\s*:\s*"((?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))*+)')


def _joined(content: object) -> str:
    """Text, or parts of it; thoughts among the parts are left out."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "".join(map(_part, parts))


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") in THOUGHT_PARTS:
        return ""
    text = part.get("text") or part.get("refusal") or ""
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""
