"""What observers may not see: keys, ever; content, where they are not to; metadata that the user names.

Everything here runs on the observers' thread and makes copies: what an observer is given is shared with nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from polyport.border import Call
from polyport.errors import (
    BadRequestError,
    BudgetExceededError,
    InvalidResponseError,
    PolyportError,
    UnprocessableEntityError,
    UnsupportedParamsError,
)

HIDDEN = "***"
#: Names of parameters, headers and metadata whose values are credentials.
SECRET_NAMES = re.compile(
    r"(api|access|private|master|account|subscription|virtual)[_-]?key|secret|passw(or)?d|credential|authorization"
    r"|cookie|bearer|(^|[_-])(token|auth|key)$",
    re.IGNORECASE,
)
#: What is never a credential, whatever its name: a price by the token is none.
NUMBERS = frozenset({int, float, bool, type(None)})
#: Names that only look so.
HARMLESS_NAMES = frozenset({"prompt_cache_key", "cache_key"})
#: Shorter ones are placeholders ("none", "EMPTY"), and would be taken out of ordinary words.
SHORTEST_SECRET = 8
#: Parameters whose value, if it is a text, is a choice among a few and no content.
CHOICES = frozenset({
    "model", "reasoning_effort", "service_tier", "verbosity", "response_format", "voice", "size", "quality", "style",
    "encoding_format", "language", "truncation", "background", "output_format", "input_type", "tool_choice", "task",
    "purpose", "seconds", "completion_window", "moderation", "stream_format", "chunking_strategy",
})  # fmt: skip
#: Parts of an answer that tell nothing of its content.
FRAME = frozenset({
    "id", "object", "type", "created", "created_at", "model", "status", "service_tier", "system_fingerprint",
    "finish_reason", "stop_reason", "usage", "size", "quality", "output_format", "background", "duration", "language",
    "index", "expires_at", "completed_at", "endpoint", "request_counts", "content_type",
})  # fmt: skip
#: Lists of an answer whose members have frames of their own.
MEMBERS = ("choices",)
#: Errors whose message may quote what was asked, or what was answered.
QUOTING = (BadRequestError, UnprocessableEntityError, InvalidResponseError)


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether what has this name is a credential."""
    return name not in HARMLESS_NAMES and SECRET_NAMES.search(name) is not None


def secrets_of(call: Call) -> tuple[str, ...]:
    """Return every credential that a call is known to have had, the longest first."""
    options = call.options
    found = {call.api_key, options.api_key, *call.shown_to_wire}
    for named in (call.headers, options.extra_headers, options.extra_query, options.extra_body, call.request.extra):
        for name, value in (named or {}).items():
            if isinstance(value, str) and is_secret(name):
                found |= {value, value.rpartition(" ")[2]}
    long_enough = [secret for secret in found if secret and len(secret) >= SHORTEST_SECRET]
    return tuple(sorted(long_enough, key=len, reverse=True))


class Copier:
    """Copies plain data without the secrets in it. What is no data is named by its type, and bytes by their length."""

    def __init__(self, secrets: Collection[str], redact: Collection[str] = ()) -> None:
        self._secrets = secrets
        self._redact = redact

    def text(self, value: str) -> str:
        """Return a text with the secrets in it hidden."""
        for secret in self._secrets:
            if secret in value:
                value = value.replace(secret, HIDDEN)
        return value

    def copy(self, value: Any) -> Any:
        """Return the copy."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind in NUMBERS:
            return value
        if kind is dict:
            return {str(name): self.copy(inner) for name, inner in value.items()}
        if kind is list:
            return [self.copy(inner) for inner in value]
        return self._of_another(value)

    def fresh(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return plain data that is shared with nobody as it is; a copy only where there are secrets in it."""
        if self._secrets:
            text = msgspec.json.encode(value)
            if any(msgspec.json.encode(secret)[1:-1] in text for secret in self._secrets):
                copied: dict[str, Any] = self.copy(value)
                return copied
        return value

    def _of_another(self, value: Any) -> Any:
        """Return the copy of what did not come from JSON."""
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(name): self.copy(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.copy(inner) for inner in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, msgspec.Struct):
            return self.copy(msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview), enc_hook=_named))
        return _named(value)

    def named(self, name: str, value: Any, *, deep: bool) -> Any:
        """Return the copy of what has this name: hidden where the name says that it is a credential, or to be redacted.

        `deep`: so are the names below. A tool may well have a parameter `token`; metadata have none but secrets.
        """
        if name in self._redact or (type(value) not in NUMBERS and is_secret(name)):
            return HIDDEN
        if deep and isinstance(value, Mapping):
            return {str(below): self.named(str(below), inner, deep=True) for below, inner in value.items()}
        return self.copy(value)


def _named(value: Any) -> str:
    return f"<{type(value).__name__}>"


# --- without content ---


def outline_of_request(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that tell nothing of the content, and the names of the others."""
    shown = {name: value for name, value in given.items() if _is_setting(name, value)}
    return shown, sorted(given.keys() - shown.keys())


def _is_setting(name: str, value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and name in CHOICES)


def outline_of_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of an answer that tell nothing of its content."""
    shown = {name: value for name, value in answer.items() if name in FRAME}
    for name in MEMBERS:
        if isinstance(answer.get(name), list):
            shown[name] = [outline_of_answer(one) for one in answer[name] if isinstance(one, Mapping)]
    return shown


def may_quote(error: BaseException) -> bool:
    """Whether an error's message may hold content: a stranger's always may, as may a guardrail's."""
    if isinstance(error, UnsupportedParamsError | BudgetExceededError):
        return False
    return isinstance(error, QUOTING) or not isinstance(error, PolyportError) or error.status_code == 400
