"""Answers with sources as the server sends them, for tests of what the chat shows of them."""

import json
from typing import Any
from uuid import uuid4

from playwright.sync_api import Page, Route

JSON, PROBLEM = "application/json", "application/problem+json"


def source(
    number: int, title: str, url: str, text: str | None = None, **more: Any
) -> dict[str, Any]:
    facts = {"chapter": title, "section": title, "score": 0.9 if text else None}
    return {"number": number, "title": title, "url": url, "text": text} | facts | more


class ScriptedTurns:
    """Stands before the server of a page: `answers(...)` sets the next answer's text and sources.

    It keeps the history of its one session, so that a reload shows the same. `requests` are the
    bodies of the questions asked.
    """

    def __init__(self, page: Page) -> None:
        self.requests: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.refusal: dict[str, Any] | None = None
        self.answers("A scripted answer.")
        page.route("**/chat", self._ask)
        page.route("**/chat/*?limit=*", self._history)

    def answers(self, text: str, *sources: dict[str, Any], **more: Any) -> None:
        grounding = "book" if sources else "uncited"
        self.next = {"content": text, "sources": list(sources), "grounding": grounding} | more

    def refuses(self, status: int, detail: str) -> None:
        """The next question, once."""
        self.refusal = {"status": status, "detail": detail, "code": "refused", "retryable": True}

    def _ask(self, route: Route) -> None:
        if route.request.method != "POST":
            route.fallback()
            return
        body: dict[str, Any] = json.loads(route.request.post_data or "{}")
        self.requests.append(body)
        if self.refusal:
            self._fulfil(route, json.dumps(self.refusal), PROBLEM, self.refusal["status"])
            self.refusal = None
            return
        self._store(body)
        reply = self.messages[-1]
        frames = [{"type": "start", "messageId": reply["id"]}]
        for each in reply["sources"]:
            announced = {
                "sourceId": str(each["number"]),
                "url": each["url"],
                "title": each["title"],
            }
            frames.append({"type": "source-url"} | announced)
        rests = {name: reply[name] for name in ("sources", "grounding", "nearest") if name in reply}
        frames.append({"type": "text-delta", "id": "0", "delta": reply["content"]})
        frames.append({"type": "finish", "finishReason": "stop", "messageMetadata": rests})
        events = "".join(f"data: {json.dumps(each)}\n\n" for each in frames)
        self._fulfil(route, events + "data: [DONE]\n\n", "text/event-stream")

    def _store(self, body: dict[str, Any]) -> None:
        ids = [each["id"] for each in self.messages]
        if body.get("replaces"):
            self.messages = self.messages[: ids.index(body["replaces"])]
        question, reply = str(uuid4()), str(uuid4())
        common = {"status": "complete", "feedback": None, "correction": None, "replaced": False}
        common |= {"selected_text": body["selected_text"], "page_url": body["page_url"]}
        asked = {"id": question, "role": "user", "content": body["message"], "reply_to": None}
        answered = {"id": reply, "role": "assistant", "reply_to": question} | self.next
        self.messages += [common | asked, common | answered]

    def _history(self, route: Route) -> None:
        self._fulfil(route, json.dumps({"messages": self.messages, "has_more": False}), JSON)

    def _fulfil(self, route: Route, body: str, kind: str, status: int = 200) -> None:
        headers = {"Content-Type": kind, "Access-Control-Allow-Origin": "*"}
        route.fulfill(status=status, body=body, headers=headers)
