"""The example book, as the server shows it to whoever tries it out."""

from urllib.parse import urlsplit

import httpx2
import pytest
from selectolax.lexbor import LexborHTMLParser

from book.read.pages import ReadPage
from book.read.source import read_book
from tests.helpers import CHECKOUT

FOLDER = CHECKOUT / "examples/docusaurus/docs"


def test_every_section_that_is_indexed_is_on_its_page(serve):
    server = serve(EMBEDDED="true")
    address = f"{server.base_url}/example/"
    pages = read_book(str(FOLDER), book_url=address, on_problem=lambda problem: None)

    read = [page for page in pages if isinstance(page, ReadPage)]

    assert len(read) >= 5
    for page in read:
        answer = server.client.get(urlsplit(page.url).path)
        assert answer.status_code == 200
        shown = LexborHTMLParser(answer.text)
        assert shown.css_first("h1").text() == page.title
        for section in page.sections:
            assert not section.anchor or shown.css_first(f'[id="{section.anchor}"]'), section.anchor


@pytest.mark.parametrize("path", ["/example/", "/example/nodes"])
def test_without_the_embedded_parts_there_is_none(client: httpx2.Client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/example/nothing", "/example/intro", "/example/..%2fREADME"])
def test_other_names_are_not_found(serve, path):
    assert serve(EMBEDDED="true").client.get(path).status_code == 404
