"""The ASGI application, which any ASGI server can run. https://asgi.readthedocs.io/en/latest/specs/

    app = App(config.load("config.yaml"))

It holds what serves now and swaps it whole on `reload`; requests on their way finish where they began.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping

from polyport.observing.event import Observer
from polyport_gateway import health, refusing
from polyport_gateway.asked import Receive
from polyport_gateway.config import Config
from polyport_gateway.custom_auth import SCOPE
from polyport_gateway.endpoints import Endpoint
from polyport_gateway.exchange import Exchange, Scope, Send, Tap
from polyport_gateway.gate import Gate, MasterKey
from polyport_gateway.running import Running
from polyport_gateway.surfaces import Routes

log = logging.getLogger("polyport.gateway")

ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]
#: Is told that another configuration serves: what was, what is.
Follow = Callable[[Config, Config], None]
#: Says why no more work is to be sent here; None where nothing speaks against it.
Ready = Callable[[], Awaitable[str | None]]


class App:
    """The gateway. `gate` admits requests; by default, the configuration's master key alone does.

    `starting` and `closing` are run with the server's start, and before its end; `leaving` before the server closes its
    connections; `following` after a reload. `hangup` is what SIGHUP does, where it is more than to read the
    configuration again, and `tell_others`, in a process that is one of several, has the others do so. `ready` are asked
    by readiness, `taps` told of each request that is over. `prompts` keeps what is asked and answered.
    """

    def __init__(self, config: Config, *, gate: Gate | None = None, prompts: Observer | None = None) -> None:
        self.prompts = prompts
        self.running = Running(config, prompts=prompts)
        self.draining = False
        self._own_gate = gate is None
        self.gate: Gate = gate or MasterKey(config.general.master_key)
        self.starting: list[Hook] = []
        self.leaving: list[Hook] = []
        self.closing: list[Hook] = []
        self.following: list[Follow] = []
        self.hangup: Hook | None = None
        self.tell_others: Callable[[], None] | None = None
        self.ready: list[Ready] = []
        self.taps: list[Tap] = []
        #: What serves addresses of the operator's own: see `polyport_gateway.endpoints`.
        self.forward: Callable[[Endpoint, str, Scope, Receive, Send], Awaitable[None]] | None = None
        #: What puts a span around each request, where somebody wants to see them.
        self.tracing: Callable[[Scope, Awaitable[None]], Awaitable[None]] | None = None
        #: What the processes of one gateway have in common, and no other gateway has.
        self.group = f"{os.getpid()}-{time.time_ns():x}"
        #: Finds what serves a method of an address, where neither a mount nor the table of calls has it.
        self.beside: Callable[[str, str], ASGI | None] | None = None
        self._mounts: dict[str, ASGI] = {}
        self._routes = Routes()
        self._known = self._unmounted()
        self._replaced: list[Running] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and end."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._websocket(scope, receive, send)

    def mount(self, applications: Mapping[str, ASGI]) -> None:
        """Serve applications at all addresses that begin with a word: {"key": ..., "ui": ...}; WebSockets, too."""
        taken = self._mounts.keys() & applications.keys()
        if taken:
            raise ValueError(f"/{min(taken)} is mounted twice")
        self._mounts.update(applications)
        self._known = self._unmounted()

    def _unmounted(self) -> frozenset[str]:
        """Return the addresses of calls that no application is mounted over: nearly all requests are to one of them."""
        return frozenset(path for path in self._routes.exact if path[1:].partition("/")[0] not in self._mounts)

    @property
    def mounted(self) -> Mapping[str, ASGI]:
        """What is mounted, by the first word of its addresses."""
        return self._mounts

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.running.custom is not None:
            SCOPE.set(scope)
        path: str = scope["path"].removeprefix("/v1")
        mounted = self._mounts.get(path[1:].partition("/")[0])
        fence = self.running.fence
        refusal = await fence.refusal(self.gate, scope) if fence else None
        if mounted is not None and refusal is None:
            await mounted(scope, receive, send)
            return
        await receive()
        reason = "not served here" if refusal is None else refusal.message[:120]
        await send({"type": "websocket.close", "code": 1008, "reason": reason})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        running = self.running
        known = path in self._known
        if not known and (path.startswith("/health") or path.endswith("z")):
            told = await health.answer(path, self.ready, draining=self.draining)
            if told is not None:
                await _send(send, *told)
                return
        if running.custom is not None:
            SCOPE.set(scope)
        if running.fence:
            refusal = await running.fence.refusal(self.gate, scope)
            if refusal is not None:
                await refusing.tell(refusal, scope, send, self._routes)
                return
        if running.forwards is not None and (found := running.forwards.find(path)) and self.forward is not None:
            endpoint, below = found
            await self.forward(endpoint, below, scope, receive, send)
            return
        if not (known and scope["method"] == "POST"):
            mounted = self._mounts.get(path[1:].partition("/")[0])
            if mounted is None and self.beside is not None:
                mounted = self.beside(scope["method"], path)
            if mounted is not None:
                await mounted(scope, receive, send)
                return
        run = Exchange(running, self.gate, scope, receive, send, self.taps).run(self._routes)
        with running:
            await (run if self.tracing is None else self.tracing(scope, run))
        if self._replaced:
            await self._close_replaced()

    # --- another configuration ---

    def reload(self, config: Config) -> None:
        """Serve by another configuration from now on. Raises what is wrong with it, and then nothing has changed."""
        self.swap(Running(config, prompts=self.prompts))

    def swap(self, fresh: Running) -> None:
        """Serve by what was made of another configuration."""
        old, self.running = self.running, fresh
        if self._own_gate:
            self.gate = MasterKey(fresh.general.master_key)
        old.replace()
        self._replaced.append(old)
        for follow in self.following:
            follow(old.config, fresh.config)

    @property
    def in_flight(self) -> int:
        """How many requests are on their way."""
        return self.running.in_flight + sum(one.in_flight for one in self._replaced)

    async def _close_replaced(self) -> None:
        over = [one for one in self._replaced if one.over]
        self._replaced = [one for one in self._replaced if one not in over]
        for one in over:
            await one.aclose()

    # --- start and end ---

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                for hook in self.starting:
                    await hook()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def aclose(self) -> None:
        """Close what parts have open, the gate, then all connections."""
        for hook in reversed(self.closing):
            await hook()
        await self.gate.aclose()
        await asyncio.gather(*(one.aclose() for one in (self.running, *self._replaced)))


async def _send(send: Send, status: int, body: bytes) -> None:
    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
