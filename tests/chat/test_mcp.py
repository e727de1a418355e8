"""MCP at /mcp, as raw HTTP: tools, resources, versions, cancellation, refusals."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx2
import pytest
from django.db import connection, transaction
from django.test import AsyncRequestFactory
from jsonschema import Draft202012Validator

from chat.api.mcp import call_mcp
from chat.models import Message
from chat.turn import service
from chat.turn.turn import Question, Turn
from tests.helpers.marks import mark_of
from tests.helpers.scripted_model import Reply
from tests.helpers.waiting import eventually

META = "io.modelcontextprotocol/"
NEWEST = "2026-07-28"
BOTH = "application/json, text/event-stream"


def message(method, params=None, sent_id=1):
    found = {"jsonrpc": "2.0", "method": method, "params": params or {}}
    return found | ({"id": sent_id} if sent_id is not None else {})


@pytest.fixture
def post(book_server, model):
    def posting(body, **headers):
        return book_server.client.post("/mcp", json=body, headers=headers)

    return posting


@pytest.fixture
def use(post):
    """A tool's result, by a client of 2025-06-18 that takes no stream."""

    def using(name, **arguments):
        params = {"name": name, "arguments": arguments}
        headers = {"MCP-Protocol-Version": "2025-06-18", "Accept": "application/json"}
        return post(message("tools/call", params), **headers).json()["result"]

    return using


def newest(method, params=None, **changed):
    """A request of the stateless revision, and its headers."""
    meta = {META + "protocolVersion": NEWEST, META + "clientCapabilities": {}}
    params = {"_meta": meta | changed.pop("meta", {})} | (params or {})
    headers = {"MCP-Protocol-Version": NEWEST, "Mcp-Method": method, "Accept": BOTH}
    if name := params.get("name") or params.get("uri"):
        headers["Mcp-Name"] = name
    return message(method, params), headers | changed


def events(response):
    return [json.loads(line[6:]) for line in response.text.splitlines() if line[:6] == "data: "]


def test_search_and_fetch_follow_chatgpts_convention(use):
    found = use("search", query="How must a node be named?")
    first = found["structuredContent"]["results"][0]
    section = use("fetch", id=first["id"])

    (item,) = found["content"]
    assert json.loads(item["text"]) == found["structuredContent"]
    assert first["title"] == "Nodes › Names"
    assert first["url"].startswith("https://book.example/docs/")
    fetched = json.loads(section["content"][0]["text"])
    assert fetched.keys() == {"id", "title", "text", "url", "metadata"}
    assert "unique in the graph" in fetched["text"]


def test_ask_is_a_turn_whose_answer_has_numbered_sources(use, model):
    model.decides(lambda body: Reply(f"A node's name is unique [{mark_of(body, 'Names')}]."))

    found = use("ask", question="How must a node be named?")

    answer = found["structuredContent"]
    assert answer["response"] == "A node's name is unique [1]."
    assert answer["grounding"] == "book"
    assert f"[1] Nodes › Names: {answer['sources'][0]['url']}" in found["content"][0]["text"]
    use("ask", question="And then?", session_id=answer["session_id"])
    assert Message.objects.through("mcp").filter(session=answer["session_id"]).count() == 2


def test_a_session_id_that_is_no_uuid_is_answered_as_it_was_sent(use, model):
    session = f"session.of:{uuid4().hex}"

    answers = [use("ask", question="First?", session_id=session) for _ in range(2)]

    for answer in answers:
        assert answer["structuredContent"]["session_id"] == session
    assert [m["content"] for m in model.prompt[1:3]] == ["First?", "A scripted answer."]


def test_a_session_id_that_could_be_guessed_is_refused_with_a_sentence(use):
    found = use("ask", question="?", session_id="abc")

    assert found["isError"]
    assert found["content"][0]["text"].startswith("The session id must be a UUID or have 16 to 128")


def test_a_stream_reports_progress_and_ends_with_the_result(post, model):
    model.says(Reply(chunks=("One ", "two ", "three."), gap=0.4))
    body, headers = newest(
        "tools/call",
        {"name": "ask", "arguments": {"question": "How many?"}},
        meta={"progressToken": "p1"},
    )

    response = post(body, **headers)

    *progress, last = events(response)
    assert response.headers["Content-Type"] == "text/event-stream"
    assert [each["method"] for each in progress] == ["notifications/progress"] * len(progress)
    assert len(progress) >= 2
    assert {each["params"]["progressToken"] for each in progress} == {"p1"}
    counts = [each["params"]["progress"] for each in progress]
    assert counts == sorted({*counts})
    assert last["result"]["structuredContent"]["response"] == "One two three."
    assert last["result"]["resultType"] == "complete"


