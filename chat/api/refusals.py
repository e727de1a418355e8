"""Errors in the form that each door's clients show or understand.

The clients of the AI SDK show their readers the whole text of a refusal, so it is one sentence;
those that want a problem document name it in their header Accept.
"""

import json

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse

from chat.api import openai_errors
from chat.api.ai_sdk import is_ai_sdk
from chat.api.media_types import JSON, PROBLEM_JSON, TEXT, names
from chat.api.problems import detail, problem_response
from llm.errors import CodedError


class Sentence(HttpResponse):
    """An error as plain text."""


def refusal(request: HttpRequest, error: CodedError) -> HttpResponse:
    """`error` as the client of `request` gets it."""
    problem = problem_response(request, error)
    return _as_sentence(problem, error) if _wants_sentence(request) else problem


def _wants_sentence(request: HttpRequest) -> bool:
    accept = request.headers.get("Accept", "")
    if request.method != "POST" or request.path_info.startswith(openai_errors.PREFIX):
        return False
    if names(accept, JSON) or names(accept, PROBLEM_JSON):
        return False
    try:
        return is_ai_sdk(json.loads(request.body))
    except (ValueError, RecursionError, RequestDataTooBig):
        return False


def _as_sentence(problem: HttpResponse, error: CodedError) -> Sentence:
    content = detail(error).encode()
    headers = dict(problem.items()) | {
        "Content-Type": f"{TEXT}; charset=utf-8",
        "Content-Length": str(len(content)),
    }
    return Sentence(content, status=problem.status_code, headers=headers)
