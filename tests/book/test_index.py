"""Indexing: what a run stores, what it does not do again, what a failure leaves."""

import pytest
from django.db import connection

from book import chunks, contents, editions, search
from book import index as indexing
from book.locks import locked
from book.models import Chunk, Edition, Lexeme, Page, Posting, Question, QuestionSet, Section
from book.questions import TooManyFailures
from llm.errors import ModelError, ModelMisconfigured
from tests.helpers.indexed_book import NODES, questions_about
from tests.helpers.scripted_model import Reply, refusal

pytestmark = pytest.mark.django_db


def found(question):
    """The headings of what the words of a question find."""
    with connection.cursor() as cursor:
        cursor.execute(*search.statement(search.Query(question), 5))
        return [hit.title for hit in search.read_rows(cursor.fetchall(), 5).hits]


def embedded_texts(model):
    return [text for request in model.embedding_requests for text in request["input"]]


def test_a_first_run_makes_an_edition_of_pages_sections_questions_and_chunks(index):
    result = index()

    edition = Edition.objects.current().get()
    assert (result.edition, edition.number) == (1, 1)
    assert (edition.page_count, edition.section_count, edition.question_count) == (2, 5, 10)
    assert edition.embedding_model.endswith("/word-vectors")
    assert edition.dimension == 256
    assert edition.configurations == ["english"]
    assert edition.prompt_tokens == 5 * 11
    pages = contents.of_current_edition()["pages"]
    assert [section["title"] for page in pages for section in page["sections"]] == [
        "Nodes", "Names", "Parameters", "Topics", "Quality of service",
    ]  # fmt: skip
    assert pages[0]["sections"][1]["url"].startswith("https://book.example/docs/")


def test_where_nothing_has_changed_nobody_is_asked_and_no_edition_is_made(index, models):
    index()
    asked = len(models.requests), len(models.embedding_requests)

    assert index().edition is None

    assert (len(models.requests), len(models.embedding_requests)) == asked
    assert Edition.objects.count() == 1


def test_a_changed_paragraph_costs_one_section(index, models, book, observer):
    index()
    before = set(Section.objects.values_list("pk", flat=True))
    models.requests.clear()
    models.embedding_requests.clear()
    (book / "1-nodes.md").write_text(NODES.replace("`camera_driver`", "`laser_driver`"))

    result = index()

    assert (result.edition, result.changes) == (2, editions.Changes(added=1, removed=1))
    assert len(models.requests) == 1
    assert len(embedded_texts(models)) == 1  # its questions are the same as those of the former
    (new,) = Section.objects.exclude(pk__in=before)
    assert new.title == "Names"
    assert "laser_driver" in new.text


def test_what_the_book_does_not_say_any_more_is_not_found_but_stays_readable(index, book):
    index()
    old = Section.objects.get(heading_path__1="Parameters")
    assert found("Which parameters are declared?")[0] == "Parameters"
    (book / "1-nodes.md").write_text(NODES.partition("## Parameters")[0])

    index()

    assert "Parameters" not in found("Which parameters are declared?")
    assert not Chunk.objects.filter(section=old).exists()
    kept = contents.section(old.pk)
    assert (kept["edition"], kept["is_current"]) == (1, False)
    assert "declared with a type" in kept["text"]


def test_a_page_that_moves_keeps_its_questions_and_embeddings(index, models, book):
    index()
    models.requests.clear()
    models.embedding_requests.clear()
    (book / "2-topics.md").rename(book / "3-messages.md")

    assert index().edition == 2

    assert (models.requests, models.embedding_requests) == ([], [])
    assert Edition.objects.current().get().question_count == 10


