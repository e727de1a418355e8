"""A book is read from its site: which pages, in which order, and what is never fetched."""

import gzip
import time

import pytest

from book.read import fetch, html, website
from book.read.pages import ReadPage, SourceError, UnchangedPage
from tests.book.reading import known_of, read
from tests.helpers.website import Website, redirect, respond
from tests.helpers.website import website as another_site


def page(title: str, *links: str, following: str = "") -> str:
    head = f'<link rel="next" href="{following}">' if following else ""
    anchors = "".join(f'<a href="{link}">there</a>' for link in links)
    return f"<html lang=en>{head}<nav>{anchors}</nav><main><h1>{title}</h1><p>About {title}."


def sitemap(*urls: str, kind: str = "urlset", entry: str = "url") -> str:
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    entries = "".join(f"<{entry}><loc>{url}</loc></{entry}>" for url in urls)
    return f'<?xml version="1.0"?><{kind} xmlns="{space}">{entries}</{kind}>'


def titles(pages):
    return [each.title if isinstance(each, ReadPage) else each.url for each in pages]


def linked(site: Website) -> None:
    site.pages |= {
        "/book/": page("Start", "b.html", "a.html", "/other/x.html", "mailto:a@b.example"),
        "/book/a.html": page("A", "./", "c/", "picture.png", "a.html#there"),
        "/book/b.html": page("B", "a.html?page=2", following="c/"),
        "/book/c/": page("C", "https://elsewhere.example/", "javascript:x()"),
        "/other/x.html": page("X"),
    }


def test_without_a_sitemap_the_pages_that_lead_to_each_other_are_read(site, problems):
    linked(site)

    pages = read(f"{site.url}book/", problems)

    assert titles(pages) == ["Start", "B", "C", "A"]
    assert [each.url.removeprefix(site.url) for each in pages] == [
        "book/",
        "book/b.html",
        "book/c/",
        "book/a.html",
    ]
    assert problems == []
    asked = [path for path in site.requests if "sitemap" not in path and "robots" not in path]
    assert sorted(asked) == ["/book/", "/book/a.html", "/book/b.html", "/book/c/"]


def test_with_a_sitemap_its_pages_are_read_in_the_books_order(site, problems):
    linked(site)
    pages = [f"{site.url}book/{name}" for name in ("a.html", "c/", "", "b.html")]
    packed = gzip.compress(sitemap(*pages).encode())
    site.pages |= {
        "/book/sitemap.xml": sitemap(f"{site.url}maps/1.xml", kind="sitemapindex", entry="sitemap"),
        "/maps/1.xml": packed,
        "/book/a.html": page("A", "unlisted.html"),
    }

    assert titles(read(f"{site.url}book/", problems)) == ["Start", "A", "C", "B"]
    assert problems == []
    assert "/book/unlisted.html" not in site.requests


def test_robots_txt_is_heeded(site, problems):
    linked(site)
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /book/a.html\n"

    assert titles(read(f"{site.url}book/", problems)) == ["Start", "B", "C"]
    assert problems == [
        f"{site.url}book/a.html was left out, because the site's robots.txt asks not to read it."
    ]


def test_what_did_not_change_is_not_sent_again_and_keeps_its_place(site, problems):
    linked(site)
    first = read(f"{site.url}book/", problems)
    site.pages["/book/a.html"] = page("A anew", "d.html")
    site.pages["/book/d.html"] = page("D")
    site.requests.clear()

    again = read(f"{site.url}book/", problems, known_of(first))

    assert titles(again) == [each.url for each in first[:3]] + ["A anew", "D"]
    assert all(isinstance(each, UnchangedPage) for each in again[:3])
    assert [path for path in site.requests if path.endswith(" unchanged")] == [
        "/book/ unchanged",
        "/book/b.html unchanged",
        "/book/c/ unchanged",
    ]


