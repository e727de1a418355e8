"""How PostgreSQL runs the statements that every turn needs, with many messages stored."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone

from benchmarks.environment import manage
from benchmarks.sides import MESSAGES_OF_A_SESSION
from chat.database import Statement
from chat.models import ChatSession, Message
from chat.turn import close, heartbeat, open
from chat.turn.turn import Question, Turn

MESSAGES = 100_000
PAGE = 50
WHOLE_TABLE = re.compile(r"Seq Scan on (chat_message|chat_session)\b")
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
# Of values, as psycopg tells them to PostgreSQL; it finds out the others by itself.
TYPES: dict[type, str] = {UUID: "uuid", datetime: "timestamptz", int: "bigint", list: "uuid[]"}
# A prepared statement's plan may be made for its values, or once for any.
PREPARED = {"planned for these values": "force_custom_plan", "for any": "force_generic_plan"}

type Plan = list[str]


def explain(messages: int) -> int:
    """Print the plans; how many of them read a whole table."""
    manage("migrate", "--verbosity", "0")
    sessions = max(messages // MESSAGES_OF_A_SESSION, 1)
    manage("seed_demo", "--sessions", str(sessions), "--seed", "1")
    whole = 0
    with transaction.atomic():
        for name, plan in plans():
            found = WHOLE_TABLE.findall("\n".join(plan))
            whole += bool(found)
            verdict = f" READS ALL OF {', '.join(found)}" if found else ""
            print(f"## {name}{verdict}\n", *plan, "", sep="\n")
        transaction.set_rollback(True)
    print(f"{whole or 'None'} of them read a whole table.")
    return whole


def plans() -> Iterator[tuple[str, Plan]]:
    """Of an unlimited service and of one with every limit, in the longest session."""
    longest = Message.objects.order_by().values("session").annotate(count=Count("pk"))
    session = longest.order_by("-count")[0]["session"]
    for limits, key in ((None, ""), ((30, 60), "a key")):
        settings.CHAT_RATE, settings.CHAT_DAILY_TOKEN_BUDGET = limits, 10**9 if limits else 0
        limited = "with key, rate and budget" if limits else "unlimited"
        for planned, mode in PREPARED.items():
            question = Question("Why?", session, client="a client", idempotency_key=key and mode)
            turn = Turn(question, session)
            opening = open.opening(turn, timezone.now())
            yield f"opening, {limited}, {planned}", prepared(opening, mode)
            end = close.End(Message.Status.COMPLETE, "So.", latency_ms=1)
            closing = close.closing(turn, timezone.now(), 10, end)
            yield f"closing, {limited}, {planned}", prepared(closing, mode)
    yield from captured("saving", lambda: heartbeat.save([(turn, "So")]))
    yield from captured("wanted", lambda: heartbeat.still_wanted([turn]))
    found = Message.objects.filter(session=session)
    yield from captured("session", lambda: ChatSession.objects.filter(id=session).first())
    yield from captured("history page", lambda: found.page(PAGE))
    before = found.order_by("-id")[1].id
    yield from captured("history page before another", lambda: found.page(PAGE, before))


def prepared(statement: Statement, mode: str) -> Plan:
    """As the turn's own connections run it, after its first few times."""
    names = list(dict.fromkeys(PLACEHOLDER.findall(statement.sql)))
    text = PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", statement.sql)
    values = [statement.values[name] for name in names]
    types = ", ".join(TYPES.get(type(value), "unknown") for value in values)
    places = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        cursor.execute(f"PREPARE measured ({types}) AS {text.replace('%%', '%')}")
        plan = explained(f"EXECUTE measured ({places})", values)
        cursor.execute("DEALLOCATE measured")
    return plan


def captured(name: str, run: Callable[[], object]) -> Iterator[tuple[str, Plan]]:
    """The plans of what it runs."""
    seen: list[tuple[str, Any]] = []

    def keep(execute: Any, text: str, values: Any, many: bool, context: Any) -> Any:
        seen.append((text, values))
        return execute(text, values, many, context)

    with connection.execute_wrapper(keep):
        run()
    for text, values in seen:
        yield name, explained(text, values)


def explained(text: str, values: Any) -> Plan:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {text}", values)
        return [line for (line,) in cursor.fetchall()]
