"""Event: one finished call, as observers see it; and Observer, what plugins subclass."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from polyport.types.record import Adaptation


class Failure(msgspec.Struct, frozen=True):
    """Why a call failed. `kind` is the error's class; `code` what the provider calls it.

    `message` is None where it may quote what was asked and content is not to be seen.
    """

    kind: str
    status: int | None = None
    message: str | None = None
    code: str | None = None
    request_id: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One finished call. It is the observer's own: nothing in it is shared with the caller, and no key is in it.

    `operation` is the provider's hook ("chat"), `function` the SDK's ("completion"). `model` is what was asked for,
    `answered_by` the model that answered, `group` and `deployment` a router's. `started` is in seconds since 1970,
    `latency` and `time_to_first_content` in seconds from there, `cost` in USD. `complete` is False for a stream whose
    reader left early; what it used until then is in `usage` (estimated where the provider had not told yet) and `cost`.
    `request` holds the parameters that were given, `response` the answer as plain data, a stream's put together.
    For observers that see no content, both hold only what tells nothing of it, and `withheld` names what is left out.
    `captured` is what the observer's own `capture` returned when the call began.
    """

    id: str
    operation: str
    function: str
    provider: str
    model: str
    answered_by: str | None = None
    group: str | None = None
    deployment: str | None = None
    started: float
    latency: float | None = None
    time_to_first_content: float | None = None
    attempts: int = 0
    stream: bool = False
    complete: bool = True
    request: dict[str, Any] = {}
    response: dict[str, Any] | None = None
    finish_reasons: list[str] = []
    error: Failure | None = None
    usage: dict[str, int] = {}
    cost: float | None = None
    provider_cost: float | None = None
    cache_hit: bool = False
    adaptations: list[Adaptation] = []
    request_id: str | None = None
    metadata: dict[str, Any] = {}
    user: str | None = None
    tags: list[str] = []
    withheld: list[str] = []
    captured: Any = None

    @property
    def ended(self) -> float:
        """When the call was over, in seconds since 1970."""
        return self.started + (self.latency or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; bytes are base64, what was captured is not in it."""
        plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(self, captured=None), enc_hook=str)
        del plain["captured"]
        return plain


class Observer:
    """The base of observers: methods are called on polyport's own thread, one event at a time, after the call is over.

    They may be `async`; those run on that thread's event loop. One that raises is logged once and never breaks a call.
    `content` says whether events bring what was asked and answered: None leaves it to how the observer is given (one's
    own objects see it; those that are installed and given by name do not, unless POLYPORT_OBSERVE_CONTENT=true).
    """

    content: bool | None = None

    def on_success(self, event: Event) -> Awaitable[None] | None:
        """See a call that was answered."""
        return None

    def on_failure(self, event: Event) -> Awaitable[None] | None:
        """See a call that failed, or was cancelled."""
        return None

    def flush(self) -> Awaitable[None] | None:
        """Send what was held back: the process is about to end, or somebody waits for it."""
        return None

    def close(self) -> Awaitable[None] | None:
        """Let go of connections and threads; no event follows."""
        return None
