"""An address that leads to a quote, and what Chromium highlights there."""

import shutil
import sys

import pytest

from book.quotes.passages import passages_of
from book.text_fragments import with_fragment
from tests.book.highlighted import highlighted, is_of, pages
from tests.book.reading import read
from tests.book.test_read_generators import BOOKS, built
from tests.helpers.website import website

SECTION = """Nodes, *topics* & `snake-case` are [here](https://x.example). They are few.

The sum $a + b$ of all the costs is known to each of the nodes that take part in it.

| State | Meaning |
| --- | --- |
| active | it works |

```python
node.spin()
node.spin()
```"""
URL = "https://book.example/page#nodes"


@pytest.mark.parametrize(
    ("quote", "directive"),
    [
        ("They are few.", "snake%2Dcase%20are%20here.-,They%20are%20few.,-The%20sum"),
        (
            "Nodes, *topics* & `snake-case` are [here](https://x.example).",
            "Nodes%2C%20topics%20%26%20snake%2Dcase%20are%20here.",
        ),
        ("| active | it works |", "Meaning-,active,it%20works"),
        (
            "The sum $a + b$ of all the costs is known to each of the nodes that take part in it.",
            "They%20are%20few.-,The%20sum,that%20take%20part%20in%20it.",
        ),
    ],
)
def test_a_fragment_has_the_words_that_are_on_the_page(quote, directive):
    assert with_fragment(URL, quote, SECTION) == f"{URL}:~:text={directive}"


def test_a_quote_that_is_no_part_of_the_section_gives_the_sections_address():
    assert with_fragment(URL, "Nothing of this.", SECTION) == URL
    assert with_fragment(URL, "$$\nx\n$$", "$$\nx\n$$") == URL


def test_a_page_without_anchor_gets_a_fragment_too():
    url = with_fragment("https://book.example/", "They are few.", SECTION)

    assert url.startswith("https://book.example/#:~:text=")


def assert_all_land(book, context, is_tested):
    """Each quote is in view and highlighted."""
    page, eye = pages(context)
    tested = 0
    for book_page in book:
        for section in book_page.sections:
            for passage in filter(is_tested, passages_of(section.text)):
                anchor = f"#{section.anchor}" if section.anchor else ""
                url = with_fragment(f"{book_page.url}{anchor}", passage.text, section.text)
                assert is_of(highlighted(page, eye, url), passage.text), url
                tested += 1
    return tested


def is_addressable(passage):
    """Labels of tabs and captions of pictures are left out, and what is folded up or in a tab
    behind another one.
    """
    hidden = ("!", "*", "Masts", "Spin it in C++.")
    return "$" not in passage.text and not passage.text.startswith(hidden)


def test_quotes_are_highlighted_in_a_book_by_mkdocs_material(browser, tmp_path, problems):
    source = shutil.copytree(BOOKS / "mkdocs", tmp_path / "mkdocs")
    out = tmp_path / "site"
    mkdocs = (sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--quiet")
    built(*mkdocs, "--site-dir", str(out), cwd=source, NO_MKDOCS_2_WARNING="1")
    with website() as site, browser.new_context() as context:
        site.serve_folder(out)
        book = read(out, problems, book_url=site.url)

        assert assert_all_land(book, context, is_addressable) >= 8

        page, eye = pages(context)
        assert highlighted(page, eye, f"{book[1].url}#:~:text=not%20there") == ""
