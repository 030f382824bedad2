"""Waits for the steps of the short way: in a blocking call, or on an event loop."""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Any, Protocol, TypeVar

from polyport.errors import Timeout
from polyport_reqwest.sockets import READ, Address, Step

T = TypeVar("T")

FOR_EVER = float("inf")
#: `poll` takes milliseconds in 32 bits.
LONGEST = 1_000_000.0


class Waits(Protocol):
    """What knows how long a step may wait."""

    def left(self) -> float:
        """Return for how many seconds more."""

    def late(self) -> Timeout:
        """Return the error for when nothing is left."""


# --- blocking ---


def drive(step: Step[T], waits: Waits) -> T:
    """Take a step to its end, blocking. Ctrl-C and whatever else is raised meanwhile closes it."""
    try:
        wait = next(step)
        while True:
            if isinstance(wait, Address):
                try:
                    rows = socket.getaddrinfo(*wait, type=socket.SOCK_STREAM)
                except OSError as error:
                    wait = step.throw(error)
                else:
                    wait = step.send(rows)
            else:
                _block(*wait, waits)
                wait = step.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        step.close()


def _block(line: socket.socket, event: int, waits: Waits) -> None:
    seconds = waits.left()
    if seconds <= 0:
        raise waits.late()
    seconds = min(seconds, LONGEST)
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(line, event)
        ready: Any = poll.poll(seconds * 1000)
    else:
        lists = ([line], []) if event == READ else ([], [line])
        ready = any(select.select(*lists, lists[1], seconds))
    if not ready and waits.left() <= 0:
        raise waits.late()


# --- on an event loop ---


async def adrive(step: Step[T], waits: Waits) -> T:
    """Take a step to its end on the running loop. Cancelling closes it."""
    loop = asyncio.get_running_loop()
    try:
        wait = next(step)
        while True:
            if isinstance(wait, Address):
                try:
                    rows = await _look_up(loop, wait, waits)
                except OSError as error:
                    wait = step.throw(error)
                else:
                    wait = step.send(rows)
            else:
                await _suspend(loop, *wait, waits)
                wait = step.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        step.close()


async def _look_up(loop: asyncio.AbstractEventLoop, address: Address, waits: Waits) -> list[Any]:
    left = waits.left()
    try:
        async with asyncio.timeout(None if left == FOR_EVER else left):
            return list(await loop.getaddrinfo(*address, type=socket.SOCK_STREAM))
    except TimeoutError:
        raise waits.late() from None


async def _suspend(loop: asyncio.AbstractEventLoop, line: socket.socket, event: int, waits: Waits) -> None:
    left = waits.left()
    if left <= 0:
        raise waits.late()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_reader, loop.remove_reader) if event == READ else (loop.add_writer, loop.remove_writer)
    fd = line.fileno()
    add(fd, _wake, future)
    timer = None if left == FOR_EVER else loop.call_later(left, _wake, future)
    try:
        await future
    finally:
        remove(fd)
        if timer is not None:
            timer.cancel()
    if waits.left() <= 0:
        raise waits.late()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
