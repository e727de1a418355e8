"""The same small book, built by the generators that books are made with, and read."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from book.read.html import parsed
from tests.book.reading import BOOK, addresses, read
from tests.helpers import CHECKOUT
from tests.helpers.browser import ELSEWHERE
from tests.helpers.website import website

BOOKS = Path(__file__).parent / "books"
PATH = ("Nodes and their names",)
EXPECTED = {
    PATH: "A node is an executable process.[^1]\n\n[^1]: As operating systems call it.",
    (*PATH, "Start a node"): None,
    (*PATH, "Start a node", "Why it spins"): (
        "It waits for messages, about $a^2 + b_1$ of them:\n\n$$\n\\int_0^1 x\\,dx\n$$"
    ),
    (*PATH, "Sensors & prices"): None,
}
AROUND = ["edit this page", "suggest edit", "copy", "¶", "next", "previous", "on this page"]
AROUND += ["table of contents", "search", "made with", "back to top", "open issue", "\u200b"]


def sections_of_nodes(pages):
    (page,) = (page for page in pages if page.title == PATH[0])
    return {section.heading_path: section.text for section in page.sections}


def assert_read_in_full(pages, *, has_tabs=True, language="python"):
    """Each page once in the book's order, all of its text and nothing of what is around it."""
    nodes = sections_of_nodes(pages)
    assert list(nodes) == list(EXPECTED)
    for path, text in EXPECTED.items():
        if text is not None:
            assert nodes[path].replace(" [^1]", "[^1]") == text
    start, prices = nodes[*PATH, "Start a node"], nodes[*PATH, "Sensors & prices"]
    assert "> Two nodes of one name **stop** each other." in start.replace("Names are unique ", "")
    assert start.count("Names are unique") == 1
    assert f'```{language} title="camera.py"\nnode = Node("camera")\nnode.spin()\n```' in (
        start.replace("Listing 1 ", "")
    )
    if has_tabs:
        first, second = start.index("**Python**\n\nSpin it in Python."), start.index("**C++**")
        assert first < second < start.index("Spin it in C++.")
        assert start.count("Spin it in") == 2
    assert "| Sensor | Price |\n| --- | --- |\n| lidar | 100 € |" in prices
    assert "![A lidar on a mast](" in prices
    assert "Masts are tall." in prices
    everything = "\n".join(section.text for page in pages for section in page.sections).lower()
    assert [words for words in AROUND if words in everything] == []


def assert_addresses_exist(pages, folder):
    """Every section's address is that of an element in what the generator wrote."""
    for page in pages:
        path = folder / page.url.removeprefix(f"{BOOK}/")
        file = next(
            each
            for each in (path, path / "index.html", path.with_suffix(".html"))
            if each.is_file()
        )
        document = parsed(file.read_bytes())
        for section in page.sections:
            element = document.css_first(f'[id="{section.anchor}"]') if section.anchor else True
            assert element, (page.url, section.anchor)
    anchors = [(page.url, section.anchor) for page in pages for section in page.sections]
    assert len(set(anchors)) == len(anchors)


# The heading that an address leads to: it, one in it or around it, or the first one after it.
HEADING = """
(anchor) => {
    const headings = "h1, h2, h3, h4, h5, h6";
    const named = anchor ? document.getElementById(anchor) : document.querySelector("h1");
    const after = (each) =>
        named.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING;
    return named && (named.closest(headings) ?? named.querySelector(headings)
        ?? [...document.querySelectorAll(headings)].find(after));
}
"""
# Nothing is over it either, such as a bar at the top of the window.
IS_IN_VIEW = f"""
(anchor) => {{
    const heading = ({HEADING})(anchor);
    if (!heading || document.readyState !== "complete") return false;
    const words = document.createRange();
    words.selectNodeContents(heading);
    const {{left, top, bottom}} = words.getClientRects()[0];
    const there = document.elementFromPoint(left + 2, (top + bottom) / 2);
    return top > -1 && bottom <= innerHeight && heading.contains(there);
}}
"""
NO_TEXT_OF_THE_HEADING = str.maketrans("", "", "\u200b\u00b6#")


@pytest.fixture
def opens(browser):
    """Asserts that every section's address opens at its heading, as a host serves the folder."""
    with website() as site, browser.new_context(viewport={"width": 1200, "height": 600}) as context:
        context.route(ELSEWHERE, lambda route: route.abort())  # fonts, MathJax

        def assert_opens(folder, at="/"):
            site.serve_folder(folder, at)
            pages = read(f"{site.url.rstrip('/')}{at}", [])
            assert len(pages) > 2
            for page in pages:
                for section in page.sections:
                    assert_opens_at_heading(context, page.url, section)

        yield assert_opens


