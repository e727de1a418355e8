"""Marks in what a model writes become numbers for readers, however it is cut into deltas."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chat.citations.links import AllowedLinks
from chat.citations.marks import hand_out
from chat.citations.parser import Parser
from chat.citations.sentences import cited_sentences, last_sentence, without_numbers

FIRST, SECOND, SILENT = "k7m2x", "m2k4s", "z9z9z"
STRANGE = "h3h3h"
BOOK = "https://book.example"

many = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def parser():
    links = AllowedLinks([f"{BOOK}/docs/nodes"], ["See https://ros.example/spec.", "a question"])
    return Parser([FIRST, SECOND], SILENT, links)


def read(*deltas):
    """The reader's text, and the parser."""
    parsing = parser()
    text = "".join(map(parsing.feed, deltas))
    return text + parsing.finish(), parsing


def shown(text):
    return read(text)[0]


def test_marks_are_distinct_and_look_like_no_word():
    marks = hand_out(200)

    assert len(set(marks)) == 200
    assert all(re.fullmatch("([a-z][2-9]){2}[a-z]", mark) for mark in marks)
    assert set(marks) != set(hand_out(200))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Nodes talk [k7m2x].", "Nodes talk [1]."),
        ("A [m2k4s]. B [k7m2x].", "A [1]. B [2]."),
        ("A [k7m2x, m2k4s].", "A [1][2]."),
        ("A [k7m2x; m2k4s].", "A [1][2]."),
        ("A [k7m2x and m2k4s].", "A [1][2]."),
        ("A [k7m2x، m2k4s]۔", "A [1][2]۔"),
        ("A [k7m2x][m2k4s].", "A [1][2]."),
        ("A【k7m2x】.", "A[1]."),
        ("A ［k7m2x］.", "A [1]."),
        ("A [^k7m2x].\n\n[^k7m2x]: Nodes", "A [1].\n\n[1] Nodes"),
        ("A (k7m2x).", "A [1]."),
        ("A （k7m2x）.", "A [1]."),
        ("A (source: k7m2x, m2k4s).", "A [1][2]."),
        ("A [k7m2x†source].", "A [1]."),
        ("A 【k7m2x†L1-L3】.", "A [1]."),
        ("A [[k7m2x]].", "A [1]."),
        ("A [k7m2x] [k7m2x].", "A [1]."),
        ("A **[k7m2x]**.", "A **[1]**."),
        ("Call `spin()`[k7m2x].", "Call `spin()`[1]."),
        ("A \\[k7m2x\\].", "A [1]."),
        ("A [K7M2X].", "A [1]."),
        ("As k7m2x says", "As [1] says"),
        (f"A [k7m2x]({BOOK}/a).", "A [1]."),
        ("A [source: k7m2x].", "A [1]."),
        ("A [excerpt k7m2x].", "A [1]."),
        ("A `[k7m2x]`.", "A [1]."),
        ("A [k7m2x and more", "A [1] and more"),
        ("(see chapter two, k7m2x)", "(see chapter two, [1])"),
        ("[k7m2x]: a definition", "[1] a definition"),
        ("see[k7m2x, <b>a</b> and so on](https://evil.example)", "see[1], <b>a</b> and so on"),
        ("A [k7m2x](no link, as it has spaces)", "A [1] (no link, as it has spaces)"),
        ("[Nodes](k7m2x) and [1](m2k4s)", "Nodes [1] and [2]"),
        ("A [k7m2x](m2k4s).", "A [1][2]."),
        (f"[Nodes [k7m2x]]({BOOK}/a)(m2k4s)", f"[Nodes]({BOOK}/a)[1][2]"),
        (f"Great![k7m2x]({BOOK}/a)", "Great![1]"),
        ("A [m2k4s]\n\n[k7m2x][m2k4s]", "A [1]\n\n[2][1]"),
        ("A ` b k7m2x (m2k4s)", "A ` b [1][2]"),
    ],
)
def test_each_way_to_write_a_mark_becomes_its_number(written, expected):
    assert shown(written) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("A [h3h3h].", "A."),
        ("A [h3h3h] b", "A b"),
        ("A [a1b2c, x9y8z] b", "A b"),
        ("A h3h3h b", "A b"),
        ("A **[h3h3h]** b", "A b"),
        ("A (h3h3h), b", "A, b"),
        ("A [h3h3h][k7m2x].", "A [1]."),
        ("A\n\n[h3h3h]\n\nB", "A\n\nB"),
        ("A [3], b [1, 2] c [^2] d【3】 e [4-6].", "A, b c d e."),
        ("[2]: https://evil.example", "`https://evil.example`"),
        ("Between [0, 1] or [x], [ ] and [k7]", "Between [0, 1] or [x], [ ] and [k7]"),
        ("Let $x[3] = 2$ [3].", "Let $x[3] = 2$."),
        ("$g[3](y)$ costs $5 [3], not $7 or `$x`", "$g[3] (y)$ costs $5, not $7 or `$x`"),
        ("- $5 or\n$$\na[3]\n$$", "- $5 or\n$$\na[3]\n$$"),
        ("**A [h3h3h]** b **[h3h3h] c**", "**A** b **c**"),
        ("- A [h3h3h]\n\n      B", "- A\n\n      B"),
        ("- A\n\n  [h3h3h]\n     b", "- A\n\n  b"),
    ],
)
def test_what_was_not_handed_out_is_taken_away(written, expected):
    assert shown(written) == expected


