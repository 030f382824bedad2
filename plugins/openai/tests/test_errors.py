"""OpenAI's error codes become the errors they mean. https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations

import httpx
import pytest
from matrix import say

from polyport import Client, errors

HELLO = [say("Hello")]


def reply(
    status: int, code: str | None, message: str = "It failed.", type: str = "invalid_request_error"
) -> httpx.Response:
    """Return an error of OpenAI's."""
    return httpx.Response(status, json={"error": {"message": message, "type": type, "param": None, "code": code}})


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "retryable"),
    [
        (400, None, "It failed.", errors.BadRequestError, False),
        (400, "context_length_exceeded", "It failed.", errors.ContextWindowExceededError, False),
        (400, None, "This model's maximum context length is 8192 tokens.", errors.ContextWindowExceededError, False),
        (400, "content_policy_violation", "It failed.", errors.ContentPolicyViolationError, False),
        (400, "moderation_blocked", "It failed.", errors.ContentPolicyViolationError, False),
        (400, "invalid_prompt", "It failed.", errors.ContentPolicyViolationError, False),
        (400, "unsupported_parameter", "It failed.", errors.UnsupportedParamsError, False),
        (400, "billing_hard_limit_reached", "It failed.", errors.RateLimitError, False),
        (401, "invalid_api_key", "It failed.", errors.AuthenticationError, False),
        (403, "model_not_found", "It failed.", errors.PermissionDeniedError, False),
        (404, "model_not_found", "It failed.", errors.NotFoundError, False),
        (429, "rate_limit_exceeded", "Rate limit reached.", errors.RateLimitError, True),
        (429, "rate_limit_exceeded", "Request too large for gpt-4o on TPM.", errors.RateLimitError, False),
        (429, "insufficient_quota", "It failed.", errors.RateLimitError, False),
        (500, "server_error", "It failed.", errors.InternalServerError, True),
        (503, None, "It failed.", errors.ServiceUnavailableError, True),
    ],
)
def test_codes_narrow_statuses(wire, client, status, code, message, kind, retryable):
    """The status decides, the code narrows; what no waiting mends is not tried again."""
    wire.answer = lambda _: reply(status, code, message)
    with pytest.raises(errors.APIError) as caught:
        client.completion("gpt-4o", HELLO)
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.message, caught.value.retryable) == (status, message, retryable)


def test_an_empty_account_is_not_asked_twice(wire):
    """A 429 that means "no money" is raised at once, though retries are allowed."""
    wire.answer = lambda _: reply(429, "insufficient_quota")
    with (
        Client(http=httpx.MockTransport(wire), api_key="sk-test", num_retries=5) as client,
        pytest.raises(errors.RateLimitError),
    ):
        client.completion("gpt-4o", HELLO)
    assert len(wire.seen) == 1


CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b'{"error":{"message":"m","code":"rate_limit_exceeded"}}', errors.RateLimitError),
        (b'{ "error": {"message":"m","type":"server_error"}}', errors.InternalServerError),
        (b'{"error":{"message":"m","code":502}}', errors.BadGatewayError),
        (
            b'{"id":"c","choices":[],"error":{"message":"m","code":"context_length_exceeded"}}',
            errors.ContextWindowExceededError,
        ),
        (b'{"error":"m"}', errors.InternalServerError),
    ],
)
def test_errors_inside_a_stream(wire, client, event, kind):
    """However an error stands in the stream, it is raised where it stands, after what came before it."""
    wire.answer = lambda _: httpx.Response(200, content=CHUNK + b"data: " + event + b"\n\n")
    with client.completion("gpt-4o", HELLO, stream=True) as stream:
        assert next(stream).choices[0].delta.content == "Hi"
        with pytest.raises(kind, match="m"):
            next(stream)


@pytest.mark.parametrize("rest", [b"", b'data: {"id":'])
def test_a_stream_that_breaks_off(wire, client, rest):
    """A stream without an end is not taken for a whole one."""
    wire.answer = lambda _: httpx.Response(200, content=CHUNK + rest)
    with client.completion("gpt-4o", HELLO, stream=True) as stream, pytest.raises(errors.APIError):
        list(stream)


def test_the_key_is_in_no_error(wire, client):
    """Not even where the provider's reply repeats it."""
    wire.answer = lambda _: reply(401, "invalid_api_key", "Incorrect API key provided: sk-test.")
    with pytest.raises(errors.AuthenticationError) as caught:
        client.completion("gpt-4o", HELLO)
    assert "sk-test" not in f"{caught.value} {caught.value!r} {caught.value.body}"