def test_a_run_whose_model_fails_leaves_the_edition_and_the_next_one_goes_on(index, models, book):
    index()
    section = "\n\n## {0}\n\nThe {0} is a thing that this book now explains in a good many words.\n"
    more = "".join(map(section.format, ("gripper", "wheel", "arm", "leg", "head", "neck", "hand")))
    (book / "3-parts.md").write_text(f"# Parts\n{more}")
    models.requests.clear()

    def failing(body):
        if "gripper" in (prompt := body["messages"][0]["content"]):
            return Reply(questions_about(prompt))
        return refusal(400, "your account is not active", "account_deactivated")

    models.decides(failing)
    models.embeds(refusal(401, "no such key"))
    with pytest.raises(ModelError):
        index()

    assert Edition.objects.current().get().number == 1
    assert found("gripper") == []
    assert QuestionSet.objects.filter(questions__text="Why gripper?").count() == 1

    models.embeds(Reply())
    models.decides(lambda body: Reply(questions_about(body["messages"][0]["content"])))
    models.requests.clear()
    assert index().edition == 2
    assert "gripper" in found("What is a gripper?")
    assert not [each for each in models.requests if "The gripper is" in str(each)]


def test_what_was_embedded_before_a_failure_is_counted_and_not_asked_for_again(
    index, models, monkeypatch
):
    monkeypatch.setattr("book.embedding.BATCH", 1)
    models.embeds(Reply(), refusal(401, "no such key"))
    with pytest.raises(ModelError):
        index(with_questions=False)

    assert Edition.objects.get().embedding_tokens > 0

    first = embedded_texts(models)[0]
    models.embeds(Reply())
    models.embedding_requests.clear()
    index(with_questions=False)
    assert first not in embedded_texts(models)


def test_a_model_that_is_down_ends_the_run(index, models, settings, monkeypatch):
    settings.LLM_TIMEOUT_SECONDS = 0.2
    monkeypatch.setattr("book.questions.FAILURES_IN_A_ROW", 2)
    models.decides(lambda body: Reply(status=500))

    with pytest.raises(TooManyFailures):
        index()

    assert not Edition.objects.current().exists()


def test_a_model_that_is_misconfigured_is_asked_once(index, models):
    models.decides(lambda body: refusal(401, "wrong key"))

    with pytest.raises(ModelMisconfigured):
        index()

    assert len(models.requests) == 1


def test_a_section_without_usable_questions_is_skipped_with_a_warning_once(index, models, observer):
    def answer(body):
        prompt = body["messages"][0]["content"]
        return Reply("I'd rather not." if "> Names" in prompt else questions_about(prompt))

    models.decides(answer)
    index()

    assert [each for each in observer.warnings if "Names" in each]
    assert Edition.objects.current().get().question_count == 8
    models.requests.clear()
    assert index().edition is None
    assert models.requests == []


def test_questions_in_several_languages_are_asked_for_at_once_and_stemmed_in_each(
    index, models, settings
):
    settings.BOOK_LANGUAGES = ["de", "ur"]
    lines = "What are nodes?\nWie viele Knoten gibt es und was tun die alle?\nنوڈ کیا ہے اور کیوں؟"
    models.decides(lambda body: Reply(lines))

    index()

    assert "English, German, Urdu" in models.requests[0]["messages"][0]["content"]
    assert len(models.requests) == 5
    languages = dict(Question.objects.values_list("text", "language"))
    assert [languages[line] for line in lines.splitlines()] == ["en", "de", "ur"]
    edition = Edition.objects.current().get()
    assert edition.configurations == ["english", "german", "simple"]
    assert edition.configuration_chunks == [10, 5, 5]


def test_a_language_that_is_added_is_asked_for_alone(index, models, settings):
    index()
    settings.BOOK_LANGUAGES = ["de"]
    models.requests.clear()
    models.decides(lambda body: Reply("Wie viele Knoten gibt es und was tun die alle?"))

    assert index().edition == 2

    assert len(models.requests) == 5
    assert "Write them in German." in models.requests[0]["messages"][0]["content"]
    assert Question.objects.filter(language="en").count() == 10
    assert index().edition is None


