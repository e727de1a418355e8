"""GET /book, /book/search, /book/sections/{id}."""

import pytest

from book.models import Edition
from chat.models import RateWindow
from tests.helpers.indexed_book import BOOK_SETTINGS
from tests.helpers.scripted_model import Reply
from tests.helpers.server import running_server
from tests.helpers.waiting import eventually


@pytest.fixture(scope="module")
def book_server(environment, published, tmp_path_factory):
    settings = environment | {"EMBEDDING_MODEL": BOOK_SETTINGS["EMBEDDING_MODEL"]}
    with running_server(tmp_path_factory.mktemp("server") / "log", **settings) as running:
        yield running


@pytest.fixture
def get(book_server, model):
    def getting(path, **params):
        return book_server.client.get(path, params=params)

    return getting


def test_the_contents_are_pages_with_their_sections_in_order(get):
    answer = get("/book")

    assert answer.status_code == 200
    book = answer.json()
    assert book["title"] == "Physical AI & Humanoid Robotics"
    assert book["edition"] == 1
    assert book["indexed_at"]
    assert [page["title"] for page in book["pages"]] == ["Nodes", "Topics"]
    first, names, *_ = book["pages"][0]["sections"]
    assert (first["title"], first["level"]) == ("Nodes", 1)
    assert (names["title"], names["level"]) == ("Names", 2)
    assert names["url"].startswith(book["pages"][0]["url"])
    assert names["url"].endswith("#names")


def test_a_search_gives_whole_sections_best_first(get):
    answer = get("/book/search", q="How do I give a unique name?", limit=2)

    assert answer.status_code == 200
    found = answer.json()
    assert found["edition"] == 1
    best, second = found["results"]
    assert best.keys() == {"section_id", "title", "section", "url", "text", "score"}
    assert (best["title"], best["section"]) == ("Nodes", "Names")
    assert best["text"].startswith("Each node carries a name")
    assert 1 >= best["score"] >= second["score"] > 0


def test_a_search_asks_no_model_for_an_answer_and_survives_a_failing_embedding_service(get, model):
    model.embeds(Reply(status=500))

    answer = get("/book/search", q="unique name")

    assert answer.json()["results"][0]["section"] == "Names"
    assert model.requests == []


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "The question is missing."),
        ({"q": "  "}, "The question must not be empty."),
        ({"q": "x", "limit": 21}, "The limit must be at most 20."),
        ({"q": "x", "page_url": "ftp://x"}, "The page address must start with http"),
        ({"q": "a\0b"}, "The question contains a character that is not allowed."),
    ],
)
def test_a_search_that_is_not_valid_is_refused_with_a_sentence(get, params, sentence):
    answer = get("/book/search", **params)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["detail"].startswith(sentence)


def test_a_section_is_read_by_its_id(get):
    (found,) = get("/book/search", q="unique names", limit=1).json()["results"]

    section = get(f"/book/sections/{found['section_id']}").json()

    assert section == {
        "id": found["section_id"],
        "title": "Nodes",
        "section": "Names",
        "url": found["url"],
        "text": found["text"],
        "edition": 1,
        "is_current": True,
    }


@pytest.mark.parametrize(("section", "status"), [(2**62, 404), (0, 422), (2**63, 422), ("x", 422)])
def test_a_section_that_is_not_there(get, section, status):
    answer = get(f"/book/sections/{section}")

    assert answer.status_code == status
    assert answer.json()["detail"]


@pytest.mark.usefixtures("stored", "published")
def test_searches_count_to_the_clients_rate_together_with_questions(serve):
    RateWindow.objects.all().delete()
    client = serve(CHAT_RATE="2/h").client

    answers = [
        client.get("/book/search", params={"q": "names"}),
        client.post("/chat", json={"message": "?"}),
        client.get("/book/search", params={"q": "names"}),
    ]
    read = client.get("/book")
    RateWindow.objects.all().delete()

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert read.status_code == 200
    assert answers[-1].headers["Retry-After"]


@pytest.mark.usefixtures("stored")
def test_readiness_says_when_there_are_no_embeddings_and_is_ready_nevertheless(get):
    def ready():
        answer = get("/health/ready")
        return answer.status_code, answer.json()["status"], answer.json()["checks"]["book"]

    edition = Edition.objects.current().get()
    eventually(lambda: ready() == (200, "ready", "ok"))
    Edition.objects.current().update(embedding_model="")
    try:
        eventually(lambda: ready() == (200, "ready", "indexed without embeddings"))
    finally:
        edition.save()
