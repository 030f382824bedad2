"""The connections of event loops, which are asyncio protocols, and the open bodies that they hand out.

A connection belongs to one loop and is used by one request at a time. Nothing is done per request that can be done
once: a connection keeps its parser, and one timer per loop watches all limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import cast

from polyport.flow import HttpReply
from polyport_reqwest.answer import Answer, Broken, Undecodable
from polyport_reqwest.homes import Home
from polyport_reqwest.message import Pieces, rest
from polyport_reqwest.talk import FOR_EVER, Stale, Talk

#: A stream that nobody reads stops being received when so many bytes wait to be read.
HIGH = 256 * 1024
monotonic = time.monotonic


class BodyFailed(Exception):
    """A request's body could not be read: `error` says why, in whatever way the body does."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Line(asyncio.Protocol):
    """One connection. `talk` is the request that it is used for, `since` when it became idle; 0 if it never was."""

    __slots__ = (
        "_early",
        "_error",
        "_home",
        "_paused",
        "_room",
        "_sending",
        "_waiter",
        "answer",
        "key",
        "since",
        "talk",
        "transport",
        "whole",
    )

    def __init__(self, home: Home, key: str) -> None:
        self.transport: asyncio.Transport
        self.key, self._home = key, home
        self.answer = Answer()
        self.since = 0.0
        self.talk: Talk | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._room: asyncio.Future[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._early = self._paused = False
        self.whole = True

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self._home.lines.add(self)
        line = transport.get_extra_info("socket")
        if line is not None:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        """Take what came. What comes when nothing was asked for, ends the connection."""
        talk = self.talk
        if talk is None:
            return self.drop()
        talk.moved = monotonic()
        answer = self.answer
        try:
            answer.feed(data)
        except Broken as error:
            return self._fail(error)
        if self._waiter is None:
            if answer.held > HIGH and not (self._paused or answer.complete):
                self._paused = True
                self.transport.pause_reading()
        elif self._early or answer.complete:
            self._wake()
        return None

    def eof_received(self) -> None:
        """Know that no more comes."""
        if self.talk is not None and self._error is None:
            try:
                self.answer.feed(b"")
            except Broken as error:
                self._fail(error)
            else:
                self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Know that it is closed."""
        self._home.lost(self)
        self.resume_writing()
        if self.talk is not None and not self.answer.complete and self._error is None:
            self._fail(error or Broken("it was closed"))

    def pause_writing(self) -> None:
        """Let the body wait until the server has read more."""
        self._room = self._home.loop.create_future()

    def resume_writing(self) -> None:
        """Let the body go on."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- what a request does ---

    async def converse(self, talk: Talk) -> HttpReply:
        """Send the request and return the reply. Raises Stale where a used connection was closed meanwhile."""
        answer, request = self.answer, talk.request
        stream = self._early = request.stream
        answer.expect(request.method)
        self.talk, self.whole = talk, True
        talk.connected()
        self.transport.write(talk.message)
        try:
            pieces = rest(request.content)
            if pieces is not None:
                self._begin_sending(pieces, talk)
            while not (answer.complete or (stream and answer.began and talk.opens(answer.status))):
                await self.news()
            if stream and talk.opens(answer.status):
                return HttpReply(status=answer.status, headers=answer.headers, source=AsyncOpenBody(self, talk))
            content = answer.take()
        except (Broken, OSError) as error:
            self.drop()
            if self.since and talk.again(answer):
                raise Stale from error
            raise talk.failed(error) from error
        except Undecodable as error:
            self.drop()
            raise talk.failed(error) from error
        except BodyFailed as failed:
            self.drop()
            raise failed.error from None
        except BaseException:
            self.drop()
            raise
        self.release()
        return HttpReply(status=answer.status, headers=answer.headers, content=content)

    def news(self) -> asyncio.Future[None]:
        """Return what to await for more of the reply. Raises what ended the connection, a Timeout among others."""
        if self._error is not None:
            raise self._error
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        assert self.talk is not None
        waiter = self._waiter = self._home.loop.create_future()
        self._home.watch(self.talk.due())
        return waiter

    def release(self) -> None:
        """Let go of it when the reply is complete."""
        if self.answer.reusable and self.whole and self._error is None and not self.transport.is_closing():
            if self._sending is not None:
                self._sending.cancel()  # all is sent, and it only makes sure
                self._sending = None
            self.talk = None
            self.since = monotonic()
            self._home.give(self)
        else:
            self.drop()

    def drop(self) -> None:
        """Close it now, whatever is under way."""
        if self._sending is not None:
            self._sending.cancel()
        self.transport.abort()

    def shut(self) -> None:
        """Tell the server at once that this is over, from any thread; the loop closes it when it next runs."""
        loop = self._home.loop
        if self.transport.is_closing() or loop.is_closed():
            return
        with (
            contextlib.suppress(OSError, RuntimeError),
            socket.socket(fileno=self.transport.get_extra_info("socket").fileno()) as line,
        ):
            try:
                line.shutdown(socket.SHUT_RDWR)
                loop.call_soon_threadsafe(self.drop)
            finally:
                line.detach()  # it stays the loop's

    # --- limits ---

    def due(self) -> float:
        """Return when it has waited for too long: for its request, or idle for the next."""
        if self.talk is None:
            return self.since + self._home.keep_alive if self.since else FOR_EVER
        return FOR_EVER if self._waiter is None else self.talk.due()

    def expire(self) -> None:
        """End what has waited for too long."""
        if self.talk is None:
            self.drop()
        else:
            self._fail(self.talk.late())

    # --- a body in pieces ---

    def _begin_sending(self, pieces: Pieces, talk: Talk) -> None:
        self.whole = False
        self._sending = self._home.loop.create_task(self._send(pieces, talk))
        self._sending.add_done_callback(self._sent)

    async def _send(self, pieces: Pieces, talk: Talk) -> None:
        """Send a body, as fast as the server reads it."""
        while not self.transport.is_closing():
            talk.gathering()
            piece = pieces.next() if pieces.here else await asyncio.to_thread(pieces.next)
            talk.connected()
            self._home.watch(talk.due())
            if piece is None:
                return
            self.transport.write(piece)
            self.whole = pieces.over
            if self._room is not None:
                await self._room

    def _sent(self, sending: asyncio.Task[None]) -> None:
        """Fail with what a body raised."""
        error = None if sending.cancelled() else sending.exception()
        if error is not None:
            self._fail(BodyFailed(error))

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self.transport.abort()
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # it may have been cancelled
            waiter.set_result(None)


class AsyncOpenBody:
    """An open body of an asynchronous call. Forgotten without being closed, it closes its connection."""

    __slots__ = ("_line", "_talk")

    def __init__(self, line: Line, talk: Talk) -> None:
        self._line: Line | None = line
        self._talk = talk

    def __del__(self) -> None:
        if self._line is not None:
            self._line.shut()

    async def read(self) -> bytes | None:
        """Return the next piece, decompressed; None at the end. Raises APIConnectionError or Timeout."""
        line, talk = self._line, self._talk
        if line is None:
            return None
        answer = line.answer
        talk.moved = monotonic()
        try:
            while True:
                data = answer.take()
                if answer.complete:
                    self._line = None
                    line.release()
                    return data or None
                if data:
                    talk.flows()
                    return data
                await line.news()
        except BaseException as error:
            self._line = None
            line.drop()
            if isinstance(error, BodyFailed):
                raise error.error from None
            if isinstance(error, Broken | OSError | Undecodable):
                raise talk.failed(error) from error
            raise

    async def aclose(self) -> None:
        """Close the connection, unless the reply was read to its end."""
        line, self._line = self._line, None
        if line is not None:
            line.drop()
            await asyncio.sleep(0)  # the loop closes the socket
