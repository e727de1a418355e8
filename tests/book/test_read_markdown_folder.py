"""A book is read from the Markdown that its site is made of, by its generator's rules."""

import time

import pytest

from book.read.from_markdown import PLAIN, html_of
from book.read.pages import PageError, SourceError, UnchangedPage
from book.read.slugs import Ids, github_slug, python_markdown_slug
from tests.book.reading import BOOK, known_of, paths, read, writer


@pytest.fixture
def folder(tmp_path):
    """Writes files of a folder."""
    return writer(tmp_path / "texts")


def chapter(title: str, **matter: object) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in matter.items())
    return f"---\n{lines}---\n\n# {title}\n\nAbout {title}.\n"


def test_docusaurus_rules_for_addresses_and_order(folder, problems):
    root = folder(
        **{
            "intro.md": chapter("Intro", sidebar_position=1, slug="/"),
            "zebra.md": chapter("Zebra", sidebar_position=2),
            "README.md": chapter("Readme"),
            "20-last/a.md": chapter("A"),
            "20-last/02-b.md": chapter("B", id="bee"),
            "20-last/01 - c.mdx": chapter("C", slug="sea"),
            "20-last/2021-11-d.md": chapter("D", slug="../dee"),
            "part/_category_.yml": "position: 1.5",
            "part/part.md": chapter("Part", sidebar_position=9),
            "part/sub/index.md": chapter("Sub", sidebar_position=1),
            "part/one.md": chapter("One"),
            "_partial.mdx": chapter("Partial"),
            "draft.md": chapter("Draft", draft="true"),
            "unlisted.md": chapter("Unlisted", unlisted="true"),
        }
    )

    assert paths(read(root, problems)) == [
        "",
        "part/",
        "part/sub/",
        "part/one",
        "zebra",
        "last/sea",
        "last/bee",
        "dee",
        "last/a",
        "",
    ]
    assert problems == []


def test_mdx_is_read_as_docusaurus_shows_it(folder, problems):
    root = folder(
        **{
            "a.mdx": """---
title: The title
---
import Tabs from '@theme/Tabs';
export const x = {
  y: 1,
};

First, see [B](./b.md#more) and [C](other/c.mdx).

<Tabs groupId="os">
  <TabItem value="l" label="Linux">
    Run **it**.
  </TabItem>
  <TabItem
    value="mac">
    Open it.
  </TabItem>
</Tabs>

<Lonely prop={1} />

## Über uns & more {#about}

:::warning[Hot]

Do not touch.

:::

## Twice

One.

## Twice

Two.
""",
            "b.md": "# B\n\nText.\n",
            "other/c.mdx": "# C\n\nText.\n",
        }
    )

    page = read(root, problems)[0]

    assert [(s.heading_path, s.anchor, s.text) for s in page.sections] == [
        (
            ("The title",),
            "",
            f"First, see [B]({BOOK}/b#more) and [C]({BOOK}/other/c).\n\n"
            "**Linux**\n\nRun **it**.\n\n**mac**\n\nOpen it.",
        ),
        (("The title", "Über uns & more"), "about", "> **Hot**\n>\n> Do not touch."),
        (("The title", "Twice"), "twice", "One."),
        (("The title", "Twice"), "twice-1", "Two."),
    ]


def test_mkdocs_rules_for_addresses_and_order(folder, problems):
    root = folder(
        **{
            "mkdocs.yml": "docs_dir: text\ntheme: {language: de}\n"
            "nav: [b.md, {Part: [part/z.md]}, 'https://elsewhere.example/', gone.md]\n"
            "extra: !!python/name:os.system\n",
            "text/a.md": chapter("A"),
            "text/b.md": chapter("B"),
            "text/part/index.md": chapter("Part"),
            "text/part/z.md": chapter("Z") + "\nSee [B](../b.md).\n",
        }
    )

    pages = read(root, problems)

    assert paths(pages) == ["b/", "part/z/", "a/", "part/"]
    assert pages[0].language == "de"
    assert pages[1].sections[0].text.endswith(f"[B]({BOOK}/b/).")
    assert paths(read(root / "text", problems)) == paths(pages)
    (root / "mkdocs.yml").write_text("docs_dir: text\nuse_directory_urls: false\n")
    assert paths(read(root, problems)) == ["a.html", "b.html", "part/index.html", "part/z.html"]


