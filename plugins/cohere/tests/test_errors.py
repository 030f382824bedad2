"""Cohere's errors, each as the class it is. https://docs.cohere.com/reference/errors"""

from __future__ import annotations

import httpx
import pytest
from matrix import say

from polyport import errors

LONG = "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs."
OLD_LONG = "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."
OUTPUT = (
    "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192."
)
TOOLS = "your request resulted in an invalid tool generation. Try updating the messages or tool definitions"
MONTHLY = "You are using a Trial key, which is limited to 1000 API calls / month."
MINUTE = "You are using a Trial key, which is limited to 40 API calls / minute."


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, {"message": LONG}, errors.ContextWindowExceededError, False),
        (400, {"message": OLD_LONG}, errors.ContextWindowExceededError, False),
        (400, {"message": OUTPUT, "error_type": "TOO_MANY_TOKENS"}, errors.BadRequestError, False),
        (400, {"message": TOOLS, "error_type": "INVALID_TOOL_GENERATION"}, errors.UnprocessableEntityError, False),
        (422, {"message": TOOLS}, errors.UnprocessableEntityError, False),
        (401, {"message": "invalid api token"}, errors.AuthenticationError, False),
        (402, {"message": "Please add or update your payment method"}, errors.RateLimitError, False),
        (404, {"message": "model 'x' not found"}, errors.NotFoundError, False),
        (429, {"message": MONTHLY}, errors.RateLimitError, False),
        (429, {"message": "You are past the per-month request limit for this model"}, errors.RateLimitError, False),
        (429, {"message": MINUTE}, errors.RateLimitError, True),
        (498, {"message": "your request was blocked"}, errors.ContentPolicyViolationError, False),
        (499, {"message": "request cancelled"}, errors.ServiceUnavailableError, True),
        (500, {"message": LONG}, errors.InternalServerError, True),
    ],
)
def test_errors(client, wire, status, body, kind, retryable):
    """The class says what can be done about it."""
    wire.answer = lambda _: httpx.Response(status, json=body, headers={"x-debug-trace-id": "t1"})
    with pytest.raises(errors.APIError) as caught:
        client.completion("cohere/x", [say("Hello")])
    assert type(caught.value) is kind
    assert caught.value.retryable is retryable
    assert caught.value.status_code == status
    assert caught.value.message == body["message"]
    assert caught.value.request_id == "t1"


def test_an_embedding_that_is_too_long(client, wire):
    """Not only chats overflow."""
    wire.answer = lambda _: httpx.Response(400, json={"message": LONG})
    with pytest.raises(errors.ContextWindowExceededError):
        client.embedding("cohere/embed-v4.0", "a", input_type="search_query")
