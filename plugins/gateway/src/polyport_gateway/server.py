"""The process: one socket, workers that share it, and what signals mean.

SIGTERM and SIGINT: take no new requests, let those on their way finish, stop. SIGHUP: read the configuration again;
one that cannot be used is said in the log, and the old one goes on. The server is uvicorn with uvloop, and a
protocol of our own on httptools.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from types import FrameType

import msgspec
import uvicorn

from polyport.errors import PolyportError
from polyport_gateway.app import App
from polyport_gateway.config import Config
from polyport_gateway.protocol import Protocol
from polyport_gateway.tls import Certificate, Files

log = logging.getLogger("polyport.gateway")

BACKLOG = 2048
#: Seconds after which a connection that asks nothing is closed: longer than load balancers keep theirs (60).
KEEP_ALIVE = 75
#: When Python looks for cycles of objects: what a request leaves behind has few, and a worker has room for them.
GC = (20_000, 20, 20)
#: Seconds between two looks whether the certificate was renewed.
LOOK = 5
#: A worker that ends within so many seconds of being ready ends soon; more of those than so many for each worker,
#: within the last so many seconds, are a fault that no other worker mends.
SOON, SOON_EACH, SOON_WITHIN = 5.0, 3, 600.0
#: What goes to all workers.
PASSED_ON = (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """How to serve. `read` returns the configuration anew."""

    read: Callable[[], Config]
    host: str = "127.0.0.1"
    port: int = 4000
    workers: int = 1
    log_level: str = "info"
    #: The certificate to show; without one it is HTTP that is spoken.
    certificate: Files | None = None
    #: What was read before there were workers.
    good: Config | None = None
    #: What the workers have in common.
    group: str = msgspec.field(default_factory=lambda: f"{os.getpid()}-{time.time_ns():x}")


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, which child processes inherit. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    sock.listen(BACKLOG)
    sock.set_inheritable(True)
    return sock


def serve(settings: Settings, sock: socket.socket, make: Callable[[Config], App] = App) -> int:
    """Serve until a signal says stop, and return the exit code. `make` is given the configuration in each worker."""
    if settings.workers > 1:
        return Workers(settings.workers, lambda ready: work(settings, sock, make, ready)).run()
    return work(settings, sock, make)


def work(
    settings: Settings, sock: socket.socket, make: Callable[[Config], App], ready: Callable[[], None] = lambda: None
) -> int:
    """Be one worker. `ready` is called when it serves."""
    config = _first(settings)
    app = make(config)
    app.group = settings.group
    if settings.workers > 1:
        app.tell_others = partial(_hang_up, os.getppid())
    certificate = None if settings.certificate is None else Certificate(settings.certificate)
    server = Server(
        uvicorn.Config(
            app,
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            http=partial(Protocol, write_within=config.general.unread_seconds),  # type: ignore[arg-type]  # what is called
            ws="websockets-sansio",
            ws_max_size=int(config.general.realtime.max_message_mb * 1024 * 1024),
            ws_per_message_deflate=False,
            lifespan="on",
            log_level=settings.log_level,
            access_log=False,
            server_header=False,
            proxy_headers=bool(config.general.trusted_proxies),
            forwarded_allow_ips=list(config.general.trusted_proxies),
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(config.general.drain_seconds),
            ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
            timeout_notify=LOOK,
        ),
        app,
        settings.read,
        certificate,
        ready,
    )
    for sig in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again at its end, to whom it found there
        signal.signal(sig, server.handle_exit)
    server.run([sock])
    return 0 if server.started else 1


def _first(settings: Settings) -> Config:
    """Return the configuration as it reads now; for a worker that takes another's place, else the one that was good."""
    try:
        return settings.read()
    except PolyportError as error:
        if settings.good is None:
            raise
        log.error("the configuration cannot be used, the one that the gateway began with is: %s", error)
        return settings.good


def _hang_up(parent: int) -> None:
    """Have the parent pass SIGHUP on to all workers, if it is still there."""
    if os.getppid() == parent:
        os.kill(parent, signal.SIGHUP)