def test_plain_files_are_pages_in_natural_order(folder, problems):
    root = folder(
        **{
            "chapter-10.md": "# Ten\n\nText.\n",
            "chapter-2.md": "# Two\n\nText.\n",
            "README.md": "# Start\n\nText.\n",
            "part 1/README.md": "Text alone, of *Part*.\n",
        }
    )

    pages = read(root, problems)

    assert paths(pages) == ["", "chapter-2.html", "chapter-10.html", "part%201/"]
    assert [page.title for page in pages] == ["Start", "Two", "Ten", "README"]


def test_a_book_with_a_list_of_its_pages_is_read_in_that_order(folder, problems):
    summary = "# Summary\n\n- [Z](z.md)\n  - [A](part/a.md)\n- [Draft]()\n"
    root = folder(
        **{
            "book.toml": "",
            "src/SUMMARY.md": summary,
            "src/b.md": "# B\n\nText.\n",
            "src/z.md": "# Z\n\nText.\n",
            "src/part/a.md": "# A\n\nText.\n",
        }
    )

    assert paths(read(root, problems)) == ["z.html", "part/a.html", "b.html"]


def test_what_did_not_change_is_known_by_its_content(folder, problems):
    root = folder(**{"a.md": "# A\n\nText.\n", "b.md": "# B\n\nText.\n"})
    known = known_of(read(root, problems))
    folder(**{"b.md": "# B\n\nAnother.\n"})

    unchanged, changed = read(root, problems, known)

    assert unchanged == UnchangedPage(f"{BOOK}/a.html")
    assert changed.sections[0].text == "Another."


def test_hostile_files_are_one_sentence_each(folder, problems, tmp_path):
    (tmp_path / "secret.md").write_text("# Secret\n")
    root = folder(
        **{
            "a.md": "# A\n\nText\0.\n\n<script>x()</script>\n\n[out](../../secret.md)\n",
            "b.md": "# B\n\n" + "[" * 10_000,
            "c.md": "---\nx: &a [*a, *a]\ny: " + "[" * 5000 + "\n---\n\n# C\n\nText.\n",
        }
    )
    (root / "d.md").symlink_to(tmp_path / "secret.md")
    with (root / "e.md").open("wb") as file:
        file.truncate(50 * 2**20)

    started = time.monotonic()
    pages = read(root, problems)

    assert [page.title for page in pages] == ["A", "C"]
    assert pages[0].sections[0].text.startswith("Text")
    assert "x()" not in pages[0].sections[0].text
    assert problems == [
        "d.md was left out, because it leads out of the folder.",
        "b.md was left out, because it has too many brackets in one paragraph.",
        "e.md was left out, because it has more than 10 MB.",
    ]
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "text", ["[" * 4000, "[a](" * 4000, "*a **b " * 3000, "> " * 2000, "`" * 5000, "<" * 5000]
)
def test_no_text_takes_the_parser_long(text):
    started = time.monotonic()
    html_of(text, PLAIN, str)
    assert time.monotonic() - started < 20


def test_more_brackets_than_the_parser_can_take_are_refused():
    with pytest.raises(PageError, match="too many brackets"):
        html_of("[" * 5000, PLAIN, str)


@pytest.mark.parametrize(
    "settings", ["docs_dir: ../..", "docs_dir: gone", "a: [", "a: &a [*a]\ndocs_dir: *a"]
)
def test_a_broken_configuration_is_one_sentence(folder, problems, settings):
    root = folder(**{"mkdocs.yml": settings, "a.md": "# A\n\nText.\n"})

    with pytest.raises(SourceError, match=r"^mkdocs\.yml .*\.$"):
        read(root, problems)


@pytest.mark.parametrize(
    ("heading", "github", "mkdocs"),
    [
        ("Sensors & prices", "sensors--prices", "sensors-prices"),
        ("ROS 2: `rclpy`!", "ros-2-rclpy", "ros-2-rclpy"),
        ("Über uns", "über-uns", "uber-uns"),
        ("روبوٹ کیا ہے؟", "روبوٹ-کیا-ہے", ""),
        ("snake_case - x²", "snake_case---x", "snake_case-x2"),
    ],
)
def test_ids_of_headings_are_those_of_the_generators(heading, github, mkdocs):
    assert github_slug(heading) == github
    assert python_markdown_slug(heading) == mkdocs


def test_repeated_headings_have_ids_of_their_own():
    ids = Ids(github_slug, "-")

    assert [ids.of("A"), ids.of("A"), ids.take("a-2"), ids.of("A"), ids.of("?!")] == [
        "a",
        "a-1",
        "a-2",
        "a-3",
        "-1",
    ]
    assert [Ids(python_markdown_slug, "_").of(each) for each in ("A", "?")] == ["a", "_1"]
