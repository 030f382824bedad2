"""Every error polyport raises, and the one table from HTTP status to class.

PolyportError
├── APIError                          something came back from, or happened on the way to, a provider
│   ├── BadRequestError               400  the request is wrong as it stands
│   │   ├── ContextWindowExceededError     the input does not fit the model
│   │   ├── ContentPolicyViolationError    the provider refused the content
│   │   └── UnsupportedParamsError         this provider cannot do what was asked
│   ├── AuthenticationError           401  no key, or a wrong one
│   ├── PermissionDeniedError         403
│   ├── NotFoundError                 404  no such model, file, job ... or no provider for it
│   ├── Timeout                       408  nothing came in time
│   ├── ConflictError                 409
│   ├── UnprocessableEntityError      422
│   ├── RateLimitError                429  `retry_after` seconds, where the provider said so
│   ├── InternalServerError           500
│   ├── BadGatewayError               502
│   │   └── InvalidResponseError           the provider's reply could not be read
│   ├── ServiceUnavailableError       503
│   └── APIConnectionError                 no connection, or it broke
├── BudgetExceededError                    a spending limit was reached
├── GuardrailError                         a guardrail refused the request or the reply
└── PluginError                            a plugin is missing, broken, or in conflict with another

The names are those that users of OpenAI's and LiteLLM's SDKs know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class PolyportError(Exception):
    """The root of the tree. `message` says what, where and what to do."""

    status_code: int | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class APIError(PolyportError):
    """A call failed. Carries what is known of it; no field ever holds a key.

    `body` is the provider's own reply, decoded where it was JSON; `retry_after` is in seconds; `retryable`
    says whether the same call may succeed later.
    """

    status_code: int | None = 500
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        provider: str | None = None,
        model: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        if status_code is not None:
            self.status_code = status_code
        if retryable is not None:
            self.retryable = retryable
        self.provider = provider
        self.model = model
        self.request_id = request_id
        self.retry_after = retry_after
        self.body = body
        self.headers = headers or {}

    def __str__(self) -> str:
        where = "/".join(part for part in (self.provider, self.model) if part)
        tail = f" (request id {self.request_id})" if self.request_id else ""
        return f"{where}: {self.message}{tail}" if where else f"{self.message}{tail}"

    def hide(self, secrets: Iterable[str]) -> None:
        """Take secrets out of the message."""
        for secret in filter(None, secrets):
            self.message = self.message.replace(secret, "***")
        self.args = (self.message,)

    @property
    def llm_provider(self) -> str | None:
        """The provider's name, under the attribute that LiteLLM's users know."""
        return self.provider


class BadRequestError(APIError):
    """400: the request is wrong as it stands; sending it again cannot help."""

    status_code = 400


class ContextWindowExceededError(BadRequestError):
    """The input and the answer asked for do not fit the model's context window."""


class ContentPolicyViolationError(BadRequestError):
    """The provider's safety system refused the request."""


class UnsupportedParamsError(BadRequestError):
    """The provider has no way to honour a parameter. `drop_params=True` leaves it out instead."""


class AuthenticationError(APIError):
    """401: no key was found, or the provider does not accept it."""

    status_code = 401


class PermissionDeniedError(APIError):
    """403: the key is known but may not do this."""

    status_code = 403


class NotFoundError(APIError):
    """404: no such model, file or job, or no installed provider answers for the model's name."""

    status_code = 404


class Timeout(APIError):
    """408: the reply, or a part of it, did not come within `timeout`."""

    status_code = 408
    retryable = True


class ConflictError(APIError):
    """409: the resource is in a state that does not allow this now."""

    status_code = 409
    retryable = True


class UnprocessableEntityError(APIError):
    """422: understood, but not valid."""

    status_code = 422


class RateLimitError(APIError):
    """429: too many requests or tokens. `retry_after` has the seconds to wait where the provider said so."""

    status_code = 429
    retryable = True


class InternalServerError(APIError):
    """500 and every 5xx without a class of its own."""

    status_code = 500
    retryable = True


class BadGatewayError(APIError):
    """502: a proxy on the way got no good answer."""

    status_code = 502
    retryable = True


class InvalidResponseError(BadGatewayError):
    """The provider said it succeeded, but its reply cannot be read: not JSON, or not of the promised shape."""

    retryable = False


class ServiceUnavailableError(APIError):
    """503: overloaded or down for now."""

    status_code = 503
    retryable = True


class APIConnectionError(APIError):
    """No connection could be made, or it broke before the reply was complete."""

    status_code = None
    retryable = True


class BudgetExceededError(PolyportError):
    """A spending limit was reached; nothing was sent."""

    status_code = 400


class GuardrailError(PolyportError):
    """A guardrail refused the request or the reply, or could not judge it. It never quotes what was judged.

    `mode` is when it did: pre_call, during_call, post_call. `findings` say what was found and where.
    """

    status_code = 400

    def __init__(
        self,
        message: str,
        *,
        guardrail: str | None = None,
        mode: str | None = None,
        reason: str | None = None,
        findings: Iterable[Any] = (),
    ) -> None:
        super().__init__(message)
        self.guardrail = guardrail
        self.mode = mode
        self.reason = reason
        self.findings = tuple(findings)


class PluginError(PolyportError):
    """A plugin is missing, failed to load, has a hook nobody knows, or shares its name with another."""

    status_code = 500


#: HTTP status -> error. A status that is not here is BadRequestError below 500 and InternalServerError above.
BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: Timeout,
    409: ConflictError,
    413: BadRequestError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    500: InternalServerError,
    502: BadGatewayError,
    503: ServiceUnavailableError,
    504: Timeout,
    529: ServiceUnavailableError,  # Anthropic's overloaded_error, https://docs.anthropic.com/en/api/errors
}


def class_for_status(status: int) -> type[APIError]:
    """Return the error class for an HTTP status of 300 or more."""
    return BY_STATUS.get(status) or (InternalServerError if status >= 500 else BadRequestError)
