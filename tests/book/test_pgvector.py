"""The migration that needs pgvector says in a sentence what is missing."""

from importlib import import_module
from unittest.mock import MagicMock

import pytest
from django.core.management.base import CommandError

migration = import_module("book.migrations.0001_initial")


def editor(*rows):
    schema_editor = MagicMock()
    cursor = schema_editor.connection.cursor.return_value.__enter__.return_value
    cursor.fetchone.side_effect = rows
    return schema_editor, cursor


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([None], "does not have the extension pgvector"),
        ([("0.5.1", None)], "pgvector 0.5.1 is older than 0.7"),
        ([("0.8.0", "0.6.2")], "pgvector 0.6.2 is older than 0.7"),
        ([("0.8.0", None), (False, "reader")], "user reader may not create"),
    ],
)
def test_what_is_missing(rows, sentence):
    schema_editor, cursor = editor(*rows)

    with pytest.raises(CommandError, match=sentence):
        migration.create_pgvector(None, schema_editor)

    assert "CREATE EXTENSION" not in str(cursor.execute.call_args_list)


def test_an_extension_that_is_there_is_left_alone():
    schema_editor, cursor = editor(("0.8.5", "0.7.0"))

    migration.create_pgvector(None, schema_editor)

    assert cursor.execute.call_count == 1