class Server(uvicorn.Server):
    """uvicorn's server, which also knows SIGHUP, a renewed certificate, and tells the application that it drains."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: App,
        read: Callable[[], Config],
        certificate: Certificate | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._certificate = certificate
        if certificate is not None:
            config.callback_notify = self._look
        self._app = app
        self._read = read
        self._reloading: asyncio.Future[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve."""
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        await super().startup(sockets)
        if self.started:
            self._ready()
        gc.collect()
        gc.freeze()  # modules and configuration stay for good: looking through them again and again costs each request
        gc.set_threshold(*GC)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: first, what parts have to end before connections are closed."""
        for hook in self._app.leaving:
            await hook()
        await super().shutdown(sockets)

    def reload(self) -> None:
        """Serve by the configuration as it reads now, or go on as before where it cannot be used."""
        if self._certificate is not None:
            self._certificate.look()
        if self._app.hangup is not None:
            self._reloading = asyncio.ensure_future(self._app.hangup())
            return
        try:
            self._app.reload(self._read())
        except PolyportError as error:
            log.error("the configuration was not reloaded, the old one goes on: %s", error)
            return
        log.info("the configuration was reloaded")

    async def _look(self) -> None:
        if self._certificate is not None:
            self._certificate.look()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no new requests, and let those on their way finish; a second SIGINT does not wait."""
        self._app.draining = True
        super().handle_exit(sig, frame)


class Worker:
    """A process that serves, and the end of a pipe that it writes to when it is ready."""

    def __init__(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        #: When it was ready; None where it is not, as far as was looked.
        self.ready: float | None = None

    def look(self) -> bool:
        """Whether it was ever ready."""
        if self.ready is None:
            with contextlib.suppress(BlockingIOError):
                told = os.read(self._pipe, 64)
                self.ready = float(told) if told else None
        return self.ready is not None

    def close(self) -> None:
        """Look no more."""
        os.close(self._pipe)


class Workers:
    """Processes that serve one socket. One that dies is replaced; signals go to all of them.

    A worker that ends before any was ready has failed to start, and ends the gateway. Later, those that end before they
    are ready, or soon after, are replaced as well, until there are too many of them.
    """

    def __init__(self, count: int, work: Callable[[Callable[[], None]], int]) -> None:
        self._count = count
        self._work = work
        self._workers: dict[int, Worker] = {}
        #: When workers ended soon.
        self._soon: deque[float] = deque()
        self._stopping = self._served = False
        #: The exit code of a worker that was one too many.
        self._fault = 0

    def run(self) -> int:
        """Run until all have ended; return the worst of their exit codes, or that of what ended them."""
        for sig in PASSED_ON:
            signal.signal(sig, self._pass_on)
        for _ in range(self._count):
            self._start()
        worst = 0
        while self._workers:
            pid, status = os.wait()
            worst = max(worst, self._ended(pid, os.waitstatus_to_exitcode(status)))
        return self._fault or worst

    def _start(self) -> None:
        pipe, told = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # until each side knows what they mean to it
        pid = os.fork()
        if pid:
            os.close(told)
            self._workers[pid] = Worker(pipe)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            if self._stopping:  # by a signal that came just before
                os.kill(pid, signal.SIGTERM)
            return
        code = 1
        try:
            os.close(pipe)
            for sig in PASSED_ON:
                signal.signal(sig, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            code = self._work(partial(_tell, told))
        except PolyportError as error:
            _say(str(error))
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _ended(self, pid: int, code: int) -> int:
        worker = self._workers.pop(pid, None)
        if worker is None:
            return abs(code)
        now = time.monotonic()
        self._served = self._served or any(one.look() for one in (worker, *self._workers.values()))
        worker.look()
        worker.close()
        if self._stopping:
            return abs(code)
        if not self._served:
            return self._give_up(code)
        if worker.ready is None or now - worker.ready < SOON:
            self._soon.append(now)
            if self._too_many(now):
                many = len(self._soon)
                _say(f"{many} workers ended as soon as they served, the last one with {code}: no other takes its place")
                return self._give_up(code)
        log.error("worker %d ended with %d, another takes its place", pid, code)
        self._start()
        return 0

    def _give_up(self, code: int) -> int:
        self._fault = abs(code) or 1
        self._pass_on(signal.SIGTERM, None)
        return self._fault

    def _too_many(self, now: float) -> bool:
        while self._soon[0] < now - SOON_WITHIN:
            self._soon.popleft()
        return len(self._soon) > SOON_EACH * self._count

    def _pass_on(self, sig: int, _: FrameType | None) -> None:
        self._stopping = self._stopping or sig in (signal.SIGTERM, signal.SIGINT)
        for pid in list(self._workers):
            os.kill(pid, sig)


def _tell(pipe: int) -> None:
    """Write down that this worker is ready, and when: the clock is the machine's."""
    os.write(pipe, repr(time.monotonic()).encode())
    os.close(pipe)


def _say(error: str) -> None:
    sys.stderr.write(f"Error: {error}\n")
