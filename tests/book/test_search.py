"""The search: what a question finds, and in which order."""

import asyncio

import pytest
from django.db import connection

from book import editions, question_vector, search, vectors
from book.evaluation import Case, try_one
from book.models import Chunk, Edition
from llm import completions
from tests.helpers.indexed_book import NODES
from tests.helpers.scripted_model import Reply

pytestmark = pytest.mark.django_db


def find(question, limit=5, **query):
    """What is found by words and, as far as there are embeddings, by meaning."""
    return executed(
        asyncio.run(question_vector.with_vector(search.Query(question, **query))), limit
    )


def executed(asked, limit):
    with connection.cursor() as cursor:
        cursor.execute(*search.statement(asked, limit))
        return search.read_rows(cursor.fetchall(), limit)


def titles(found):
    return [hit.title for hit in found.hits]


def places(found):
    return [(hit.title, hit.score, hit.by_questions) for hit in found.hits]


def test_a_section_is_found_by_its_words_by_its_meaning_and_by_its_questions(index):
    index()

    first, *_ = find("unique names in the graph").hits
    asked, *_ = find("What would a beginner ask about Parameters?").hits

    assert (first.title, first.by_words.place, first.by_texts.place) == ("Names", 1, 1)
    assert first.page_title == "Nodes"
    assert first.path == "Names"
    assert first.text.startswith("Each node carries a name")
    assert 0 < first.score <= 1
    assert (asked.title, asked.by_questions.place) == ("Parameters", 1)
    assert asked.by_questions.score == pytest.approx(1, abs=0.01)


def test_a_section_counts_once_however_many_of_its_chunks_are_found(index):
    index()

    found = titles(find("nodes topics names parameters quality beginner", limit=20))

    assert len(found) == len(set(found)) == 5


def test_sureness_is_high_where_the_words_are_known_and_one_section_stands_out(index):
    index()

    sure = find("Why Names?").sureness
    common, unknown = find("What would a beginner ask about?"), find("How do I bake bread at home?")

    assert 1 >= sure > common.sureness > unknown.sureness >= 0


def test_embeddings_count_little_in_a_language_that_their_model_does_not_know(
    index, models, settings
):
    settings.BOOK_LANGUAGES = ["de"]
    models.decides(
        lambda body: Reply(
            "Wie benenne ich sie?" if "> Names" in str(body) else "Warum ist das so wichtig?"
        )
    )
    index()
    asked = asyncio.run(question_vector.with_vector(search.Query("Reliable delivery of messages")))

    def lead_of_words(languages):
        vector = asked.vector._replace(languages=languages)
        hits = executed(search.Query("Wie benenne ich sie?", vector=vector), 5).hits
        score = {hit.title: hit.score for hit in hits}
        return score["Names"] - score["Quality of service"]

    assert lead_of_words(()) == lead_of_words(("de",)) == lead_of_words(("en", "de-AT"))
    assert lead_of_words(("en",)) > lead_of_words(()) + 0.2


def test_without_a_book_nothing_is_found(db, models):
    assert find("anything") is None


def test_a_question_of_stop_words_or_signs_alone_finds_no_words(index, settings):
    settings.EMBEDDING_MODEL = "none"
    index()

    for question in ("what is the", "???", "%s %(words)s", "a' OR 1=1 --"):
        assert all(hit.by_words is None for hit in find(question).hits) or "OR" in question


def test_stop_words_of_one_language_are_no_rare_words_of_another(index, models, settings, book):
    settings.BOOK_LANGUAGES = ["ur"]
    settings.EMBEDDING_MODEL = "none"
    urdu = "\u0646\u0648\u0688 the \u06a9\u06cc\u0627 \u06c1\u06d2\u061f"
    models.decides(
        lambda body: Reply(urdu if "> Parameters" in str(body) else "Why is a wombat blue?")
    )
    index()

    assert titles(find("the camera"))[0] in ("Names", "Quality of service")
    assert find("\u06a9\u06cc\u0627 \u06c1\u06d2 \u0646\u0648\u0688").hits[0].title == "Parameters"


def test_a_follow_up_is_searched_with_the_question_before_it(index):
    index()
    before = "What configures a node while it runs, with a type and a default value?"

    assert find("And how?", before=before).hits[0].title == "Parameters"
    alone = "Which delivery repeats lost messages over a topic that is reliable for subscribers?"
    assert titles(find(alone, before=before)) == titles(find(alone))


def test_the_readers_page_and_what_was_cited_count_a_little(index, book, settings):
    settings.BOOK_QUESTIONS = 0
    same = "# {0}\n\nThe gripper closes with a force that depends on the {1} and the motor.\n"
    (book / "3-left.md").write_text(same.format("Left", "first spring, its lever and joint"))
    (book / "4-right.md").write_text(same.format("Right", "second screw or the cable it pulls"))
    index()
    question = "gripper closes with force of a spring"
    first, second = find(question, 2).hits

    on_page = find(question, 2, page_url=f"{second.page_url}#anywhere").hits[1]
    both = find(question, 2, page_url=second.page_url).favouring([second.section_id])

    assert first.score > on_page.score > second.score
    assert titles(both) == [second.title, first.title]
    assert both.hits[0].score > first.score
    assert find("unique names in the graph", page_url=second.page_url).hits[0].title == "Names"


