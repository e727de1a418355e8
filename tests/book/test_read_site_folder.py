"""A book is read from the folder of a built site."""

import pytest

from book.read import folder
from book.read.pages import ReadPage, SourceError, UnchangedPage
from tests.book.reading import BOOK, known_of, paths, read, writer


def page(title: str, head: str = "") -> str:
    return f"<html lang=en>{head}<main><h1 id=top>{title}</h1><p>About {title}."


@pytest.fixture
def site(tmp_path):
    """Writes files of a site, whose folder it is."""
    return writer(tmp_path / "site")


def test_plain_pages_are_read_in_the_order_of_their_names(site, problems):
    root = site(**{"index.html": page("Start"), "b.html": page("B"), "a/index.html": page("A")})

    pages = read(root, problems)

    assert paths(pages) == ["", "b.html", "a/"]
    assert pages[1] == ReadPage(f"{BOOK}/b.html", "B", "en", pages[1].sections, pages[1].validators)
    assert [section.text for section in pages[1].sections] == ["About B."]
    assert problems == []


def test_each_page_leads_to_the_next_as_it_says(site, problems):
    root = site(
        **{
            "index.html": page("Start", '<link rel=next href="z.html">'),
            "a.html": page("A"),
            "m/index.html": page("M", '<link rel=next href="/robots/a.html">'),
            "z.html": page("Z", "<a rel='next prefetch' href=m/>Next</a>"),
        }
    )

    assert paths(read(root, problems)) == ["", "z.html", "m/", "a.html"]


def test_addresses_have_the_form_that_pages_give_as_their_own(site, problems):
    canonical = '<link rel=canonical href="https://robots.example/docs{}">'
    root = site(
        **{
            "index.html": page("Start", canonical.format("/")),
            "a/index.html": page("A", canonical.format("/a")),
            "b.html": page("B", canonical.format("/b")),
            "c/index.html": page("C", canonical.format("/c/")),
        }
    )

    assert paths(read(root, problems)) == ["", "b", "a", "c/"]
    assert read(root, problems, book_url="")[1].url == "https://robots.example/docs/b"


def test_without_an_address_pages_have_paths(site, problems):
    root = site(**{"index.html": page("Start"), "a b.html": page("A")})

    assert [each.url for each in read(root, problems, book_url="")] == ["/", "/a%20b.html"]


def test_what_is_no_page_of_the_book_is_left_out(site, problems):
    root = site(
        **{
            "index.html": "<meta http-equiv=refresh content='0; url=a.html'>",
            "a.html": page("A"),
            "404.html": page("Lost"),
            "print.html": page("All"),
            "search.html": page("Search"),
            "_static/x.html": page("X"),
            ".git/x.html": page("X"),
        }
    )

    assert paths(read(root, problems)) == ["a.html"]
    assert problems == []


def test_what_did_not_change_is_known_by_its_content(site, problems):
    root = site(**{"index.html": page("Start"), "a.html": page("A"), "b.html": page("B")})
    known = known_of(read(root, problems))
    site(**{"a.html": page("A anew")})

    start, changed, other = read(root, problems, known)

    assert (start, other) == (UnchangedPage(f"{BOOK}/"), UnchangedPage(f"{BOOK}/b.html"))
    assert changed.title == "A anew"


def test_links_out_of_the_folder_are_not_followed(site, problems, tmp_path):
    out = '<link rel=next href="../../secret.html">'
    root = site(**{"index.html": page("Start"), "a.html": page("A", out)})
    (tmp_path / "secret.html").write_text(page("Secret"))
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "x.html").write_text(page("Private"))
    (root / "b.html").symlink_to(tmp_path / "secret.html")
    (root / "c").symlink_to(tmp_path / "private")
    (root / "d.html").symlink_to(root / "a.html")

    assert paths(read(root, problems)) == ["", "a.html", "d.html"]
    assert problems == [
        "c was left out, because it is a link to another folder.",
        "b.html was left out, because it leads out of the folder.",
    ]


def test_each_page_that_cannot_be_read_is_one_sentence_and_stays(site, problems, monkeypatch):
    root = site(**{name: page(name) for name in ("index.html", "a.html", "b.html", "c.html")})
    known = known_of(read(root, problems))
    with (root / "a.html").open("ab") as file:
        file.truncate(50 * 2**20)
    site(**{"b.html": "<div>" * 5000, "c.html": "<main></main>", "d.html": "<main></main>"})
    site(**{"e.html": page("E\0"), "f.html": page("F") + "<p>a</i></table><b>b"})

    pages = read(root, problems, known)

    assert paths(pages) == ["", "a.html", "b.html", "c.html", "e.html", "f.html"]
    assert [isinstance(each, ReadPage) for each in pages] == [False] * 4 + [True] * 2
    assert pages[4].title == "E"
    assert problems == [
        "a.html stays as it was, because it has more than 10 MB.",
        "b.html stays as it was, because it leaves more than 1000 elements open.",
        "c.html stays as it was, because it has no text.",
        "d.html was left out, because it has no text.",
    ]


def test_a_folder_has_an_end(site, problems, monkeypatch):
    monkeypatch.setattr(folder, "MAX_FILES", 2)
    root = site(**{f"{name}.html": page(name) for name in "abc"}, **{"index.html": page("Start")})

    assert len(read(root, problems)) == 2
    assert problems == ["The folder has more than 2 pages; the others were left out."]


@pytest.mark.parametrize(
    ("source", "book_url", "sentence"),
    [
        ("{}/nowhere", BOOK, "There is no folder or file"),
        ("{}", BOOK, "No page with text was found"),
        ("ftp://book.example/", BOOK, "Only http:// and https:// addresses"),
        ("file:///etc", BOOK, "Only http:// and https:// addresses"),
        ("{}", "book.example", "does not begin with http"),
    ],
)
def test_what_is_no_source_is_one_sentence(tmp_path, problems, source, book_url, sentence):
    with pytest.raises(SourceError, match=sentence) as raised:
        read(source.format(tmp_path), problems, book_url=book_url)
    assert str(raised.value).endswith(".")
