"""WebSockets at /v1/realtime: a caller's session with a model of a provider that speaks OpenAI's dialect.

https://platform.openai.com/docs/guides/realtime-websocket
https://platform.openai.com/docs/api-reference/realtime-server-events/response/done

The key stands in a header, in the subprotocol `openai-insecure-api-key.<key>` (browsers), or as `api-key` or `key` in
the address, as SDKs have it. A session has no body: `user` and `metadata.project` stand in the address, too. An error
that ends a session is told as an event first. See `sessions` for all that sessions have in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from websockets.asyncio.client import ClientConnection

from polyport import metering
from polyport.border import Call
from polyport.dialects.openai import Wire
from polyport.errors import PolyportError, UnsupportedParamsError
from polyport.flow import HttpRequest
from polyport.prices import Used
from polyport.types.record import learn
from polyport.types.usage import Usage
from polyport_gateway import replies, sessions
from polyport_gateway.app import ASGI
from polyport_gateway.gate import new_id
from polyport_gateway.sessions import BEGINS, ENDS, KEYS
from polyport_gateway.signon import credential
from polyport_gateway.surface import problem_of
from polyport_gateway.surfaces import OPENAI

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

WORD = "realtime"
SUBPROTOCOL, KEY_IN_SUBPROTOCOL = "realtime", "openai-insecure-api-key."
#: Parameters of the address that the gateway says itself.
OWN = frozenset({"model", "deployment", "api-version", "call_id", "api_key"})
#: Headers of the caller that go to the provider.
PASSED = ("openai-beta", "openai-safety-identifier")


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: see `polyport_gateway.assembly`."""
    return sessions.mounted(gateway, WORD, Session)


class Session(sessions.Session):
    """A session in OpenAI's dialect."""

    missing: ClassVar[str] = "Which model? Connect to /v1/realtime?model=..."

    async def _begin(self) -> ClientConnection:
        self._model = self._query.get("model", "")
        self._said = _nested({name: value for name, value in self._query.items() if _is_said(name)})
        await self._admit()
        return await self._dial()

    def _token(self) -> str | None:
        found = credential.of(self._headers, self._scope)
        offered = [one for one in self._scope.get("subprotocols") or () if one.startswith(KEY_IN_SUBPROTOCOL)]
        if found is None and offered:
            found = offered[0].removeprefix(KEY_IN_SUBPROTOCOL)
        return found or super()._token()

    async def _accept(self, subprotocol: str | None = None) -> None:
        offered = self._scope.get("subprotocols") or ()
        await super()._accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)

    def _handshake(self, call: Call) -> HttpRequest:
        plugin = call.provider.plugin
        if not isinstance(plugin, Wire):
            raise UnsupportedParamsError(f"{call.provider.name!r} has no realtime sessions in OpenAI's dialect.")
        asked = {n: v for n, v in self._query.items() if n not in OWN and n not in KEYS and not _is_said(n)}
        passed = {name: self._headers[name] for name in PASSED if name in self._headers}
        return HttpRequest(
            method="GET",
            url="/realtime",
            params={**asked, "model": call.request.model},
            headers={**plugin.headers, **passed},
        )

    def _read(self, frame: str | bytes) -> str:
        if isinstance(frame, bytes):
            return ""
        if '"response.created"' in frame:
            return BEGINS
        return ENDS if '"response.done"' in frame else ""

    def _used(self, frame: str | bytes) -> Used | None:
        return _used(frame)

    def _event(self, error: PolyportError) -> str | None:
        problem = OPENAI.problem(problem_of(error, self._turn.request_id))["error"]
        event = {"type": "error", "event_id": f"event_{new_id()[:20]}", "error": {**problem, "event_id": None}}
        return replies.encode(event).decode()


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_token_details: dict[str, Any] | None = None
    output_token_details: dict[str, Any] | None = None


class _Response(msgspec.Struct):
    usage: _Usage | None = None


class _Done(msgspec.Struct):
    type: str
    response: _Response | None = None


def _used(frame: str | bytes) -> Used | None:
    """Return what the event that ends a response tells of its use; None where it does not tell."""
    try:
        done = msgspec.json.decode(frame, type=_Done)
        told = done.response.usage if done.response is not None else None
        if told is None:
            return None
        usage = {
            "prompt_tokens": told.input_tokens,
            "completion_tokens": told.output_tokens,
            "total_tokens": told.total_tokens,
            "prompt_tokens_details": told.input_token_details,
            "completion_tokens_details": told.output_token_details,
        }
        return metering.of_usage(msgspec.convert(usage, learn(Usage), strict=False))
    except (msgspec.MsgspecError, RecursionError):
        return None


def _is_said(name: str) -> bool:
    """Whether a parameter of the address is the caller's word to the gateway."""
    return name == "user" or name.startswith("metadata.")


def _nested(given: Mapping[str, str]) -> dict[str, Any]:
    """Return {"metadata": {"project": "x"}} of {"metadata.project": "x"}."""
    metadata = {name.partition(".")[2]: value for name, value in given.items() if name != "user"}
    user = {"user": given["user"]} if "user" in given else {}
    return user | ({"metadata": metadata} if metadata else {})
