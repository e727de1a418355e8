"""A book is read from an EPUB."""

import zipfile

import pytest

from book.read import epub
from book.read.pages import SourceError, UnchangedPage
from tests.book.reading import BOOK, known_of, read

CONTAINER = """<?xml version="1.0"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles></container>"""
XHTML = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
<head><title/></head><body>{}</body></html>"""
ONE = XHTML.format("""<section epub:type="chapter"><h1 id="one">Nodes &amp; all</h1>
<p>A node<a epub:type="noteref" href="#n1">1</a> runs.<a id="p2"/></p><h2 id="spin">Spin</h2>
<p>It spins.</p><aside epub:type="footnote" id="n1"><p>As systems call it.</p></aside></section>""")
TWO = XHTML.format('<h1 id="two">Topics</h1><p>They are named.</p>')
NAV = XHTML.format('<nav epub:type="toc"><ol><li><a href="one.xhtml">Nodes</a></li></ol></nav>')


def package(*chapters: str) -> str:
    items = "".join(
        f'<item id="c{at}" href="{name}" media-type="application/xhtml+xml"/>'
        for at, name in enumerate(chapters)
    )
    refs = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    return f"""<package xmlns="http://www.idpf.org/2007/opf" version="3.0">
    <metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:language>ur</dc:language></metadata>
    <manifest>{items}<item id="nav" href="nav.xhtml" properties="nav"
    media-type="application/xhtml+xml"/></manifest>
    <spine><itemref idref="nav"/>{refs}</spine></package>"""


@pytest.fixture
def book(tmp_path):
    """Writes an EPUB of these files."""

    def write(**files: str | bytes):
        path = tmp_path / "book.epub"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("META-INF/container.xml", CONTAINER)
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    return write


def whole(**changed: str | bytes) -> dict[str, str | bytes]:
    return {
        "OEBPS/book.opf": package("two.xhtml", "text/one%20.xhtml"),
        "OEBPS/nav.xhtml": NAV,
        "OEBPS/text/one .xhtml": ONE,
        "OEBPS/two.xhtml": TWO,
    } | changed


def test_the_chapters_are_read_in_the_order_of_the_spine(book, problems):
    path = book(**whole())

    topics, nodes = pages = read(path, problems)

    assert (topics.url, nodes.url) == (
        f"{BOOK}/OEBPS/two.xhtml",
        f"{BOOK}/OEBPS/text/one%20.xhtml",
    )
    assert topics.language == "ur"
    assert [(each.heading_path, each.anchor, each.text) for each in nodes.sections] == [
        (("Nodes & all",), "one", "A node[^1] runs.\n\n[^1]: As systems call it."),
        (("Nodes & all", "Spin"), "spin", "It spins."),
    ]
    again = read(path, problems, known_of(pages))
    assert again == [UnchangedPage(topics.url), UnchangedPage(nodes.url)]
    assert problems == []


def test_chapters_that_are_no_xml_are_read_as_browsers_do(book, problems):
    broken = "<h1>Topics<p>They&nbsp;are <b>named.<br>"

    assert read(book(**whole(**{"OEBPS/two.xhtml": broken})), problems)[0].title == "Topics"


def test_a_chapter_that_unfolds_too_far_is_left_out(book, problems):
    path = book(**whole(**{"OEBPS/two.xhtml": TWO.encode() + b" " * 50 * 2**20}))

    assert path.stat().st_size < 2**20
    assert [page.title for page in read(path, problems)] == ["Nodes & all"]
    assert problems == ["OEBPS/two.xhtml was left out, because it has more than 10 MB."]


def test_a_book_that_unfolds_too_far_is_none(book, problems, monkeypatch):
    monkeypatch.setattr(epub, "MAX_BOOK_BYTES", 2**20)

    with pytest.raises(SourceError, match="unfolds to more than 1 MB"):
        read(book(**whole(**{"OEBPS/two.xhtml": TWO + " " * 2**20})), problems)


def test_chapters_outside_of_the_archive_are_not_read(book, problems, tmp_path):
    (tmp_path / "secret.xhtml").write_text(TWO)
    names = ["../../secret.xhtml", "/etc/passwd", "https://book.example/x.xhtml", "two.xhtml"]

    assert len(read(book(**whole(**{"OEBPS/book.opf": package(*names)})), problems)) == 1
    assert [each.split(", because ")[1] for each in problems] == ["it is not in the archive."] * 3


LAUGHS = """<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c
"&b;&b;&b;&b;&b;&b;">]><package>&c;</package>"""


@pytest.mark.parametrize("content", [LAUGHS, "<package>", "", b"\0\xff"])
def test_a_broken_package_is_one_sentence(book, problems, content):
    with pytest.raises(SourceError, match=r"book\.epub is no EPUB\."):
        read(book(**{"OEBPS/book.opf": content}), problems)


@pytest.mark.parametrize("raw", [b"", b"PK\3\4 no archive", b"%PDF-1.7"])
def test_a_file_that_is_no_epub_is_one_sentence(tmp_path, problems, raw):
    path = tmp_path / "book.epub"
    path.write_bytes(raw)

    with pytest.raises(SourceError, match=r"book\.epub is no EPUB\."):
        read(path, problems)


def test_a_damaged_chapter_is_left_out(book, problems):
    path = book(**whole(**{"OEBPS/two.xhtml": TWO + "x" * 5000}))
    raw = bytearray(path.read_bytes())
    at = raw.index(b"OEBPS/two.xhtml") + 40
    raw[at : at + 20] = b"\xff" * 20
    path.write_bytes(raw)

    assert [page.title for page in read(path, problems)] == ["Nodes & all"]
    assert problems == ["OEBPS/two.xhtml was left out, because it is damaged or encrypted."]
