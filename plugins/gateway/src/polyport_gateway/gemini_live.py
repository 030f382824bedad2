"""WebSockets at /ws/google.ai...BidiGenerateContent: live sessions of Google's SDKs with Gemini's own models.

https://ai.google.dev/api/live https://ai.google.dev/gemini-api/docs/live-api/capabilities

The first message of a session says which model is meant. So the connection is accepted when the key is known, and the
session let in when that message has come; it goes on with the vendor's name of the model. Each message that tells usage
ends a turn. An error is told by the close and its reason, as Google does. What a caller's messages name of what Gemini
keeps must be its own.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from websockets.asyncio.client import ClientConnection

from polyport import metering
from polyport.border import Call
from polyport.errors import UnsupportedParamsError
from polyport.flow import HttpRequest
from polyport.prices import Used
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage
from polyport_gateway import pinning, replies, sessions
from polyport_gateway.app import ASGI
from polyport_gateway.exchange import LEFT
from polyport_gateway.gate import Admission, GateError
from polyport_gateway.gemini_kept import PROVIDER, named
from polyport_gateway.sessions import BEGINS, ENDS, OPENING, RESTS
from polyport_gateway.signon import credential
from polyport_gateway.surface import Surface
from polyport_gateway.surfaces import GEMINI

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

WORD = "ws"
#: Where sessions are whose use is told. Music's is not, and tokens for browsers would go past the gateway.
ADDRESS = re.compile(r"/ws/google\.ai\.generativelanguage\.v\w+\.GenerativeService\.BidiGenerateContent")


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part: see `polyport_gateway.assembly`."""
    return sessions.mounted(gateway, WORD, Live)


class Live(sessions.Session):
    """A session in Gemini's dialect."""

    surface: ClassVar[Surface] = GEMINI
    missing: ClassVar[str] = "Which model? The first message is {setup: {model: ...}}."

    async def _begin(self) -> ClientConnection:
        if not ADDRESS.fullmatch(self._scope["path"]):
            raise GateError(404, "not_found", "Live sessions are at GenerativeService.BidiGenerateContent here.")
        client = self._scope.get("client")
        team = self._headers.get(credential.TEAM, "")
        await self._part.app.gate.identify(self._token(), client[0] if client else None, team=team)
        await self._accept()
        setup = await self._setup()
        self._model = str(setup.get("model") or "").removeprefix("models/")
        await self._admit()
        assert self._turn.admission is not None
        ids = [*named("", setup)]
        await self._turn.admission.check(ids)
        self._running = await pinning.pinned(self._running, self._turn.admission, self._model, ids)
        provider = await self._dial()
        assert self._turn.call is not None
        asked = {"setup": {**setup, "model": f"models/{self._turn.call.request.model}"}}
        await provider.send(replies.encode(asked).decode())
        return provider

    async def _setup(self) -> dict[str, Any]:
        """Return what the first message says. Raises GateError where it says something else, or does not come."""
        try:
            message = await asyncio.wait_for(self._receive(), OPENING)
        except TimeoutError:
            raise GateError(408, "no_setup", "The first message, {setup: ...}, did not come.") from None
        if message["type"] == "websocket.disconnect":
            self._left = True
            raise GateError(LEFT, "no_setup", "The caller left before its first message.")
        try:
            told = msgspec.json.decode(message.get("text") or message.get("bytes") or b"", type=_Up)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            told = _Up()
        if not isinstance(told.setup, dict):
            raise GateError(400, "no_setup", "Expected {setup: {model: ...}} as the first message.")
        return told.setup

    def _handshake(self, call: Call) -> HttpRequest:
        if call.provider.name != PROVIDER:
            raise UnsupportedParamsError(f"{call.provider.name!r} has no live sessions in Gemini's dialect.")
        return HttpRequest(method="GET", url=self._scope["path"], headers={**call.provider.plugin.headers})

    async def _check(self, frame: str | bytes) -> None:
        try:
            told = msgspec.json.decode(frame, type=_Up)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise GateError(400, "no_json", "A message is a JSON object.") from None
        if told.setup is not None:
            raise GateError(400, "second_setup", "A session is set up once, by its first message.")
        ids = [*named("", [told.client_content, told.client_content_, told.tool_response, told.tool_response_])]
        if ids and self._turn.admission is not None:
            await self._turn.admission.check(ids)
            await self._check_place(self._turn.admission, ids)

    async def _check_place(self, admission: Admission, ids: list[str]) -> None:
        """Refuse what is not at the account that the session is with. Raises GateError."""
        known, one = await admission.places(ids), self._deployment
        there = pinning.kept_at(self._running, known)
        if there is not None and one is not None and one.id not in there:
            raise pinning.elsewhere(self._running, admission, self._model, there, known)

    def _read(self, frame: str | bytes) -> str:
        data = frame.encode() if isinstance(frame, str) else frame
        if b'"usageMetadata"' in data:
            return ENDS
        if b'"turnComplete"' in data:
            return RESTS
        return BEGINS if b'"modelTurn"' in data or b'"toolCall"' in data else ""

    def _used(self, frame: str | bytes) -> Used | None:
        try:
            told = msgspec.json.decode(frame, type=_Down).usage_metadata
        except (msgspec.MsgspecError, RecursionError):
            return None
        return None if told is None else metering.of_usage(told.to_usage())


class _Up(msgspec.Struct, rename="camel"):
    """What is read of a caller's message. Google takes names in either style."""

    setup: Any = None
    client_content: Any = None
    tool_response: Any = None
    client_content_: Any = msgspec.field(default=None, name="client_content")
    tool_response_: Any = msgspec.field(default=None, name="tool_response")


class _Modality(msgspec.Struct, rename="camel"):
    modality: str = ""
    token_count: int = 0


class _Counts(msgspec.Struct, rename="camel"):
    """What a message tells of use. https://ai.google.dev/api/live#UsageMetadata"""

    prompt_token_count: int = 0
    cached_content_token_count: int = 0
    response_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    thoughts_token_count: int = 0
    prompt_tokens_details: list[_Modality] = []
    response_tokens_details: list[_Modality] = []

    def to_usage(self) -> Usage:
        """Return the same tokens as polyport counts them: thoughts are output, what tools read is input."""
        prompt = self.prompt_token_count + self.tool_use_prompt_token_count
        made = self.response_token_count + self.thoughts_token_count
        cached = min(self.cached_content_token_count, prompt)
        heard = min(_of(self.prompt_tokens_details, "AUDIO"), prompt - cached)
        seen = min(_of(self.prompt_tokens_details, "IMAGE"), prompt - cached - heard)
        watched = min(_of(self.prompt_tokens_details, "VIDEO"), prompt - cached - heard - seen)
        spoken = min(_of(self.response_tokens_details, "AUDIO"), self.response_token_count)
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=made,
            total_tokens=prompt + made,
            prompt_tokens_details=PromptTokensDetails(
                cached_tokens=cached,
                audio_tokens=heard or None,
                image_tokens=seen or None,
                video_tokens=watched or None,
            ),
            completion_tokens_details=CompletionTokensDetails(
                reasoning_tokens=self.thoughts_token_count, audio_tokens=spoken or None
            ),
        )


class _Down(msgspec.Struct, rename="camel"):
    usage_metadata: _Counts | None = None


def _of(details: list[_Modality], modality: str) -> int:
    return sum(one.token_count for one in details if one.modality == modality)
