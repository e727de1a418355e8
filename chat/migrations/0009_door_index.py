"""The index by which staff find what came in by another API, built while turns are stored."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False
    dependencies = [("chat", "0008_grounding_indexes")]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("door", ""), _negated=True),
                fields=["door", "session"],
                name="chat_message_door",
            ),
        ),
    ]