def test_a_page_that_fails_stays_as_it_was_and_one_that_is_gone_goes(site, problems):
    linked(site)
    first = read(f"{site.url}book/", problems)
    site.pages["/book/a.html"] = lambda request: respond(request, 500, b"")
    del site.pages["/book/b.html"]

    again = read(f"{site.url}book/", problems, known_of(first))

    assert [each.url.removeprefix(f"{site.url}book/") for each in again] == ["", "c/", "a.html"]
    assert problems == [
        f"{site.url}book/b.html was left out, because it is not there.",
        f"{site.url}book/a.html stays as it was, because the server answered with status 500.",
    ]


def test_a_server_that_stops_answering_ends_the_run(site, problems):
    site.pages["/"] = page("Start", *(f"{number}.html" for number in range(20)))
    for number in range(20):
        site.pages[f"/{number}.html"] = lambda request: respond(request, 500, b"")

    with pytest.raises(SourceError, match="stopped answering"):
        read(site.url, problems)
    assert len([path for path in site.requests if path.endswith(".html")]) == 5


def test_a_busy_server_is_given_time(site, problems):
    site.pages["/"] = page("Start", "a.html")
    answers = [lambda request: respond(request, 429, b"", Retry_After="0"), page("A")]

    def at_last(request):
        site.pages["/a.html"] = answers[1]
        answers[0](request)

    site.pages["/a.html"] = at_last

    assert titles(read(site.url, problems)) == ["Start", "A"]
    assert problems == []


def test_redirects_are_followed_within_the_site_alone(site, problems):
    with another_site() as other:
        other.pages["/secret"] = page("Secret")
        site.pages |= {
            "/book/": page("Start", "moved.html", "out.html", "up.html", "loop.html"),
            "/book/moved.html": redirect("/book/here.html"),
            "/book/here.html": page("Here"),
            "/book/out.html": redirect(f"{other.url}secret"),
            "/book/up.html": redirect("/admin/"),
            "/book/loop.html": redirect("/book/loop.html"),
            "/admin/": page("Admin"),
        }

        pages = read(f"{site.url}book/", problems)

    assert titles(pages) == ["Start", "Here"]
    assert pages[1].url == f"{site.url}book/here.html"
    assert [each.split(", because ")[1] for each in problems] == [
        f"it redirects to {other.url}secret, which is not part of the site.",
        f"it redirects to {site.url}admin/, which is not part of the site.",
        "it redirects without end.",
    ]
    assert other.requests == []
    assert "/admin/" not in site.requests


def test_this_machine_is_asked_for_nothing_but_the_source(site, problems):
    with another_site() as other:
        inside = other.url.replace("127.0.0.1", "localhost")
        site.pages |= {
            "/": page("Start", "a.html", "b.html", "c.html", f"{inside}secret.html"),
            "/a.html": redirect(f"{inside}secret.html"),
            "/b.html": f'<meta http-equiv=refresh content="0; url={inside}secret.html">',
            "/c.html": page("C", following=f"{inside}secret.html") + f"<img src={inside}x.png>",
        }

        assert titles(read(site.url, problems)) == ["Start", "C"]
        assert other.requests == []
    assert f"it redirects to {inside}secret.html, which is not part of the site." in problems[0]


def test_a_sitemap_cannot_name_other_hosts(site, problems):
    with another_site() as other:
        site.pages |= {
            "/": page("Start"),
            "/a.html": page("A"),
            "/sitemap.xml": sitemap(
                f"{other.url}x.html", f"{site.url}a.html", "file:///etc/passwd"
            ),
            "/robots.txt": f"Sitemap: {other.url}sitemap.xml",
        }

        assert titles(read(site.url, problems)) == ["Start", "A"]
        assert other.requests == []
    assert problems == [
        f"2 pages in the sitemap are not part of the site, such as {other.url}x.html;"
        " they were left out."
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (redirect("http://127.0.0.1:9/"), "redirects to http://127.0.0.1:9/: name that address"),
        (lambda request: respond(request, 404, b""), "could not be read: it is not there"),
        (lambda request: respond(request, 500, b""), "could not be read: the server answered with"),
        ("<html><script>render()</script>", "No page with text was found"),
    ],
)
def test_without_a_first_page_there_is_no_book(site, problems, content, sentence):
    site.pages["/"] = content

    with pytest.raises(SourceError, match=sentence):
        read(site.url, problems)