def test_a_cancellation_stops_the_answer_whichever_worker_gets_it(post, model):
    model.says(Reply("One two three.", hold_after=2))
    session = {"Mcp-Session-Id": post(message("initialize", {"protocolVersion": "2025-06-18"}))
               .headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-06-18"}  # fmt: skip
    asked = {"name": "ask", "arguments": {"question": "Cancelled?"}}
    cancelled = message("notifications/cancelled", {"requestId": 7}, None)

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(post, message("tools/call", asked, 7), **session)
        model.wait_for_requests(1)
        eventually(lambda: Message.objects.pending().exclude(content="").exists())
        of_another = post(cancelled, **session | {"Mcp-Session-Id": "x" * 32})
        assert Message.objects.pending().exists()
        answer = post(cancelled, **session)
        result = asking.result(10).json()["result"]

    assert (of_another.status_code, answer.status_code) == (202, 202)
    assert result["structuredContent"]["response"] == "One two "


@pytest.mark.parametrize(("version", "status"), [(NEWEST, "stopped"), ("2025-06-18", "complete")])
def test_closing_the_request_is_a_stop_in_the_stateless_revision_alone(
    book_server, model, version, status
):
    model.says(Reply("One two three.", hold_after=2))
    text = f"Closed in {version}?"
    body, headers = newest("tools/call", {"name": "ask", "arguments": {"question": text}})
    headers["MCP-Protocol-Version"] = version

    with book_server.client.stream("POST", "/mcp", json=body, headers=headers):
        model.wait_for_requests(1)
        eventually(lambda: Message.objects.pending().exclude(content="").exists())
    if status == "complete":
        model.release()

    reply = eventually(lambda: Message.objects.filter(reply_to__content=text).exclude(
        status="pending").first())  # fmt: skip
    assert reply.status == status


@pytest.mark.parametrize("accept", ["application/json", BOTH])
@pytest.mark.parametrize(("version", "status"), [(NEWEST, "stopped"), ("2025-06-18", "complete")])
def test_closing_the_request_while_its_turn_is_opened_is_a_stop_too(
    book_server, model, stored, version, status, accept
):
    text = f"Closed early in {version}, {accept}?"
    body, headers = newest("tools/call", {"name": "ask", "arguments": {"question": text}})
    headers |= {"MCP-Protocol-Version": version, "Accept": accept}

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE chat_message IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(httpx2.ReadTimeout):
            book_server.client.post("/mcp", json=body, headers=headers, timeout=0.5)

    reply = eventually(lambda: Message.objects.filter(reply_to__content=text).exclude(
        status="pending").first())  # fmt: skip
    assert reply.status == status


def test_a_stream_whose_client_is_gone_before_its_first_byte_is_stopped_too(monkeypatch):
    turn = Turn(Question("?"), uuid4())
    body, headers = newest("tools/call", {"name": "ask", "arguments": {"question": "?"}})
    request = AsyncRequestFactory().post(
        "/mcp", json.dumps(body), content_type="application/json", headers=headers
    )

    async def begin(question, **options):
        return turn

    async def leave():
        response = await call_mcp(request)
        assert response.streaming
        del response  # as Django does where sending the headers is cancelled
        await asyncio.sleep(0)  # for the loop to close its frames
        return await turn.ask([], streaming=True)

    monkeypatch.setattr(service, "begin", begin)
    assert asyncio.run(leave()) is None  # stopped, and the model is not asked


def test_the_books_pages_are_resources(post):
    first, _second = post(message("resources/list")).json()["result"]["resources"]
    (page,) = post(message("resources/read", {"uri": first["uri"]})).json()["result"]["contents"]

    assert (first["name"], first["mimeType"]) == ("Nodes", "text/markdown")
    assert page["uri"] == first["uri"]
    assert page["text"].startswith("# Nodes\n\nA node is a process")
    assert "\n\n## Names\n\n" in page["text"]


@pytest.mark.parametrize(
    ("wanted", "agreed"),
    [("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25")],
)
def test_the_handshake_agrees_on_a_version(post, wanted, agreed):
    result = post(message("initialize", {"protocolVersion": wanted})).json()["result"]

    assert result["protocolVersion"] == agreed
    assert result["capabilities"].keys() == {"tools", "resources"}


def test_the_newest_revision_discovers_without_a_handshake(post):
    body, headers = newest("server/discover")
    result = post(body, **headers).json()["result"]

    assert result["supportedVersions"] == [NEWEST]
    assert (result["resultType"], result["cacheScope"]) == ("complete", "public")


def test_a_batch_is_answered_in_the_revision_that_has_it(post):
    sent = [message("ping"), message("notifications/initialized", sent_id=None), {"id": 2}]

    ping, invalid = post(sent, **{"MCP-Protocol-Version": "2025-03-26"}).json()
    refused = post(sent, **{"MCP-Protocol-Version": "2025-06-18"})

    assert ping == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert invalid["error"]["code"] == -32600
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, -32700),
        (b"[" * 100_000, {}, 400, -32700),
        (b"[]", {}, 400, -32600),
        (b'"ping"', {}, 400, -32600),
        (b'{"jsonrpc":"2.0","method":"ping","id":null}', {}, 400, -32600),
        (b'{"jsonrpc":"2.0","method":"ping","id":"\\ud800"}', {}, 400, -32600),
        (b'{"jsonrpc":"2.0","method":"ping","id":1,"params":[]}', {}, 400, -32600),
        (b'{"jsonrpc":"2.0","method":"no/such","id":1}', {}, 200, -32601),
        (b'{"jsonrpc":"2.0","method":"tools/call","id":1}', {}, 400, -32602),
        (b'{"jsonrpc":"2.0","method":"initialize","id":1}', {}, 200, -32602),
        (b'{"jsonrpc":"2.0","method":"resources/list","id":1,"params":{"cursor":"x"}}', {},
         400, -32602),
        (b'{"jsonrpc":"2.0","method":"resources/read","id":1,"params":{"uri":"\\u0000"}}', {},
         200, -32002),
        (b'{"jsonrpc":"2.0","method":"ping","id":1}', {"MCP-Protocol-Version": "1999-01-01"},
         400, -32022),
        (b'{"jsonrpc":"2.0","method":"tools/list","id":1}', {"MCP-Protocol-Version": NEWEST},
         400, -32602),
        (b'{"jsonrpc":"2.0","method":"ping","id":1}', {"Origin": "https://evil.example"},
         403, -32600),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_jsonrpcs_codes(book_server, body, headers, status, code):
    headers = {"Content-Type": "application/json"} | headers
    response = book_server.client.post("/mcp", content=body, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_headers_that_differ_from_the_body_are_refused(post):
    body, headers = newest("tools/call", {"name": "search", "arguments": {"query": "x"}})

    answer = post(body, **headers | {"Mcp-Name": "ask"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_nothing_to_listen_to_and_no_session_to_end(book_server, method):
    answer = book_server.client.request(method, "/mcp")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("sent_id", [b'"\\ud800"', b'"a\\u0000b"', b"true", b"[1]", b"null"])
def test_a_cancellation_of_what_cannot_be_a_request_is_no_error(book_server, sent_id):
    headers = {"Content-Type": "application/json", "Mcp-Session-Id": uuid4().hex}
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}'

    answer = book_server.client.post("/mcp", content=body % sent_id, headers=headers)

    assert answer.status_code == 202


def test_long_ids_of_requests_are_told_apart(post, model):
    model.says("First.", "Second.")
    headers = {"Mcp-Session-Id": "s" * 128, "Accept": "application/json"}

    for end, question in (("a", "One?"), ("b", "Two?")):
        call = {"name": "ask", "arguments": {"question": question}}
        answer = post(message("tools/call", call, "r" * 200 + end), **headers).json()
        assert not answer["result"]["isError"]


def test_unusable_arguments_are_a_result_with_a_sentence(use):
    for name, arguments, sentence in [
        ("ask", {"question": " "}, "Your question must not be empty."),
        ("search", {}, "Your question is missing."),
        ("fetch", {"id": "9" * 19}, "The section id must have at most 18 characters."),
        ("fetch", {"id": "²"}, "The book has nothing by this name, or no book is indexed."),
    ]:
        found = use(name, **arguments)
        assert found["isError"]
        assert found["content"][0]["text"] == sentence


def test_a_reader_who_asks_too_often_is_refused_with_a_sentence(serve, model):
    client = serve(CHAT_RATE="1/h", NUM_PROXIES="1").client
    client.headers["X-Forwarded-For"] = "198.51.100.77"  # who has not asked before
    ask = message("tools/call", {"name": "ask", "arguments": {"question": "Again?"}})

    first, second = (client.post("/mcp", json=ask).json()["result"] for _ in range(2))

    assert not first["isError"]
    assert second["isError"]
    assert second["content"][0]["text"].startswith("You are asking faster than this chat allows")


def test_the_server_card_names_the_endpoint(book_server):
    card = book_server.client.get("/.well-known/mcp/server-card.json").json()

    assert card["remotes"][0]["url"] == f"{book_server.base_url}/mcp"


def test_each_example_in_the_openapi_document_is_answered(post, book_server):
    document = book_server.client.get("/openapi.json").json()
    described = document["paths"]["/mcp"]["post"]["requestBody"]["content"]["application/json"]

    for name, example in described["examples"].items():
        Draft202012Validator(described["schema"]).validate(example["value"])
        answer = post(example["value"]).json()
        assert not answer["result"].get("isError"), name