def test_numbers_name_marks_in_order_of_appearance_with_the_sentence_that_cites():
    text, parsing = read("Nodes talk [m2k4s]. They have names, e.g. a.b [k7m2x], too [m2k4s].")

    assert text == "Nodes talk [1]. They have names, e.g. a.b [2], too [1]."
    cited = [(mark, last_sentence(text)) for mark, text in parsing.cited]
    assert cited == [(SECOND, "Nodes talk"), (FIRST, "They have names, e.g. a.b")]


@pytest.mark.parametrize(
    "written", ["[z9z9z]\n\nNot covered.", " z9z9z Not covered.", "Not covered. [z9z9z]\n"]
)
def test_the_silent_mark_is_noted_and_leaves_no_space(written):
    text, parsing = read(written)

    assert (text, parsing.is_silent) == ("Not covered.", True)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "```py\na[k7] = x[0]  # [k7m2x]\nf(k2)[3]\n```\n",
            "```py\na[k7] = x[0]  # \nf(k2)[3]\n```\n",
        ),
        ("- a\n  ~~~\n  [1](u) www.x.y k7m2x\n  ~~~\n", "- a\n  ~~~\n  [1](u) www.x.y \n  ~~~\n"),
        ("> ```\n> x[3]\nend [3]", "> ```\n> x[3]\nend"),
        (
            "A\n\n    x[3] <https://evil.example>\n\nB [3]",
            "A\n\n    x[3] <https://evil.example>\n\nB",
        ),
        ("`a[1]` and ``b ` [2]`` [3]", "`a[1]` and ``b ` [2]``"),
        ("`x[k7m2x]`", "`x`"),
        ("It is `a[3] [k7m2x]\n\nB `x[3]`", "It is `a [1]\n\nB `x[3]`"),
        ("````\n```\n[3]\n````\n[3]", "````\n```\n[3]\n````\n"),
        ("a `b\n| c` [k7m2x]", "a `b\n| c` [1]"),
        ("`ls | wc [k7m2x]`\nor", "`ls | wc `\nor"),
        ("x = a  # 【k7m2x†L1-L3】".join(["```\n", "\n```"]), "```\nx = a  # \n```"),
        (
            "A\n         ```\n         # x[3]\n         ```",
            "A\n         ```\n         # x[3]\n         ```",
        ),
        ("A ` b\n* * *\n    x[3]", "A ` b\n* * *\n    x[3]"),
        ("A ` [h3h3h]\n\n`y`[k7m2x]`x[3]`", "A ` \n\n`y`[1]`x[3]`"),
    ],
)
def test_code_stays_as_it_is_but_for_marks(written, expected):
    assert shown(written).rstrip() == expected.rstrip()


