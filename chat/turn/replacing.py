"""What a question replaces: an earlier one of its session, and all after it.

Those rows are kept and marked `replaced` in the statement that stores the question; pending replies
among them are stopped. "After" goes by the ids, whatever was replaced before: of two questions that
replace the same one, the one that is stored later replaces the other as well, so that one line of
questions and replies is left.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chat.turn.turn import Question

# A condition of admission; that it was replaced before does not matter.
KNOWN = """
    EXISTS (
        SELECT FROM chat_message
        WHERE session_id = %(session)s AND id = %(replaces)s AND role = 'user'
    )
"""
# The statement does not see what was stored while it waited for the session, and would leave it in
# place. So it fails then (`updated_at` must not be null), and the closer look locks first.
SESSION = """
    UPDATE chat_session AS locked SET updated_at = CASE
        WHEN locked.xmin = (SELECT seen.xmin FROM chat_session AS seen WHERE seen.id = %(session)s)
        THEN %(now)s
    END
    FROM admitted WHERE locked.id = %(session)s
    RETURNING locked.id
"""
# Locked in the order in which the heartbeat locks them. A reply goes with its question, even where
# another question of the same millisecond has an id between theirs.
REPLACED = """
replaced AS (
    UPDATE chat_message AS earlier SET
        replaced = true, stop_requested = earlier.stop_requested OR earlier.status = 'pending'
    FROM (
        SELECT later.id FROM session CROSS JOIN chat_message AS later
        WHERE later.session_id = %(session)s AND later.id >= %(replaces)s
            AND coalesce(later.reply_to_id, later.id) >= %(replaces)s AND NOT later.replaced
        ORDER BY later.id FOR UPDATE OF later
    ) AS later
    WHERE earlier.session_id = %(session)s AND earlier.id = later.id
    RETURNING earlier.id
),
"""
IDS = "ARRAY(SELECT id FROM replaced)"
NO_IDS = "ARRAY[]::uuid[]"


def conditions(session_id: UUID, question: Question) -> dict[str, Mapping[str, Any]]:
    """For `limits.admission`."""
    if not question.replaces:
        return {}
    return {KNOWN: {"session": session_id, "replaces": question.replaces}}
