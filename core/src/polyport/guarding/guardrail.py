"""Guardrail, the base class of every guardrail plugin.

    class Shouting(Guardrail):
        modes = ("pre_call",)

        def check(self, seen):
            return Block("nobody shouts here") if seen.text.isupper() else PASS

One that asks a service declares it as a provider does, and core signs, encodes, and hides the key in errors:

    class Aporia(Guardrail):
        auth = ApiKey(header="x-aporia-api-key", env="APORIA_API_KEY")

        def check(self, seen):
            reply = yield self.post("/validate", json={"messages": ...})
            return to_verdict(reply)
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar, TypeAlias

from polyport.flow import Flow
from polyport.guarding.verdicts import Mode, Seen, Verdict
from polyport.provider import Provider

#: What `check` may return. None and True pass, False blocks.
Judged: TypeAlias = "Verdict | bool | Flow[Verdict | bool | None] | Awaitable[Verdict | bool | None] | None"


class Guardrail(Provider):
    """Judges requests and results. One instance serves all calls of a client, side by side: it holds no call's state.

    `modes` is when it is asked unless the configuration says otherwise. Of a stream it is asked whenever `window` new
    characters have come, and what it has judged is held back until `overlap` more characters have been judged too: a
    pattern of up to `overlap` characters is never let out in part. `window = None` asks once, for the whole answer.
    `passed_on` are names of an entry's settings that go with its own requests, as a call's arguments do: for its `auth`
    and its address.
    """

    modes: tuple[Mode, ...] = ("pre_call",)
    passed_on: ClassVar[frozenset[str]] = frozenset()
    window: int | None = 32
    overlap: int = 128

    def check(self, seen: Seen) -> Judged:
        """Return the verdict; or be a flow that returns it, or a coroutine function. An error blocks the call."""
        raise NotImplementedError(f"{type(self).__name__} must implement check()")


class Service(Guardrail):
    """The base of guardrails that ask somebody else: fewer questions of a stream, in larger pieces."""

    window: int | None = 1000
    overlap: int = 200
