"""The thread that tells: bounded, patient with observers, off the callers' way, and in time at the end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from core.tests.conftest import ASK, completion

from polyport import Observer
from polyport.drivers.simulation import Simulation
from polyport.errors import PluginError
from polyport.middleware.observers import observe
from polyport.observing import Event
from polyport.testing import Wire


def test_observers_run_on_a_thread_of_their_own(mode, observed):
    """Sync ones and async ones, the same one."""
    seen: list[str] = []

    async def later(event):
        seen.append(threading.current_thread().name)

    one = observed([lambda event: seen.append(threading.current_thread().name), later])
    mode.chat(one.client)
    one.tell()
    assert seen == ["polyport-observers"] * 2


def test_an_observer_that_raises_breaks_nothing_and_is_said_once(observed, caplog):
    """The call, the other observers, and further events go on."""
    seen: list[Event] = []

    def broken(event):
        raise RuntimeError("no")

    async def broken_later(event):
        raise RuntimeError("later")

    one = observed([broken, broken_later, seen.append])
    with caplog.at_level(logging.ERROR, "polyport.observers"):
        for _ in range(3):
            one.client.completion("fake/m", ASK)
        one.tell()
    assert len(seen) == 3
    assert [watcher.failed for watcher in one.layer.watchers] == [3, 3, 0]
    assert len(caplog.records) == 2


def test_an_observer_that_leaves_the_program_does_not_end_the_telling(observed, caplog):
    """sys.exit() on another thread than the main one would end that thread alone."""
    seen: list[Event] = []

    def leave(event):
        seen.append(event)
        sys.exit(1)

    one = observed([leave])
    for _ in range(2):
        one.client.completion("fake/m", ASK)
        one.tell()
    assert len(seen) == 2
    assert "SystemExit" in caplog.text


def test_a_full_queue_drops_and_says_so_once(observed, caplog):
    """Calls are never held up by a slow observer."""
    go, seen = threading.Event(), []

    def slow(event):
        go.wait(60)
        seen.append(event)

    one = observed([slow], capacity=5)
    with caplog.at_level(logging.WARNING, "polyport.observers"):
        for _ in range(30):
            one.client.completion("fake/m", ASK)
        go.set()
        one.tell()
    assert len(seen) + one.dispatcher.dropped == 30
    assert one.dispatcher.dropped >= 20
    assert len(caplog.records) == 1


def test_a_flush_waits_for_what_observers_hold_back(observed):
    """Theirs too; an observer that flushes would wait for itself, so for it there is no waiting."""
    done: list[Any] = []

    class Holding(Observer):
        def on_success(self, event):
            done.append(one.dispatcher.flush(5))

        async def flush(self):
            done.append("flushed")

        def close(self):
            done.append("closed")

    one = observed([Holding()])
    one.client.completion("fake/m", ASK)
    one.tell()
    assert done == [False, "flushed"]
    one.dispatcher.close(one.layer.watchers, 5)
    assert done == [False, "flushed", "flushed", "closed"]


def test_the_end_of_a_process_tells_what_is_queued():
    """Without a flush, and without closing anything; async observers too."""
    code = """
import polyport
from polyport.middleware.observers import observe
from polyport.testing import Wire
from polyport.dialects.openai import OpenAICompatible

class Fake(OpenAICompatible):
    base_url = "http://fake.invalid"

async def told(event):
    print("told", event.model, flush=True)

answer = {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
client = polyport.Client(http=Wire(answer), providers={"fake": Fake}, middleware=[observe([told])])
for n in range(100):
    client.completion(f"fake/{n}", [{"role": "user", "content": "x"}])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"told {n}" for n in range(100)]
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_tells_its_own_events_and_not_its_parents():
    """Workers that are forked after the first call."""
    code = """
import os, polyport
from polyport.middleware.observers import observe
from polyport.testing import Wire
from polyport.dialects.openai import OpenAICompatible

class Fake(OpenAICompatible):
    base_url = "http://fake.invalid"

def told(event):
    os.write(1, f"{'child' if os.getpid() != parent else 'parent'} {event.model}\\n".encode())

parent = os.getpid()
answer = {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
client = polyport.Client(http=Wire(answer), providers={"fake": Fake}, middleware=[observe([told])])
ask = [{"role": "user", "content": "x"}]
client.completion("fake/1", ask)
child = os.fork()
client.completion("fake/2", ask)
assert polyport.flush_callbacks(10)
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == ["child 2", "parent 1", "parent 2"]


def test_the_layer_runs_under_a_virtual_clock(observed):
    """The times of events are the simulation's."""
    seen: list[Event] = []
    one = observed([seen.append])
    wire = Wire(completion("hi"))
    simulation = Simulation(wire.simulated)
    for _ in range(3):
        simulation.run_flow(one.client.flow("completion", model="fake/m", messages=ASK))
    one.tell()
    assert [told.latency for told in seen] == [pytest.approx(0.0, abs=1e-9)] * 3


def test_no_callbacks_are_no_layer():
    """Nothing is paid for nothing."""
    assert observe() is None


def test_a_name_that_nobody_has_installed_says_which_there_are():
    """And how to have more."""
    with pytest.raises(PluginError, match=r"No observer 'nobody' is installed.*pip install"):
        observe(["nobody"])


def test_what_is_captured_when_a_call_begins_is_in_its_event(observed):
    """Taken on the caller's thread; each observer gets its own."""
    seen: list[Any] = []

    class Capturing(Observer):
        def capture(self):
            return threading.current_thread().name

        def on_success(self, event):
            seen.append(event.captured)

    class Broken(Capturing):
        def capture(self):
            raise RuntimeError("no")

    one = observed([Capturing(), Broken(), lambda event: seen.append(event.captured)])
    one.client.completion("fake/m", ASK)
    one.tell()
    assert seen == [threading.current_thread().name, None, None]