ROWS = "|---|---|\n| c ` d | [k7m2x] ` |"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (f"| a | b |\n{ROWS}", "| c ` d | [1] ` |"),
        (f"| a ` [k7m2x] | b ` |\n{ROWS}", "| a ` [1] | b ` |"),
        (f"Text ` with\n| a [k7m2x] | b ` |\n{ROWS}", "| a [1] | b ` |"),
        (f"a ` [k7m2x] | b\n{ROWS}", "a ` [1] | b"),
        (f"> | a | b |\n> {ROWS}", "| c ` d |  ` |"),
        ("| a |\n|---|---|\n| c ` d | [k7m2x] ` |", "| c ` d |  ` |"),
        (f"| a | b |\n{ROWS} e ` [k7m2x] | f ` |", "| e ` [1] | f ` |"),
        (f"| a | b |\n{ROWS}\n\nText ` with\n| c [k7m2x] `", "| c  `"),
        (f"| a | b |\n{ROWS}\nrow ` of one\n[k7m2x] `", "[1] `"),
        (f"a ` b\nc ` d | e\n{ROWS}", "|---|---|\u200b"),
    ],
)
def test_inline_code_ends_with_its_cell_in_tables_and_nowhere_else(written, expected):
    assert expected in shown(written).split("\n")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[h3h3h][k7m2x]\t[2]: x", "[1]\tx"),
        (f"A [k7m2x][foo]\n\n[foo]: {BOOK}/a", f"A [1] [foo]\n\n[foo]: {BOOK}/a"),
        ("A\n- [h3h3h]\nB", "A\n- \u200b\nB"),
        ("<br>h3h3h\nA [k7m2x]", "<br>\u200b\nA [1]"),
        ("A | b\n--|--[h3h3h]\n", "A | b\n--|--\u200b\n"),
        ("A `b\n[h3h3h]\nc` [k7m2x]", "A `b\n\u200b\nc` [1]"),
        ("[k7m2x] k7m2x  :// A", "[1] // A"),
        ("```\n```[h3h3h]\nx[3]\n```", "```\n```\u200b\nx[3]\n```"),
        ("```\n```[h3h3h]", "```\n```\u200b"),
        ("A `b\nh3h3h~~~\nc` [k7m2x]", "A `b\n\u200b~~~\nc` [1]"),
        ("A `` \\`a [3]` [k7m2x]", "A `` \\`a ` [1]"),
        ("- [3]     A [k7m2x]", "- A [1]"),
        ("> A\n1. \n\n       x[3]", "> A\n1. \n\n       x[3]"),
        ("> A | ` b [h3h3h]\n--|--\n[k7m2x] `", "> A | ` b \n--|--\u200b\n\u200b `"),
        ("A ` b\n**h3h3h**\nc", "A ` b\n****\u200b\nc"),
        ("A ` b\n    > [k7m2x]` c", "A ` b\n    > ` c"),
        ("A\n> *\n    x[3]", "A\n> *\n    x[3]"),
        ("A\n\n[h3h3h]# B", "A\n\n\u200b# B"),
        ("[foo][2]: [k7m2x]", "[foo]\\: [1]"),
        ("- A | b [k7m2x]\n---\n> B\n***\nC", "- A | b [1]\n---\n> B\n***\nC"),
        ("A `b`\n[h3h3h] **[k7m2x]** c", "A `b`\n**[1]** c"),
    ],
)
def test_what_is_left_of_a_line_means_what_it_meant(written, expected):
    assert shown(written) == expected


@pytest.mark.parametrize(
    "link",
    [
        f"[t]({BOOK}/a_(b))",
        f'[t](<{BOOK}/a> "Title")',
        f"![t]({BOOK}/a.png)",
        f"<{BOOK}/a>",
        f"{BOOK}/a?b=c#d",
        "https://ros.example/spec",
        f'<a href="{BOOK}/a">t</a>',
        f"[t]: {BOOK}/a",
        "HTTPS://BOOK.example:443/a",
        f"[`spin(a[3])` of `rclpy`]({BOOK}/a)",
    ],
)
def test_links_to_the_book_and_to_what_the_model_was_given_are_kept(link):
    assert shown(link) == link


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[the *text*](https://evil.example/a)", "the *text*"),
        ("![a picture](https://evil.example/p.png)", "a picture"),
        ("[![alt](https://evil.example/p)](https://evil.example)", "alt"),
        ("<https://evil.example>!", "`https://evil.example`!"),
        ("At https://evil.example, www.x.example.", "At `https://evil.example`, `www.x.example`."),
        ("`[a](/b)\n<div\n`", "`a\n&lt;div\n`"),
        ("https://evil.example۔", "`https://evil.example`۔"),
        ("[`a` \\`[b](https://evil.example)`](https://evil.example/c)", "`a` \\`b`"),
        ("https://ros.example/other", "`https://ros.example/other`"),
        ("[t](https://book.example@evil.example)", "t"),
        ("[t](https://book.example.evil.example)", "t"),
        ("[t](https:\\\\book.example)", "t"),
        ("[t](https://book.example&#64;evil.example/)", "t"),
        ("[t](https://book.example:444/)", "t"),
        ("[t](//evil.example)", "t"),
        ("[t](javascript:alert(1))", "t"),
        ("[t](/a/page)", "t"),
        ("[t]: https://evil.example", "t: `https://evil.example`"),
        ('<a href="https://evil.example">t</a>', "t"),
        ("<img src='https://evil.example/p' alt='A map'>", "A map"),
        ("Vec<T> <script>", "Vec&lt;T> &lt;script>"),
        ("[[[[[[t]]]]]](https://evil.example)", "[[[[[[t]]]]]] (`https://evil.example`)"),
    ],
)  # fmt: skip
def test_invented_links_are_shown_as_text(written, expected):
    assert shown(written) == expected


