"""Each call of the API, by the client that openapi-python-client generates from its document.

Prints the operations that were called.
"""

import sys
from http import HTTPStatus
from uuid import UUID, uuid4

from generated.book_chat import Client
from generated.book_chat.api.book import read_contents, read_section, search_book
from generated.book_chat.api.chat import (
    ask,
    delete_conversation,
    give_feedback,
    read_conversation,
    resume_stream,
    resume_stream_at_api,
    stop_answer,
)
from generated.book_chat.api.front_ends import (
    ask_at_api_chat,
    ask_at_api_query,
    ask_at_api_v1_chat,
    ask_at_ask,
    ask_at_query,
)
from generated.book_chat.api.health import (
    check_health,
    check_health_head,
    check_readiness,
    check_readiness_head,
)
from generated.book_chat.api.mcp import call_mcp, read_server_card
from generated.book_chat.api.open_ai import create_completion, list_models
from generated.book_chat.models import (
    CallMcpMessage,
    CallMcpMessageParams,
    ChatRequest,
    ChatResponse,
    CompletionRequest,
    CompletionRequestMessagesItem,
    CompletionResponse,
    FeedbackOut,
    FeedbackRequest,
    FeedbackRequestRatingType0,
    FrontEndRequest,
    FrontEndResponse,
    HealthResponse,
    HistoryResponse,
    McpServerCard,
    McpSuccess,
    MessageOutStatus,
    ModelsResponse,
    ProblemResponse,
    ProblemResponseCode,
    ReadyResponse,
)


def call_everything(client: Client) -> None:
    answer = ask.sync(
        client=client,
        body=ChatRequest(message="What is a node?", page_url="https://book.example/1"),
        idempotency_key=uuid4().hex,
    )
    assert isinstance(answer, ChatResponse), answer
    assert answer.response == "A scripted answer."

    problem = ask.sync(client=client, body=ChatRequest(message=""))
    assert isinstance(problem, ProblemResponse)
    assert problem.code == ProblemResponseCode.INVALID_REQUEST
    assert problem.errors
    assert problem.errors[0].msg == problem.detail
    print("ask")

    call_everything_of(answer.session_id, answer.message_id, client)
    call_other_doors(client)
    call_assistants_door(client)
    call_book(client)
    call_health(client)


def call_everything_of(session_id: str, message_id: UUID, client: Client) -> None:
    stopped = stop_answer.sync_detailed(session_id, client=client)
    assert stopped.status_code == HTTPStatus.NO_CONTENT
    print("stop_answer")

    rating = FeedbackRequest(rating=FeedbackRequestRatingType0.UP, comment="Yes.")
    feedback = give_feedback.sync(session_id, message_id, client=client, body=rating)
    assert isinstance(feedback, FeedbackOut)
    assert feedback.comment == "Yes."
    print("give_feedback")

    page = read_conversation.sync(session_id, client=client, limit=1)
    assert isinstance(page, HistoryResponse)
    assert page.has_more
    assert page.messages[0].status == MessageOutStatus.COMPLETE
    print("read_conversation")

    for name, follow in (
        ("resume_stream", resume_stream),
        ("resume_stream_at_api", resume_stream_at_api),
    ):
        assert follow.sync_detailed(session_id, client=client).status_code in (200, 204)
        print(name)

    deleted = delete_conversation.sync_detailed(session_id, client=client)
    assert deleted.status_code == HTTPStatus.NO_CONTENT
    print("delete_conversation")


def call_other_doors(client: Client) -> None:
    for name, ask_there in (
        ("ask_at_api_chat", ask_at_api_chat),
        ("ask_at_api_v1_chat", ask_at_api_v1_chat),
        ("ask_at_ask", ask_at_ask),
        ("ask_at_query", ask_at_query),
        ("ask_at_api_query", ask_at_api_query),
    ):
        answer = ask_there.sync(client=client, body=FrontEndRequest(message="What is a node?"))
        assert isinstance(answer, FrontEndResponse), answer
        assert answer.answer == "A scripted answer."
        print(name)

    message = CompletionRequestMessagesItem.from_dict({"role": "user", "content": "What?"})
    completion = create_completion.sync(client=client, body=CompletionRequest(messages=[message]))
    assert isinstance(completion, CompletionResponse), completion
    assert completion.choices[0].message.content == "A scripted answer."
    print("create_completion")
    models = list_models.sync(client=client)
    assert isinstance(models, ModelsResponse)
    print("list_models")


def call_assistants_door(client: Client) -> None:
    params = CallMcpMessageParams.from_dict({"name": "ask", "arguments": {"question": "What?"}})
    message = CallMcpMessage(jsonrpc="2.0", id=1, method="tools/call", params=params)
    answer = call_mcp.sync(client=client, body=message)
    assert isinstance(answer, McpSuccess), answer
    assert answer.result["structuredContent"]["response"] == "A scripted answer."
    print("call_mcp")
    card = read_server_card.sync(client=client)
    assert isinstance(card, McpServerCard)
    assert card.remotes[0].url.endswith("/mcp")
    print("read_server_card")


def call_book(client: Client) -> None:
    """No book is indexed."""
    for operation, answer in (
        ("read_contents", read_contents.sync(client=client)),
        ("search_book", search_book.sync(client=client, q="What is a node?", limit=3)),
        ("read_section", read_section.sync(1, client=client)),
    ):
        assert isinstance(answer, ProblemResponse), answer
        assert answer.code == ProblemResponseCode.NOT_FOUND
        print(operation)


def call_health(client: Client) -> None:
    assert isinstance(check_health.sync(client=client), HealthResponse)
    print("check_health")
    assert check_health_head.sync_detailed(client=client).status_code == HTTPStatus.OK
    print("check_health_head")
    ready = check_readiness.sync(client=client)
    assert isinstance(ready, ReadyResponse)
    assert ready.checks["database"] == "ok"
    print("check_readiness")
    assert check_readiness_head.sync_detailed(client=client).status_code == HTTPStatus.OK
    print("check_readiness_head")


if __name__ == "__main__":
    call_everything(Client(base_url=sys.argv[1]))
