"""A small book for a cluster of its own."""

from pathlib import Path

from embedded.postgres import Cluster
from tests.helpers.commands import manage
from tests.helpers.scripted_model import ScriptedModel


def index_book(folder: Path, cluster: Cluster, model: ScriptedModel, page: str) -> None:
    """Index one page of Markdown, with the scripted model's embeddings."""
    source = folder / "book"
    source.mkdir()
    (source / "page.md").write_text(page)
    settings = {"DATABASE_URL": cluster.url(), "OPENAI_BASE_URL": model.base_url}
    settings |= {"OPENAI_MODEL": "scripted", "EMBEDDING_MODEL": "word-vectors"}
    settings |= {"BOOK_URL": "https://book.example/", "BOOK_QUESTIONS": "0"}
    indexed = manage("index_book", str(source), **settings)
    assert indexed.returncode == 0, indexed.stderr