def test_where_nobody_listens_there_is_no_book(nobody_listens, problems):
    with pytest.raises(SourceError, match=r"could not be read: it could not be fetched"):
        read(nobody_listens, problems)


def test_endless_links_come_to_an_end(site, problems, monkeypatch):
    monkeypatch.setattr(website, "MAX_PAGES", 30)

    def endless(request):
        number = len(site.requests)
        body = page(f"Page {number}", f"{number}/x/", f"{number}/y/").encode()
        respond(request, 200, body, Content_Type="text/html")

    site.pages = type("Endless", (dict,), {"get": lambda self, path: endless})()

    assert len(read(site.url, problems)) == 30
    assert problems == ["The site has more than 30 pages; the rest is left out."]


def test_the_same_page_at_ever_new_addresses_is_read_once(site, problems):
    def same(request):
        respond(request, 200, page("Trap", "x/").encode(), Content_Type="text/html")

    site.pages = type("Endless", (dict,), {"get": lambda self, path: same})()

    assert titles(read(site.url, problems)) == ["Trap"]
    assert len(site.requests) < 10


def test_pages_are_bounded_however_they_are_packed(site, problems, monkeypatch):
    monkeypatch.setattr(fetch.Fetcher.get, "__kwdefaults__", {"max_bytes": 2 * 2**20})
    large = page("Large").encode() + b"<p>a</p>" * 2**20

    def bomb(request):
        respond(request, 200, gzip.compress(large, 1), Content_Encoding="gzip")

    site.pages |= {"/": page("Start", "a.html", "b.html", "c.html"), "/a.html": large}
    site.pages |= {"/b.html": bomb, "/c.html": page("C")}

    assert titles(read(site.url, problems)) == ["Start", "C"]
    assert problems == [
        f"{site.url}{name} was left out, because it has more than 2 MB."
        for name in ("a.html", "b.html")
    ]


def test_a_page_that_trickles_is_given_up(site, problems, monkeypatch):
    monkeypatch.setattr(fetch, "PAGE_SECONDS", 0.3)

    def trickle(request):
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        for _ in range(100):
            request.wfile.write(b" ")
            request.wfile.flush()
            time.sleep(0.05)

    site.pages |= {"/": page("Start", "a.html"), "/a.html": trickle}

    assert titles(read(site.url, problems)) == ["Start"]
    assert problems == [f"{site.url}a.html was left out, because it took longer than 0.3 seconds."]


def test_a_page_that_sends_its_reader_on_is_none_itself(site, problems):
    site.pages |= {
        "/": '<meta http-equiv="Refresh" content="0; url=intro.html">',
        "/intro.html": page("Intro"),
    }

    assert titles(read(site.url, problems)) == ["Intro"]


def test_hundreds_of_pages_are_read_in_seconds(site, problems):
    text = "<h2 id=x>More</h2><p>Words of a <b>book</b>.</p>" * 30
    for number in range(300):
        name = f"/{number}.html" if number else "/"
        site.pages[name] = page(f"Page {number}", following=f"{number + 1}.html") + text
    site.pages["/sitemap.xml"] = sitemap(*(f"{site.url}{n}.html" for n in range(299, 0, -1)))

    started = time.monotonic()
    pages = read(site.url, problems)

    assert titles(pages) == [f"Page {number}" for number in range(300)]
    assert time.monotonic() - started < 30


def test_the_largest_page_is_the_one_that_is_said():
    assert html.MAX_PAGE_BYTES == 10 * 2**20