def test_another_embedding_model_embeds_all_anew_as_an_edition(index, models, settings):
    index()
    models.embedding_requests.clear()
    models.requests.clear()
    settings.EMBEDDING_MODEL = "other-vectors"

    assert index().edition == 2

    assert len(embedded_texts(models)) == Chunk.objects.count() == 15
    assert models.requests == []
    assert {*Chunk.objects.values_list("embedding_model", flat=True)} == {
        Edition.objects.current().get().embedding_model
    }


def test_another_way_of_cutting_cuts_anew_and_embeds_what_differs(index, models, monkeypatch):
    index()
    models.embedding_requests.clear()
    models.requests.clear()
    cut = chunks.chunk_texts
    monkeypatch.setattr(chunks, "VERSION", chunks.VERSION + 1)
    monkeypatch.setattr(
        chunks,
        "chunk_texts",
        lambda path, text: [part.replace("one job", "a job") for part in cut(path, text)],
    )

    assert index().edition == 2

    assert models.requests == []
    assert len(embedded_texts(models)) == 1
    assert Chunk.objects.filter(version=chunks.VERSION).count() == 5
    assert Chunk.objects.count() == 15
    assert found("a process that does a job")[0] == "Nodes"
    assert index().edition is None


def test_without_an_embedding_model_the_words_are_searched(index, settings, observer):
    settings.EMBEDDING_MODEL = "none"

    index()

    assert [each for each in observer.warnings if "words alone" in each]
    assert found("What is best effort?")[0] == "Quality of service"


def test_a_dry_run_says_what_would_change_and_stores_nothing(index, models, book, observer):
    index()
    rows = [each.objects.count() for each in (Edition, Page, Section, Chunk)]
    (book / "2-topics.md").unlink()
    models.requests.clear()

    changes = indexing.dry_run(str(book), observer)

    assert changes == editions.Changes(added=0, removed=2)
    assert [each.objects.count() for each in (Edition, Page, Section, Chunk)] == rows
    assert models.requests == []


def test_it_says_before_what_questions_will_cost(index, settings, observer):
    settings.LLM_PRICE_PER_MILLION = (1000, 1000)

    index()

    assert "Sections without questions: 5." in observer.notes[0]
    assert "for about" in observer.notes[0]


def test_it_warns_where_the_answers_will_be_cut_off(index, settings, observer):
    settings.LLM_MAX_OUTPUT_TOKENS = 50
    index()
    assert not any("LLM_MAX_OUTPUT_TOKENS" in each for each in observer.warnings)

    settings.BOOK_LANGUAGES = ["de", "ur"]
    index()

    assert any("LLM_MAX_OUTPUT_TOKENS (50)" in each for each in observer.warnings)


def test_no_questions_asks_nobody(index, models):
    index(with_questions=False)

    assert models.requests == []
    assert Edition.objects.current().get().question_count == 0


def test_a_run_waits_for_another_one(index, observer, monkeypatch):
    class Waiting(Exception):
        pass

    def note(sentence):
        raise Waiting(sentence)

    monkeypatch.setattr(observer, "note", note)
    with locked(indexing.LOCK, lambda: None), pytest.raises(Waiting, match="another index_book"):
        index()


def test_the_index_of_words_knows_what_is_searched_and_nothing_else(index, book):
    index()
    (book / "2-topics.md").unlink()
    index()

    assert not Posting.objects.exclude(chunk__in=Chunk.objects.all()).exists()
    for lexeme in Lexeme.objects.all():
        assert lexeme.chunks == Posting.objects.filter(lexeme=lexeme).count() > 0
    assert not Lexeme.objects.filter(lexeme="publish").exists()


def test_an_empty_folder_changes_nothing(index, tmp_path):
    index()
    (tmp_path / "empty").mkdir()

    with pytest.raises(indexing.SourceError):
        index(tmp_path / "empty")

    assert Edition.objects.current().get().number == 1
