"""*Index again* in the admin: a run in the background, its progress, how the last one ended."""

import signal

import psutil
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import expect

from book import index as indexing
from book import runs
from book.locks import locked
from book.models import Edition, Run
from tests.helpers.browser import elsewhere, log_in, overflow
from tests.helpers.indexed_book import empty_tables, questions_about, written
from tests.helpers.scripted_model import Reply
from tests.helpers.waiting import eventually

EDITIONS = "/admin/book/edition/"
AGAIN = f"{EDITIONS}index-again/"


def staff(name, *permissions):
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ann(db):
    return staff("ann", "view_edition", "index_book")


# What a run leaves --------------------------------------------------------------------------
@pytest.mark.django_db
def test_every_run_is_kept_with_its_warnings_and_how_it_ended(index, models, settings, ann):
    settings.EMBEDDING_MODEL = "none"
    index()

    run = Run.objects.get()
    assert run.result.startswith("Edition 1 is current: 2 pages, 5 sections")
    assert (run.stage, run.done, run.total, run.error) == ("chunks", 15, 15, "")
    assert run.warnings == [
        "No embedding model is configured: the book is searched by its words alone."
    ]
    page = ann.get(EDITIONS).content.decode()
    assert "Edition 1 is current: 2 pages" in page
    assert "1 warning<" in page
    assert "data-at-work" not in page


@pytest.mark.django_db
def test_a_run_that_fails_says_why_until_one_succeeds(index, models, tmp_path, ann):
    with pytest.raises(indexing.SourceError):
        index(tmp_path / "nowhere")

    assert "There is no folder or file" in ann.get(EDITIONS).content.decode()
    index()
    assert "There is no folder or file" not in ann.get(EDITIONS).content.decode()


@pytest.mark.django_db
def test_what_nobody_expects_is_no_text_of_an_exception(index, monkeypatch, ann):
    def fail(*arguments):
        raise KeyError("secret")

    monkeypatch.setattr("book.index.make_chunks", fail)
    with pytest.raises(KeyError):
        index()

    page = ann.get(EDITIONS).content.decode()
    assert runs.UNEXPECTED in page
    assert "secret" not in page


# Who may, and when --------------------------------------------------------------------------
def test_only_those_who_may_find_a_button_and_only_where_there_is_a_source(ann, settings):
    settings.BOOK_SOURCE = "https://book.example/"
    assert AGAIN in ann.get(EDITIONS).content.decode()
    vera = staff("vera", "view_edition")
    assert AGAIN not in vera.get(EDITIONS).content.decode()
    settings.BOOK_SOURCE = ""
    assert AGAIN not in ann.get(EDITIONS).content.decode()


def test_no_run_is_started_by_others_by_get_or_from_other_sites(ann, settings):
    settings.BOOK_SOURCE = "https://book.example/"
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = ann.cookies

    assert ann.get(AGAIN).status_code == 405
    assert strict.post(AGAIN).status_code == 403
    assert staff("vera", "view_edition").post(AGAIN).status_code == 403
    assert staff("bob", "index_book").post(AGAIN).status_code == 403
    assert staff("eve").get(f"{EDITIONS}run/").status_code == 403
    assert Client().post(AGAIN).status_code == 302
    settings.BOOK_SOURCE = ""
    assert "Set BOOK_SOURCE" in ann.post(AGAIN, follow=True).content.decode()
    assert not Run.objects.exists()


def test_while_a_run_works_no_other_is_started(ann, settings):
    settings.BOOK_SOURCE = "https://book.example/"

    with locked(runs.LOCK, lambda: None):
        page = ann.post(AGAIN, follow=True).content.decode()
        assert "A run works already." in page
        assert "data-at-work" in page
    assert not Run.objects.exists()
    assert runs.announce("x")
    assert runs.announce("x") is None  # one is about to start


def test_a_run_that_was_killed_is_interrupted(ann):
    Run.objects.create(source="x", stage="pages")
    Edition.objects.create(source="x")
    draft = '<td class="field-state">{}</td>'

    with locked(runs.LOCK, lambda: None):
        assert draft.format("being indexed") in ann.get(EDITIONS).content.decode()
    page = ann.get(EDITIONS).content.decode()
    assert "It was interrupted." in page
    assert draft.format("interrupted; the next run goes on with it") in page
    assert '<td class="field-pages">-</td>' in page  # they are counted in the end
    assert runs.announce("x")


# In the background --------------------------------------------------------------------------
@pytest.fixture
def operator(serve, command_environment, models, tmp_path, visit, stored):
    """Opens the page of editions of a server that reads a folder; Olga may do everything."""
    elsewhere(empty_tables)
    folder = written(tmp_path / "book")
    server = serve(**command_environment | {"BOOK_SOURCE": str(folder)})
    elsewhere(lambda: User.objects.create_superuser("olga", password="pass phrase"))
    page = visit(base_url=server.base_url)
    log_in(page, "olga", "pass phrase")
    page.goto(EDITIONS)
    yield page, server, folder
    elsewhere(lambda: (empty_tables(), User.objects.all().delete()))


@pytest.fixture
def indexers(environment):
    """The processes of runs in this test's database."""

    def is_ours(process):
        if not {"index_book", "--run"} <= set(process.info["cmdline"] or ()):
            return False
        return process.environ().get("DATABASE_URL") == environment["DATABASE_URL"]

    return lambda: list(filter(is_ours, psutil.process_iter(["cmdline"])))


def test_a_run_is_watched_and_outlives_the_worker_that_started_it(operator, models, indexers):
    page, server, _ = operator
    models.decides(lambda body: Reply(hold=True))

    page.get_by_role("button", name="Index again").click()
    expect(page.locator("#run")).to_contain_text("of 5 sections with questions", timeout=30_000)
    expect(page.get_by_role("button", name="Index again")).to_have_count(0)
    assert overflow(page) <= 0
    for worker in server.workers():
        worker.send_signal(signal.SIGTERM)
    models.decides(lambda body: Reply(questions_about(body["messages"][0]["content"])))
    models.release()

    expect(page.locator("#run")).to_contain_text("Edition 1 is current", timeout=30_000)
    expect(page.locator("#result_list")).to_contain_text("Edition 1")
    eventually(lambda: not indexers())


def test_how_a_run_has_failed_is_shown(operator, models):
    page, _, folder = operator
    for file in folder.iterdir():
        file.unlink()

    page.get_by_role("button", name="Index again").click()

    expect(page.locator("#run .errornote")).to_contain_text("No page", timeout=30_000)
    assert elsewhere(lambda: Edition.objects.current().exists()) is False


def test_a_run_ends_with_its_server(operator, models, indexers):
    page, server, _ = operator
    models.decides(lambda body: Reply(hold=True))
    page.get_by_role("button", name="Index again").click()
    expect(page.locator("#run")).to_contain_text("of 5 sections with questions", timeout=30_000)
    (run,) = indexers()
    page.close()

    server.stop()

    run.wait(20)
    models.release()
    assert elsewhere(lambda: Run.objects.first().ended_at) is None
    assert elsewhere(runs.is_running) is False
