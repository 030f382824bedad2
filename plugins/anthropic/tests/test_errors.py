"""Error statuses as classes. https://platform.claude.com/docs/en/api/errors"""

from __future__ import annotations

import pytest

from polyport import errors

USER = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000", errors.ContextWindowExceededError),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 64000 > 200000",
            errors.ContextWindowExceededError,
        ),
        (
            400,
            "invalid_request_error",
            "Output blocked by content filtering policy",
            errors.ContentPolicyViolationError,
        ),
        (400, "invalid_request_error", "messages: at least one message is required", errors.BadRequestError),
        (401, "authentication_error", "invalid x-api-key", errors.AuthenticationError),
        (402, "billing_error", "Your credit balance is too low", errors.BadRequestError),
        (403, "permission_error", "No", errors.PermissionDeniedError),
        (404, "not_found_error", "model: claude-9", errors.NotFoundError),
        (413, "request_too_large", "Request exceeds the maximum size", errors.BadRequestError),
        (429, "rate_limit_error", "Slow down", errors.RateLimitError),
        (500, "api_error", "Internal server error", errors.InternalServerError),
        (529, "overloaded_error", "Overloaded", errors.ServiceUnavailableError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_each_error_is_of_its_class(wire, status, kind, message, error, stream):
    """By status, narrowed by what a 400 says; with the request's id and the seconds to wait."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    client = wire(body, status, {"request-id": "req_1", "retry-after": "7"}).client()
    with pytest.raises(errors.APIError) as caught:
        client.completion("anthropic/claude-sonnet-4-5", USER, stream=stream)
    assert type(caught.value) is error
    assert caught.value.message == message
    assert (caught.value.status_code, caught.value.request_id, caught.value.retry_after) == (status, "req_1", 7.0)
    assert caught.value.body == body
    assert caught.value.retryable is (status in (429, 500, 529))


def test_an_uploaded_file_cannot_be_fetched_and_the_error_says_what_can(wire):
    """Anthropic gives back only what its tools made."""
    body = {"type": "error", "error": {"type": "invalid_request_error", "message": "File is not downloadable"}}
    with pytest.raises(errors.BadRequestError, match="create_file\\(purpose='batch'\\)"):
        wire(body, 400).client().file_content("file_1", provider="anthropic")