@pytest.mark.parametrize(
    "deltas",
    [
        ["Nodes", " talk"],
        [" Each", " node"],
        ["How", " so"],
        ["T", "he", " node"],
        ["1", ".", " Open"],
        ["**", "Nodes", "**", " talk"],
        ["(", "The", " node"],
        ["`", "ros2", " topic"],
        ["#", " Nodes", "\n"],
        ["|", " Node", " |", " Topic", " |", "\n"],
        ["Nodes", " |", " `", "ros2", "`", "\n"],
    ],
)
def test_the_first_word_is_not_held_back(deltas):
    word = "".join(deltas).split()[0]
    parsing, written, got = parser(), "", ""
    for delta in deltas:
        written, got = written + delta, got + parsing.feed(delta)
        if len(written.split()) > 1 or written[-1].isspace():  # it is complete
            assert word in got


def test_what_is_held_back_is_let_go_at_some_point():
    parsing = parser()
    for beginning in ("[", "[a](https://evil.example/", "`a [", "$x [3] ", "<a "):
        assert len(parsing.feed(f"\n\n{beginning}" + "b" * 3000 + " ")) > 2000, beginning


@pytest.mark.parametrize(
    "piece",
    ["[", "`", "`[", "[a](", "[a](b(", "$[1] ", "**[", "(k7m2x ", "> ", "``†", "[a][2]: ", "$`$"],
)
def test_hostile_text_takes_linear_time(piece):
    began = time.process_time()
    shown((piece * 20_000)[:20_000])

    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    ("before", "piece"), [("`", "\\"), ("`", "\n|"), ("`", "k7m2x, "), ("```\n[", "k7m2x, ")]
)
def test_hostile_code_takes_linear_time_and_is_not_held_back(before, piece):
    parsing, began = parser(), time.process_time()
    got = parsing.feed(before) + "".join(parsing.feed(piece) for _ in range(8000))
    shown(before + piece * 8000)

    assert time.process_time() - began < 2
    assert len(got) > 8000


@pytest.mark.parametrize(
    "text", ["(k7m2x and m2k4s) x", "`k7m2x and m2k4s` x", "`(k7m2x and m2k4s)`"]
)
def test_lists_of_marks_are_the_same_however_they_are_cut(text):
    whole = shown(text)

    for cut in range(len(text)):
        parsing = parser()
        assert parsing.feed(text[:cut]) + parsing.feed(text[cut:]) + parsing.finish() == whole


# Whatever is written -------------------------------------------------------------------------
PIECES = """
[k7m2x] ; [m2k4s] ; [k7m2x, m2k4s] ; 【k7m2x】 ; [^m2k4s] ; (k7m2x) ; [k7m2x†source] ; [[k7m2x]]
**[k7m2x]** ; `x`[k7m2x] ; \\[k7m2x\\] ; [K7M2X] ; k7m2x ; [k7m2x](https://evil.example/a)
[source: k7m2x] ; [h3h3h] ; [h3h3h, k7m2x] ; **[h3h3h]** ; h3h3h ; [z9z9z] ; [k7m2x ; k7m2x]
[[ ; ] ; ( ; ) ; ` ; `` ; ``` ; ~~~ ; $ ; <br> ; * ; _ ; ! ; \\ ; ]( ; < ; > ; : ; † ; " ; ' ; |
a[k7] ; arr[3] ; [3] ; [1, 2] ; [^2] ; 【3】 ; [2]: x ; [foo]: https://evil.example/x ; [t][foo]
[text](https://evil.example/x) ; [text](https://book.example/x) ; ![alt](https://evil.example/p)
<https://evil.example> ; https://evil.example/a ; https://book.example/a ; www.evil.example
https://book.example@evil.example/ ; [x](//evil.example) ; <a href="https://evil.example"> ; </a>
<img src=https://evil.example/p.png alt=pic> ; <div> ; Vec<T> ; <!-- ; ](https://evil.example/z)
# H ; - a ; 1. a ; > a ; The node ; says ; word. ; e.g. this ; کتاب۔ ; 本。
http ; ttps:// ; w ; ww ; k7 ; m2 ; x ; k ; h3 ; `k7m2x` ; `a[3]` ; ``a ` b``
"""
SPACE = [" ", " ", "\t", "\n", "\n\n", "\n- ", "\n> ", "\n    ", "\n```py\n", "\n```\n"]
TABLES = [
    *(
        "\n| a ` b | c |\n|---|---|\n| d ` |",
        "\n| `a|b` | c |\n|---|---|\n",
        "\n| a ` | b |",
        "\n|",
    ),
    *("\n|---|---|", "\n|---|", "\na | b", "\n--|--", "\n> | a ` |", "\n> |--|:-:|", "| `", " ` "),
]
TEXTS = st.lists(
    st.sampled_from(re.split(" ; |\n", PIECES.strip())) | st.sampled_from(SPACE + TABLES),
    max_size=25,
).map("".join)
MARK = re.compile(f"(?<![a-z0-9])({FIRST}|{SECOND}|{STRANGE}|{SILENT})(?![a-z0-9])", re.IGNORECASE)
markdown = MarkdownIt("commonmark").enable("table")