def assert_opens_at_heading(context, url, section):
    tab = context.new_page()
    tab.goto(f"{url}#{section.anchor}" if section.anchor else url)
    tab.wait_for_function(IS_IN_VIEW, arg=section.anchor, timeout=10_000)
    text = tab.evaluate(f"(anchor) => ({HEADING})(anchor).textContent", section.anchor)
    assert " ".join(text.translate(NO_TEXT_OF_THE_HEADING).split()) == section.heading_path[-1]
    tab.close()


def built(*command, cwd=None, **environment):
    subprocess.run(command, cwd=cwd, env=os.environ | environment, check=True, timeout=600)


@pytest.fixture
def copied(tmp_path):
    """A book's sources, where a generator may leave its files."""
    return lambda name: shutil.copytree(BOOKS / name, tmp_path / name)


def test_a_book_by_mkdocs_material(copied, tmp_path, problems, opens):
    source = copied("mkdocs")
    out = tmp_path / "site"
    mkdocs = (sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--quiet")
    built(*mkdocs, "--site-dir", str(out), cwd=source, NO_MKDOCS_2_WARNING="1")

    pages = read(out, problems)

    assert [page.url.removeprefix(BOOK) for page in pages] == ["/", "/parts/nodes/", "/parts/"]
    assert {page.language for page in pages} == {"en"}
    assert_read_in_full(pages, language="text")
    assert_addresses_exist(pages, out)
    assert "*The mast of our robot*" in sections_of_nodes(pages)[*PATH, "Sensors & prices"]

    from_source = read(source, problems)

    assert_read_in_full(from_source)
    assert addresses(from_source) == addresses(pages)
    assert addresses(read(source / "docs", problems)) == addresses(pages)
    assert read(source, problems, book_url="")[1].url == "https://book.example/robots/parts/nodes/"
    assert problems == []

    with website() as site:  # whose sitemap names the address that it will have one day
        site.serve_folder(out)
        served = read(site.url, problems)
    assert [(page.url.removeprefix(site.url), page.title) for page in served] == [
        (page.url.removeprefix(f"{BOOK}/"), page.title) for page in pages
    ]
    assert len(problems) == 1
    opens(out)


BUILD_BOTH = """
from sphinx.cmd.build import main
for theme in ("furo", "alabaster"):
    assert main(["-q", "-D", f"html_theme={theme}", ".", f"out/{theme}"]) == 0
"""


def test_a_book_by_sphinx_in_two_themes(copied, problems, opens):
    source = copied("sphinx")
    built(sys.executable, "-W", "ignore", "-c", BUILD_BOTH, cwd=source)

    for theme in ("furo", "alabaster"):
        pages = read(source / "out" / theme, problems)

        assert [page.url.removeprefix(BOOK) for page in pages] == [
            "/",
            "/nodes.html",
            "/overview.html",
        ]
        assert_read_in_full(pages, has_tabs=False)
        assert_addresses_exist(pages, source / "out" / theme)
        prices = sections_of_nodes(pages)[*PATH, "Sensors & prices"]
        assert "*What sensors cost*" in prices
        assert "**mast**\n\nMasts are tall." in prices
        opens(source / "out" / theme, f"/{theme}/")
    assert problems == []


@pytest.mark.generators
def test_a_book_by_jupyter_book(copied, problems, opens):
    jupyter_book = CHECKOUT / ".venv" / "generators" / "bin" / "jupyter-book"
    source = copied("jupyter")
    built(str(jupyter_book), "build", "-q", ".", cwd=source)
    out = source / "_build" / "html"

    pages = read(out, problems)

    assert [page.url.removeprefix(BOOK) for page in pages] == [
        "/intro.html",
        "/nodes.html",
        "/overview.html",
    ]
    assert_read_in_full(pages)
    assert_addresses_exist(pages, out)
    assert problems == []
    opens(out)


@pytest.mark.generators
def test_a_book_by_docusaurus(tmp_path, problems, opens):
    """Built beside the example book, with its packages, and with KaTeX from the tools'."""
    project = CHECKOUT / "examples" / "docusaurus"
    work = tmp_path / "work"
    shutil.copytree(BOOKS / "docusaurus", work / "docs")
    shutil.copy(BOOKS / "docusaurus.config.js", work)
    shutil.copy(project / "package.json", work)
    (work / "node_modules").symlink_to(project / "node_modules")
    out = tmp_path / "out"
    environment = {"BOOK_URL": json.dumps(BOOK), "TOOLS": str(CHECKOUT / "node_modules")}
    built("npx", "docusaurus", "build", "--out-dir", str(out), cwd=work, **environment)

    pages = read(out, problems)

    assert [page.url.removeprefix(BOOK) for page in pages] == [
        "/",
        "/parts/",
        "/parts/first",
        "/parts/nodes",
    ]
    assert_read_in_full(pages)
    assert_addresses_exist(pages, out)
    assert addresses(read(work, problems)) == addresses(pages)
    assert problems == []
    opens(out, "/robots/")