def test_near_duplicates_collapse(index, book):
    (book / "3-copy.md").write_text(NODES.replace("# Nodes", "# Nodes again", 1))
    index()

    found = titles(find("unique names in the graph", 10))

    assert found.count("Names") == 1
    assert len(found) >= 5


def test_what_a_run_has_stored_before_it_fails_changes_nothing_that_is_found(
    index, book, monkeypatch
):
    index(with_questions=False)
    before = places(find("Why Names?"))
    (book / "3-arm.md").write_text("# Arm\n\nWhy the names of an arm's gripper are in a graph.\n")

    def fail(draft):
        raise ConnectionError

    monkeypatch.setattr(editions, "publish", fail)
    with pytest.raises(ConnectionError):
        index()

    assert Chunk.objects.filter(kind=Chunk.Kind.QUESTION).count() == 12
    assert places(find("Why Names?")) == before


def test_another_embedding_model_than_the_editions_leaves_the_words(index, settings):
    index()
    settings.EMBEDDING_MODEL = "it's 100% new"

    found = find("unique names in the graph")

    assert found.hits[0].title == "Names"
    assert all(hit.by_texts is None and hit.by_questions is None for hit in found.hits)


def test_an_embedding_service_that_fails_or_is_slow_leaves_the_words(index, models, monkeypatch):
    index()
    monkeypatch.setattr(question_vector, "QUESTION_SECONDS", 0.1)
    question_vector._remembered.clear()
    for trouble in (Reply(status=401), Reply(delay=5), Reply(body=b"[]")):
        models.embeds(trouble)

        found = find("unique names in the graph")

        assert found.hits[0].title == "Names"
        assert found.hits[0].by_texts is None


def test_a_search_that_no_reader_waits_for_waits_for_a_slow_embedding(index, models, monkeypatch):
    index()
    monkeypatch.setattr(question_vector, "QUESTION_SECONDS", 0.05)
    question_vector._remembered.clear()
    models.embeds(Reply(delay=0.2))

    with asyncio.Runner() as runner:
        tried = try_one(Case("unique names in the graph"), runner)
        runner.run(completions.close_clients())

    assert tried.found.hits[0].by_texts


def test_a_question_that_several_ask_at_once_is_embedded_once(models):
    models.embeds(Reply(delay=0.1))
    query = search.Query("How do I name a node?")

    async def ask_at_once():
        hasty = asyncio.create_task(question_vector.with_vector(query))
        others = [asyncio.create_task(question_vector.with_vector(query)) for _ in range(5)]
        await asyncio.sleep(0.02)
        hasty.cancel()
        found = await asyncio.gather(*others)
        await completions.close_clients()
        return found

    found = asyncio.run(ask_at_once())

    assert len({each.vector for each in found}) == 1
    assert found[0].vector is not None
    assert len(models.embedding_requests) == 1


@pytest.mark.parametrize("odd", ["", "Question 3?"])
def test_questions_that_come_while_another_is_embedded_go_together(models, monkeypatch, odd):
    monkeypatch.setattr(question_vector, "QUESTION_SECONDS", 30)

    def reply(body):
        return Reply(status=400) if odd in body["input"] else Reply(delay=0.5)

    models.embeds(reply)

    def asked(number):
        query = search.Query(f"Question {number}?")
        return asyncio.create_task(question_vector.with_vector(query))

    async def ask_one_and_then_the_others():
        first = asked(0)
        await asyncio.sleep(0.05)
        found = await asyncio.gather(first, *map(asked, range(1, 6)))
        await completions.close_clients()
        return found

    found = asyncio.run(ask_one_and_then_the_others())

    assert [each.question for each in found if each.vector is None] == [odd] * bool(odd)
    sizes = [len(request["input"]) for request in models.embedding_requests]
    assert sizes == [1, 5] + [1] * 5 * bool(odd)  # each by itself where they are refused together


def test_many_chunks_are_found_by_an_index_with_the_same_result(index, monkeypatch):
    index()
    question = "What would a beginner ask about Names?"
    exact = [(hit.section_id, hit.by_questions) for hit in find(question).hits]
    edition = Edition.objects.current().get()
    monkeypatch.setattr(vectors, "INDEXED_FROM", 1)

    connection.check_constraints()  # nothing of this test's transaction is left to be checked
    vectors.ensure_indexes(edition.embedding_model, edition.dimension)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        query = asyncio.run(question_vector.with_vector(search.Query(question)))
        sql, values = search.statement(query, 5)
        cursor.execute(f"EXPLAIN {sql}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        assert plan.count("Index Scan using book_hnsw") == len(Chunk.Kind.values)
    assert [(hit.section_id, hit.by_questions) for hit in find(question).hits] == exact

    vectors.drop_indexes_except("another")
    with connection.cursor() as cursor:
        cursor.execute(vectors.NAMES)
        assert cursor.fetchall() == []


def test_common_words_are_weighed_in_full_where_only_the_best_postings_are_read(
    index, monkeypatch, settings
):
    settings.EMBEDDING_MODEL, settings.BOOK_QUESTIONS = "none", 0
    index()
    question = "node name type value message"
    whole = [(hit.title, round(hit.by_words.score, 4)) for hit in find(question).hits]

    monkeypatch.setattr(search, "MAX_POSTINGS", 1)
    search._sql.cache_clear()
    try:
        bounded = [(hit.title, round(hit.by_words.score, 4)) for hit in find(question).hits]
    finally:
        search._sql.cache_clear()

    assert bounded
    assert set(bounded) <= set(whole)
