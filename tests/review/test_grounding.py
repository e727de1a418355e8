"""What staff see of what an answer rests on: in the list, its filters and the transcript."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.review.book import citing, exchange, publish, source

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_ours")]
SESSIONS = "/admin/chat/chatsession/"


def transcript(staff, reply):
    return staff.get(f"{SESSIONS}{reply.session_id}/change/").content.decode()


def test_a_reply_is_shown_with_its_sources_their_quotes_and_its_support(staff):
    node = publish(3, intro="A node is a <process>.")["intro"]
    reply = citing(node, reply={"edition": 3, "support": 0.756})

    page = transcript(staff, reply)

    assert '<li value="1"><a href="https://book.example/nodes#intro:~:text=x"' in page
    assert "Nodes \u203a Intro</a>" in page
    assert "A node is a &lt;process&gt;.</blockquote>" in page
    assert "support 90\u00a0%" in page
    assert "76\u00a0% supported" in page
    assert "from edition 3" in page
    assert f'<a href="/admin/book/section/{node.pk}/change/">' in page
    assert "not in the current edition" not in page
    assert "weakly supported" not in page


def test_a_source_that_the_book_no_longer_has_is_marked(staff):
    reply = citing(publish(1, intro="As it was.")["intro"])
    publish(2, intro="As it is.")

    assert transcript(staff, reply).count("not in the current edition") == 1


def test_an_address_that_is_no_web_page_is_no_link(staff):
    node = publish(1, intro="A node.")["intro"]
    reply = exchange({"sources": [source(node) | {"url": "javascript:alert(1)"}]})

    page = transcript(staff, reply)

    assert "Nodes \u203a Intro" in page
    assert "javascript:" not in page


def test_a_silent_reply_shows_the_nearest_sections_and_all_that_was_found(staff):
    intro, names = publish(1, intro="A node.", names="A name.").values()
    near = {"title": "Nodes", "section": "Names", "url": names.url, "section_id": names.pk}
    reply = exchange(
        {"grounding": "silent", "nearest": [near], "found": [names.pk, intro.pk]}, door="openai"
    )

    page = transcript(staff, reply)

    assert '<span class="badge">silent</span>' in page
    assert (
        f'<li><a href="{names.url}" rel="noopener noreferrer">Nodes \u203a Names</a></li>' in page
    )
    _, _, found = page.partition("2 sections found, best first")
    assert found.index("Nodes \u203a Names") < found.index("Nodes \u203a Intro")
    assert "Came in by openai" in page


@pytest.mark.parametrize(
    ("columns", "badge"),
    [
        ({"support": 0.49}, "weakly supported"),
        ({"misquotes": 1}, "misquote"),
        ({"misquotes": 2}, "2 misquotes"),
        ({"grounding": "excerpts", "support": None}, "excerpts"),
    ],
)
def test_a_badge_says_what_is_to_be_noticed(staff, columns, badge):
    reply = citing(publish(1, intro="A node.")["intro"], reply=columns)

    assert f'<span class="badge">{badge}</span>' in transcript(staff, reply)


def test_what_was_replaced_is_folded_and_says_so(staff):
    reply = exchange({"replaced": True}, replaced=True)
    exchange(session=reply.session)

    page = transcript(staff, reply)

    assert "Replaced question: <bdi>What is a node?</bdi>" in page
    assert page.count("<summary>Replaced") == page.count("Replaced reply: ") + 1 == 2


def test_a_transcript_needs_the_same_queries_whatever_it_cites(staff):
    node = publish(1, intro="A node.")["intro"]
    session = citing(node).session
    with CaptureQueriesContext(connection) as few:
        staff.get(f"{SESSIONS}{session.pk}/change/")
    for _ in range(5):
        exchange({"sources": [source(node)], "found": [node.pk]}, session=session)
    with CaptureQueriesContext(connection) as many:
        staff.get(f"{SESSIONS}{session.pk}/change/")

    assert len(many) == len(few)


def test_the_list_filters_by_silence_support_misquotes_and_door_and_counts_them(staff):
    node = publish(1, intro="A node.")["intro"]
    kinds = {
        "silent": exchange({"grounding": "silent"}),
        "weak": citing(node, reply={"support": 0.2}),
        "misquote": citing(node, reply={"misquotes": 1}),
        "door": citing(node, door="mcp"),
    }

    for name, reply in kinds.items():
        page = staff.get(SESSIONS, {name: "mcp" if name == "door" else "yes"})
        assert [row.pk for row in page.context["cl"].result_list] == [reply.session_id], name

    page = staff.get(SESSIONS).content.decode()
    for badge in ("silent", "weakly supported", "misquote"):
        assert page.count(f'<span class="badge {badge}">{badge}</span>') == 1
