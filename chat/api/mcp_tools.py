"""What MCP's clients may use: three tools, and the book's pages as resources."""

from collections.abc import Mapping
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, ValidationError

from book import contents
from chat.api import book
from chat.api.client import client_of_request
from chat.api.grounds import grounds
from chat.api.mcp_messages import (
    INVALID_PARAMS,
    RESOURCE_NOT_FOUND,
    McpError,
    Params,
    Version,
)
from chat.api.problems import detail, invalid_request
from chat.api.schemas import Passage, Text, encode, may_be_stored, none_if_blank
from chat.api.session_ids import AnySessionId
from chat.errors import NotFound
from chat.turn import limits
from chat.turn.turn import Answer
from llm.errors import CodedError

RESULTS = 10
PAGES_LISTED = 200
MARKDOWN = "text/markdown"


class Search(BaseModel):
    query: Text = Field(description="What to look for, as a question or in words.")


class Fetch(BaseModel):
    id: Annotated[
        str,
        StringConstraints(max_length=18),
        Field(description="The id of a section, as `search` gives it."),
    ]


class Ask(BaseModel):
    question: Text = Field(description="The reader's question, in their words.")
    session_id: Annotated[AnySessionId | None, BeforeValidator(none_if_blank)] = Field(
        None, description="The conversation to continue, as an earlier answer gives it."
    )
    selected_text: Passage = Field(
        None, description="A passage of the book: the answer then rests on it alone."
    )


ARGUMENTS: dict[str, type[Search | Fetch | Ask]] = {"search": Search, "fetch": Fetch, "ask": Ask}
DESCRIPTIONS = {
    "search": ("Search the book", "Find the sections of “{}” that are about something."),
    "fetch": ("Read a section", "Read a section of “{}” in full, as Markdown."),
    "ask": ("Ask the book", "Ask “{}” a question: answered from the book, with sources quoted."),
}


def listed() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "title": title,
            "description": description.format(settings.BOOK_TITLE),
            "inputSchema": ARGUMENTS[name].model_json_schema(),
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }
        for name, (title, description) in DESCRIPTIONS.items()
    ]


def arguments_of(params: Params) -> Search | Fetch | Ask:
    """Raises McpError for an unknown tool, InvalidRequest for unusable arguments."""
    name = params.get("name")
    if not isinstance(name, str) or name not in ARGUMENTS:
        raise McpError(INVALID_PARAMS, "There is no such tool.")
    try:
        return ARGUMENTS[name].model_validate(params.get("arguments") or {})
    except ValidationError as error:
        raise invalid_request(_located(each) for each in error.errors()) from error


def _located(error: Mapping[str, Any]) -> dict[str, Any]:
    """What `fetch` calls the id is a section's, and not a session's as elsewhere."""
    named = ("section_id" if part == "id" else part for part in error["loc"])
    return {**error, "loc": ("body", *named)}


async def call(request: HttpRequest, arguments: Search | Fetch) -> dict[str, Any]:
    """The result of a tool that answers at once."""
    client = client_of_request(request)
    if isinstance(arguments, Search):
        return await _search(client, arguments.query)
    return await _fetch(client, arguments.id)


async def _search(client: str, query: str) -> dict[str, Any]:
    found = await book.find(client, query, RESULTS)
    results = [
        {"id": str(hit.section_id), "title": _title(hit.page_title, hit.path), "url": hit.url}
        for hit in found.hits
    ]
    return _as_json({"results": results})


async def _fetch(client: str, key: str) -> dict[str, Any]:
    is_id = key.isascii() and key.isdigit()
    found = await limits.run_counted(
        client, "read", lambda: contents.section(int(key)) if is_id else None
    )
    if found is None:
        raise NotFound
    return _as_json(
        {
            "id": key,
            "title": _title(found["title"], found["section"]),
            "text": found["text"],
            "url": found["url"],
            "metadata": {"edition": found["edition"], "is_current": found["is_current"]},
        }
    )


def _title(page: str, section: str) -> str:
    return page if page == section else f"{page} › {section}"


def _as_json(content: dict[str, Any]) -> dict[str, Any]:
    """As ChatGPT wants it: one text item that is JSON."""
    return _content(encode(content)) | {"structuredContent": content, "isError": False}


def _content(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def answered(answer: Answer, session_id: str) -> dict[str, Any]:
    """What `ask` gives: the answer with its sources below it."""
    found = {"response": answer.text, "session_id": session_id, **grounds(answer.evidence)}
    lines = [_source(each) for each in found["sources"]]
    text = "\n".join([answer.text, "", "Sources:", *lines]) if lines else answer.text
    return _content(text) | {"structuredContent": found, "isError": False}


def _source(source: Mapping[str, Any]) -> str:
    quote = f"\n    “{source['text']}”" if source["text"] else ""
    title = _title(source["title"], source["section"])
    return f"[{source['number']}] {title}: {source['url']}{quote}"


def failed(error: CodedError) -> dict[str, Any]:
    """A refusal, as a result: clients hand its sentence on, where they hide HTTP's errors."""
    return _content(sentence(error)) | {"isError": True}


def sentence(error: CodedError) -> str:
    if isinstance(error, NotFound):
        return "The book has nothing by this name, or no book is indexed."
    wait = f" (Try again in {error.retry_after} s.)" if error.retry_after else ""
    return detail(error) + wait


# Resources ----------------------------------------------------------------------------------
async def list_pages(request: HttpRequest, params: Params) -> dict[str, Any]:
    """`cursor` is the number of pages that were listed before."""
    cursor = params.get("cursor") or "0"
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 9):
        raise McpError(INVALID_PARAMS, "This is no cursor of ours.")
    client, start = client_of_request(request), int(cursor)
    found = await limits.run_counted(client, "read", contents.of_current_edition)
    pages = found["pages"] if found else []
    listed = [
        {"uri": each["url"], "name": each["title"] or each["url"], "mimeType": MARKDOWN}
        for each in pages[start : start + PAGES_LISTED]
    ]
    end = start + PAGES_LISTED
    return {"resources": listed} | ({"nextCursor": str(end)} if end < len(pages) else {})


async def read_page(request: HttpRequest, params: Params, version: Version) -> dict[str, Any]:
    uri = params.get("uri")
    try:
        url = str(may_be_stored(uri if isinstance(uri, str) else "")).partition("#")[0]
    except ValueError:
        url = ""
    text = await limits.run_counted(
        client_of_request(request), "read", lambda: contents.page_as_markdown(url)
    )
    if text is None:
        code = INVALID_PARAMS if version.is_stateless else RESOURCE_NOT_FOUND
        raise McpError(code, "The book has no such page.", 400 if version.is_stateless else 200)
    return {"contents": [{"uri": uri, "mimeType": MARKDOWN, "text": text}]}
