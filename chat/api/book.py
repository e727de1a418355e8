"""The book over HTTP: its contents, a search, a section. They count to the client's rate."""

from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router

from book import contents, search
from book.question_vector import with_vector
from book.search import Found
from chat.api import concurrency
from chat.api.client import client_of_request
from chat.api.openapi import answers
from chat.api.responses import json_response
from chat.api.schemas import (
    BookResponse,
    PageUrl,
    SearchResponse,
    SectionResponse,
    Text,
)
from chat.errors import DatabaseUnavailable, InvalidRequest, NotFound, RateLimited
from chat.turn import limits
from chat.turn.retrieve import find_sections

MAX_RESULTS = 20
MAX_ID = 2**63 - 1

router = Router(tags=["book"])


@router.get(
    "/book",
    **answers({200: BookResponse}, NotFound, RateLimited, DatabaseUnavailable),
    summary="The book's contents",
    description="Pages with their sections, as of the current edition. 404 where none is indexed.",
)
async def read_contents(request: HttpRequest) -> HttpResponse:
    client = client_of_request(request)
    async with concurrency.slot_for_page(client):
        found = await limits.run_counted(client, "read", contents.of_current_edition)
    if found is None:
        raise NotFound
    return json_response({"title": settings.BOOK_TITLE, **found})


@router.get(
    "/book/search",
    **answers({200: SearchResponse}, NotFound, InvalidRequest, RateLimited, DatabaseUnavailable),
    summary="Search the book",
    description="Whole sections, best first, by words and by meaning; no model is asked for an "
    "answer. Counts as a question does. 404 where no book is indexed.",
)
async def search_book(
    request: HttpRequest,
    q: Annotated[Text, Query()],
    limit: Annotated[int, Query(ge=1, le=MAX_RESULTS)] = 5,
    page_url: Annotated[PageUrl | None, Query()] = None,
) -> HttpResponse:
    found = await find(client_of_request(request), q, limit, page_url or "")
    return json_response({"edition": found.edition, "results": _results(found)})


async def find(client: str, question: str, limit: int, page_url: str = "") -> Found:
    """What a question finds, as one of the client's searches.

    Raises RateLimited, DatabaseUnavailable, and NotFound where no book is indexed.
    """
    await limits.run_counted(client, "search", lambda: None)
    query = await with_vector(search.Query(question, page_url=page_url))
    found = await find_sections(query, limit)
    if found is None:
        raise NotFound
    return found


def _results(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "section_id": hit.section_id,
            "title": hit.page_title,
            "section": hit.path,
            "url": hit.url,
            "text": hit.text,
            "score": hit.score,
        }
        for hit in found.hits
    ]


@router.get(
    "/book/sections/{section_id}",
    **answers({200: SectionResponse}, NotFound, InvalidRequest, RateLimited, DatabaseUnavailable),
    summary="Read a section",
    description="Sections of former editions stay readable.",
)
async def read_section(
    request: HttpRequest, section_id: Annotated[int, Path(ge=1, le=MAX_ID)]
) -> HttpResponse:
    client = client_of_request(request)
    found = await limits.run_counted(client, "read", lambda: contents.section(section_id))
    if found is None:
        raise NotFound
    return json_response(found)
