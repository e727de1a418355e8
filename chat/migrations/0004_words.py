"""The search column of messages (see `chat.models.Words`) and its index.

PostgreSQL refuses a vector of more than a megabyte, hence the limit.
"""

from django.db import migrations

ADD = """
ALTER TABLE chat_message ADD COLUMN words tsvector
    GENERATED ALWAYS AS (to_tsvector('english', left(content, 100000))) STORED;
CREATE INDEX chat_message_words ON chat_message USING gin (words);
"""
REMOVE = "ALTER TABLE chat_message DROP COLUMN words;"


class Migration(migrations.Migration):

    dependencies = [
        ("chat", "0003_review"),
    ]

    operations = [migrations.RunSQL(ADD, REMOVE)]