def tokens(text):
    for token in markdown.parse(text):
        yield token
        yield from token.children or ()


@many
@given(TEXTS, st.data())
def test_the_text_is_the_same_however_it_is_cut(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, parsing = read(text)

    for deltas in (pieces, text):
        cut, parsing_cut = read(*deltas)
        assert cut == whole
        assert (parsing_cut.cited, parsing_cut.is_silent) == (parsing.cited, parsing.is_silent)


@many
@given(TEXTS)
def test_no_mark_and_no_invented_link_reaches_a_reader(text):
    result = shown(text)

    assert not MARK.search(result)
    for token in tokens(result):
        addresses = [token.attrs.get("href"), token.attrs.get("src")]
        if token.type in {"html_inline", "html_block"}:
            addresses += re.findall(r"(?:href|src)=\W?([^\"'> ]+)", token.content)
        assert all(str(each).startswith(BOOK + "/") for each in addresses if each)


@many
@given(TEXTS.map(lambda text: text.replace("$", "")))
def test_each_number_has_its_source_and_each_source_its_number(text):
    result, parsing = read(text)
    prose = "\n".join(token.content for token in tokens(result) if token.type == "text")

    assert set(re.findall(r"\[(\d+)\]", prose)) == {
        str(number) for number, _ in enumerate(parsing.cited, start=1)
    }


CODE = st.text(alphabet="ab[]()k7{}<>:/. =1234\"'|*_#$", min_size=1, max_size=40)


@many
@given(st.lists(CODE.map(str.strip).filter(bool), min_size=1, max_size=5), TEXTS)
def test_no_code_is_touched(codes, text):
    prose = re.sub(r"[`~<]", "", text)
    written = "".join(f"{prose}\n\n```py\n{code} k7m2x\n```\n\nA `{code}` b\n\n" for code in codes)
    result = [token.content for token in tokens(shown(written)) if token.type == "fence"]

    assert result == [f"{code} \n" for code in codes]
    assert all(f"A `{code}` b" in shown(written) for code in codes)


# The final text ------------------------------------------------------------------------------
def test_sentences_and_the_numbers_that_they_cite():
    text = """## Nodes

See Fig. 3, e.g. the node of v2.0. It is 3.5 m long. [1] Then it runs [2][3]!
It goes on here.

- first item [1]
2. second: `a. b [9]` is code. Third [2].

| name | value [1] |
|---|---|
| c | d |

```py
x[1]. y
```
یہ ہے۔ دوسرا [1]۔ 本です。次[2]。

[3]
"""
    assert cited_sentences(text) == [
        ("Nodes", []),
        ("See Fig. 3, e.g. the node of v2.0.", []),
        ("It is 3.5 m long.", [1]),
        ("Then it runs!", [2, 3]),
        ("It goes on here.", []),
        ("first item", [1]),
        ("second: `a. b [9]` is code.", []),
        ("Third.", [2]),
        ("name value", [1]),
        ("c d", []),
        ("یہ ہے۔", []),
        ("دوسرا۔", [1]),
        ("本です。", []),
        ("次。", [2, 3]),
    ]


def test_numbers_are_taken_out_of_earlier_replies_but_not_of_code():
    text = "A [1]. B [1][2], `x[1]`\n\n```\ny[1]\n```\n[z](https://book.example) [2]"

    assert without_numbers(text) == ("A. B, `x[1]`\n\n```\ny[1]\n```\n[z](https://book.example)")
