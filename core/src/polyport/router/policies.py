"""What a router does after an error, by its class: how often to try again, how many failures to allow, where to go.

The names are those that users of LiteLLM's router know.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyport import errors
from polyport.errors import APIError, BadRequestError
from polyport.types.record import convert

#: The beginning of a policy's field -> the errors it is for, narrower classes first.
CLASSES: tuple[tuple[str, type[APIError]], ...] = (
    ("ContextWindowExceededError", errors.ContextWindowExceededError),
    ("ContentPolicyViolationError", errors.ContentPolicyViolationError),
    ("BadRequestError", errors.BadRequestError),
    ("AuthenticationError", errors.AuthenticationError),
    ("PermissionDeniedError", errors.PermissionDeniedError),
    ("NotFoundError", errors.NotFoundError),
    ("TimeoutError", errors.Timeout),
    ("RateLimitError", errors.RateLimitError),
    ("ServiceUnavailableError", errors.ServiceUnavailableError),
    ("BadGatewayError", errors.BadGatewayError),
    ("InternalServerError", errors.InternalServerError),
    ("APIConnectionError", errors.APIConnectionError),
)
#: After one of these a deployment rests at once: trying it again soon is of no use.
AT_ONCE = (errors.RateLimitError, errors.AuthenticationError, errors.PermissionDeniedError, errors.NotFoundError)
#: What says nothing of a deployment's health: the request was at fault.
BLAMELESS = (errors.BadRequestError, errors.UnprocessableEntityError, errors.ConflictError)


class RetryPolicy(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How many attempts may follow the first, by class of error; None leaves it to `num_retries`."""

    ContextWindowExceededErrorRetries: int | None = None
    ContentPolicyViolationErrorRetries: int | None = None
    BadRequestErrorRetries: int | None = None
    AuthenticationErrorRetries: int | None = None
    PermissionDeniedErrorRetries: int | None = None
    NotFoundErrorRetries: int | None = None
    TimeoutErrorRetries: int | None = None
    RateLimitErrorRetries: int | None = None
    ServiceUnavailableErrorRetries: int | None = None
    BadGatewayErrorRetries: int | None = None
    InternalServerErrorRetries: int | None = None
    APIConnectionErrorRetries: int | None = None

    def retries(self, error: APIError) -> int | None:
        """Return the number for an error; None where the policy has none."""
        return _of_class(self, error, "Retries")


class AllowedFailsPolicy(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How many failures a minute a deployment may have before it rests, by class; None leaves it to `allowed_fails`."""

    ContextWindowExceededErrorAllowedFails: int | None = None
    ContentPolicyViolationErrorAllowedFails: int | None = None
    BadRequestErrorAllowedFails: int | None = None
    AuthenticationErrorAllowedFails: int | None = None
    PermissionDeniedErrorAllowedFails: int | None = None
    NotFoundErrorAllowedFails: int | None = None
    TimeoutErrorAllowedFails: int | None = None
    RateLimitErrorAllowedFails: int | None = None
    ServiceUnavailableErrorAllowedFails: int | None = None
    BadGatewayErrorAllowedFails: int | None = None
    InternalServerErrorAllowedFails: int | None = None
    APIConnectionErrorAllowedFails: int | None = None

    def allowed(self, error: APIError, usual: int) -> int | None:
        """Return how many failures like this one are allowed; None where it says nothing of a deployment."""
        own = _of_class(self, error, "AllowedFails")
        if own is not None:
            return own
        if isinstance(error, BLAMELESS):
            return None
        return 0 if isinstance(error, AT_ONCE) else usual


def _of_class(policy: Any, error: APIError, ending: str) -> int | None:
    for name, kind in CLASSES:
        if isinstance(error, kind):
            value: int | None = getattr(policy, name + ending)
            return value
    return None


def policy(given: Any, kind: Any, path: str) -> Any:
    """Return a policy given as one, as a mapping, or not at all."""
    return given if isinstance(given, kind) else convert(dict(given or {}), kind, path)


class Detours(msgspec.Struct, kw_only=True, frozen=True):
    """Where a router goes when a group fails: group -> groups, for any error and for two kinds of its own."""

    general: dict[str, list[str]] = {}
    context_window: dict[str, list[str]] = {}
    content_policy: dict[str, list[str]] = {}
    default: list[str] = []

    @property
    def lead_nowhere(self) -> bool:
        """Whether there are none."""
        return not (self.general or self.context_window or self.content_policy or self.default)

    def after(self, group: str, error: APIError) -> Sequence[str]:
        """Return the groups to try after an error in a group, in order."""
        for kind, table in (
            (errors.ContextWindowExceededError, self.context_window),
            (errors.ContentPolicyViolationError, self.content_policy),
        ):
            if isinstance(error, kind) and (own := table.get(group, table.get("*"))):
                return own
        return self.general.get(group, self.general.get("*")) or self.default


def table(
    given: Iterable[Mapping[str, Sequence[str] | str]] | Mapping[str, Any] | None, name: str
) -> dict[str, list[str]]:
    """Return a table of fallbacks, given as [{"group": ["other", ...]}, ...] or as one mapping."""
    found: dict[str, list[str]] = {}
    for place, row in enumerate([given] if isinstance(given, Mapping) else given or []):
        if not isinstance(row, Mapping):
            raise BadRequestError(f'$.{name}[{place}] must be {{"group": ["other", ...]}}, not {row!r}')
        for group, others in row.items():
            listed = [others] if isinstance(others, str) else list(others)
            if not all(isinstance(other, str) for other in listed):
                raise BadRequestError(f"$.{name}[{place}].{group} must list names of groups, not {listed!r}")
            found[group] = listed
    return found


def check_names(detours: Detours, names: Sequence[str], known: Any) -> None:
    """Raise BadRequestError for a fallback to or from what nobody answers for."""
    for group, others in [*detours.general.items(), *detours.context_window.items(), *detours.content_policy.items()]:
        for name in [group, *others]:
            _check_name(name, names, known)
    for name in detours.default:
        _check_name(name, names, known)


def _check_name(name: str, names: Sequence[str], known: Any) -> None:
    if name == "*" or known(name):
        return
    near = difflib.get_close_matches(name, names, 1)
    guess = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    raise BadRequestError(f"A fallback names {name!r}, which is no model group: {guess}")
