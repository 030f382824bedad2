"""Stores: what every one must do, the bounds of memory and disk, and files that several processes share."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from core.tests.conftest import ASK
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport.caching import Cache, Store
from polyport.caching.disk import LEAVE, Disk, default_path
from polyport.caching.memory import OVERHEAD, Memory
from polyport.caching.sqlite_vec import SqliteVec
from polyport.drivers.simulation import Simulation
from polyport.errors import BadRequestError, PluginError


class Time:
    """A virtual clock to run a store's flows at."""

    def __init__(self) -> None:
        self.simulation = Simulation(lambda request, now: pytest.fail("a store sends nothing"))

    def run(self, flow: Any) -> Any:
        return self.simulation.run_flow(flow)

    def passes(self, seconds: float) -> None:
        self.simulation.run(until=self.simulation.now + seconds)


MADE = {"memory": lambda path: Memory(), "disk": lambda path: Disk(path=path), "vec": lambda path: SqliteVec(path=path)}


@pytest.fixture(params=MADE)
def store(request, tmp_path) -> Iterator[Store]:
    """Each store of core."""
    made = MADE[request.param](tmp_path)
    yield made
    made.close()


def test_a_store_keeps_and_forgets(store):
    """The whole interface."""
    run = Time().run
    assert run(store.get("a:1")) is None
    run(store.set("a:1", b"x", None))
    run(store.set_many({"a:2": b"y", "b:1": b"z"}, 100.0))
    run(store.set("a:1", b"xx", None))
    assert [kept and kept.value for kept in run(store.get_many(["a:1", "c:1", "b:1", "a:2"]))] == [
        b"xx", None, b"z", b"y",
    ]  # fmt: skip
    assert 0 <= run(store.get("a:1")).age < 60
    run(store.delete("a:1"))
    run(store.delete("a:1"))
    assert run(store.get("a:1")) is None
    run(store.clear("a:"))
    assert run(store.get("a:2")) is None
    assert run(store.get("b:1")).value == b"z"
    run(store.clear())
    assert run(store.get("b:1")) is None


def test_a_store_finds_the_nearest_vector_of_a_partition(store):
    """And of no other one; vectors are replaced, forgotten, and go with their namespace."""
    run = Time().run
    assert run(store.nearest("n:p", [1.0, 0.0])) is None
    for name, vector in {"n:1": [1.0, 0.0], "n:2": [0.0, 1.0], "n:3": [0.6, 0.8]}.items():
        run(store.set(name, b"x", None))
        run(store.remember("n:p", name, vector, None))
    run(store.set("n:9", b"x", None))
    run(store.remember("n:q", "n:9", [0.8, 0.6], None))
    key, near = run(store.nearest("n:p", [0.8, 0.6]))
    assert (key, round(near, 5)) == ("n:3", 0.96)
    run(store.remember("n:p", "n:1", [0.8, 0.6], None))
    assert run(store.nearest("n:p", [0.8, 0.6]))[0] == "n:1"
    run(store.forget("n:p", "n:1"))
    run(store.forget("n:p", "n:1"))
    assert run(store.nearest("n:p", [0.8, 0.6]))[0] == "n:3"
    run(store.clear("n:"))
    assert run(store.nearest("n:q", [0.8, 0.6])) is None


def test_numpy_and_python_find_the_same(store):
    """From so many vectors on it is numpy that compares."""
    run = Time().run
    for index in range(300):
        run(store.set(f"n:{index}", b"x", None))
        run(store.remember("n:p", f"n:{index}", [index / 300, (1 - (index / 300) ** 2) ** 0.5], None))
    key, near = run(store.nearest("n:p", [0.5, 0.75**0.5]))
    assert (key, round(near, 4)) == ("n:150", 1.0)


names = st.sampled_from([f"n:{number}" for number in range(12)])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), names, st.integers(0, 400), st.none() | st.floats(0.1, 20)),
        st.tuples(st.just("get"), names, st.just(0), st.none()),
        st.tuples(st.just("delete"), names, st.just(0), st.none()),
        st.tuples(st.just("pass"), st.just(""), st.integers(0, 10), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps, st.integers(0, 8), st.integers(0, 3000))
def test_memory_holds_its_bounds_and_its_times(taken, max_entries, max_bytes):
    """Whatever happens, and what it gives is what was put there last, in time."""
    store, time = Memory(max_bytes=max_bytes, max_entries=max_entries), Time()
    model: dict[str, tuple[bytes, float]] = {}
    for step, name, number, ttl in taken:
        now = time.simulation.now
        if step == "set":
            time.run(store.set(name, b"v" * number, ttl))
            model[name] = (b"v" * number, now + (ttl or 1e9))
        elif step == "delete":
            time.run(store.delete(name))
            model.pop(name, None)
        elif step == "pass":
            time.passes(number)
        else:
            kept = time.run(store.get(name))
            if kept is not None:
                value, ends = model[name]
                assert kept.value == value
                assert now < ends
        assert len(store) <= max_entries
        assert store.bytes <= max_bytes
        assert store.bytes == sum(len(value) + OVERHEAD for value, *_ in store._entries.values())


def test_memory_lets_go_of_what_was_least_recently_used():
    """A read is a use."""
    store, time = Memory(max_entries=3), Time()
    for name in "abc":
        time.run(store.set(name, b"x", None))
    time.run(store.get("a"))
    time.run(store.set("d", b"x", None))
    assert [name for name in "abcd" if time.run(store.get(name))] == ["a", "c", "d"]


def test_memory_bounds_its_vectors():
    """The least recently used one goes."""
    store, time = Memory(max_vectors=2), Time()
    for name, vector in {"n:1": [1.0, 0.0], "n:2": [0.0, 1.0], "n:3": [0.6, 0.8]}.items():
        time.run(store.remember("n:p", name, vector, None))
    assert time.run(store.nearest("n:p", [1.0, 0.0]))[0] == "n:3"
    time.run(store.remember("n:p", "n:4", [1.0, 0.0, 0.0], None))
    assert time.run(store.nearest("n:p", [1.0, 0.0])) is None


# --- disk ---


def totals(path: os.PathLike[str]) -> tuple[int, int]:
    """What is in a file: (entries, bytes), counted anew; the totals kept by triggers must say the same."""
    file = sqlite3.connect(path)
    counted = file.execute("SELECT count(*), coalesce(sum(size), 0) FROM entries").fetchone()
    kept = file.execute("SELECT entries, bytes FROM totals").fetchone()
    file.close()
    assert counted == kept
    return counted


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    taken=st.lists(st.tuples(names, st.integers(0, 400)), max_size=40),
    bounds=st.tuples(st.integers(1, 8), st.integers(50, 2000)),
)
def test_a_file_holds_its_bounds(tmp_path_factory, taken, bounds):
    """By entries and by bytes."""
    store, run = Disk(path=tmp_path_factory.mktemp("d"), max_entries=bounds[0], max_bytes=bounds[1]), Time().run
    for name, number in taken:
        run(store.set(name, b"v" * number, None))
        kept = run(store.get(name))
        assert kept is None or kept.value == b"v" * number
    if taken:
        entries, size = totals(store.path)
        assert entries <= bounds[0]
        assert size <= bounds[1]
    store.close()


def test_a_file_makes_a_little_more_room_than_it_must(tmp_path):
    """So that not every write has to; what was used first goes first, and its vector with it."""
    store, run = Disk(path=tmp_path, max_entries=20), Time().run
    for number in range(21):
        run(store.set(f"n:{number}", b"x", None))
        run(store.remember("n:p", f"n:{number}", [1.0, float(number)], None))
    assert totals(store.path)[0] == 20 * LEAVE
    assert run(store.get("n:0")) is None
    assert run(store.get("n:20")).value == b"x"
    store.close()


def test_what_expired_on_disk_is_not_given(tmp_path):
    """By the computer's clock, since processes and days are between."""
    store, run = Disk(path=tmp_path), Time().run
    run(store.set("n:1", b"x", 3600.0))
    run(store.set("n:2", b"x", 3600.0))
    file = sqlite3.connect(store.path)
    with file:
        file.execute("UPDATE entries SET expires = expires - 3601, made = made - 3601 WHERE key = 'n:1'")
    file.close()
    assert run(store.get("n:1")) is None
    assert run(store.get("n:2")) is not None
    store.close()


def test_a_file_outlives_its_process_and_is_for_its_owner_alone(tmp_path):
    """A path is a file or a folder; the folder is made."""
    store, run = Disk(path=tmp_path / "deep" / "answers.db"), Time().run
    run(store.set("n:1", b"x", None))
    store.close()
    again = Disk(path=str(tmp_path / "deep" / "answers.db"))
    assert run(again.get("n:1")).value == b"x"
    assert again.path.stat().st_mode & 0o777 == 0o600
    again.close()
    assert default_path().name == "cache-1.db"


WRITER = """
import sys
from polyport.caching.disk import Disk
from polyport.caching import _run
store = Disk(path=sys.argv[1], max_entries=50)
for number in range(100):
    _run(store.set(f"n:{sys.argv[2]}-{number}", b"x" * 100, None))
    assert _run(store.get(f"n:{sys.argv[2]}-{number}")) is None or True
store.close()
"""


def test_processes_share_a_file(tmp_path):
    """Four write at once: none fails, and the bound is theirs together."""
    path = str(tmp_path / "shared.db")
    running = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(number)]) for number in range(4)]
    assert [one.wait(60) for one in running] == [0] * 4
    entries, _ = totals(path)
    assert 50 * LEAVE <= entries <= 50


def test_a_file_that_is_no_database_breaks_no_call(mode, cached, tmp_path):
    """It is said, and the call is answered."""
    path = tmp_path / "broken.db"
    path.write_bytes(b"this is no database" * 100)
    cache = Cache(type="disk", path=str(path))
    client, wire = cached(cache)
    for _ in range(2):
        assert not mode.chat(client).meta.cache_hit
    assert len(wire.requests) == 2
    assert cache.stats["errors"] == 1
    cache.close()


def test_disk_serves_calls(mode, cached, tmp_path):
    """Also those of another client, later."""
    for expected in (False, True):
        cache = Cache(type="disk", path=str(tmp_path))
        client, _ = cached(cache)
        assert mode.chat(client).meta.cache_hit is expected
        asyncio.run(cache.aclose())


# --- by name ---


def test_an_unknown_store_says_which_there_are():
    """And what to install."""
    with pytest.raises(PluginError, match=r"No cache 'rediss' is installed. Installed: .*disk.*memory.*pip install"):
        Cache(type="rediss")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "127.0.0.1"}, "memory cache cannot be opened so: .*'host'.* Its settings are max_bytes"),
        ({"type": "disk", "port": 1}, "disk cache cannot be opened so"),
        ({"mode": "on"}, "'default_on' or 'default_off'"),
        ({"ttl": -1}, "ttl must be seconds"),
        ({"type": "semantic", "similarity_threshold": 2}, "from 0 to 1"),
        ({"type": "semantic", "store": Store()}, "cannot compare vectors"),
        ({"type": Memory(), "max_bytes": 1}, "open already"),
    ],
)
def test_settings_that_cannot_be_are_errors(settings, said):
    """At once, and not at the first call."""
    with pytest.raises(BadRequestError, match=said):
        Cache(**settings)


def test_local_is_memory(cached):
    """A name that users know from elsewhere."""
    client, _ = cached(Cache(type="local", max_entries=5))
    client.completion("fake/m", ASK)
    assert client.completion("fake/m", ASK).meta.cache_hit


@pytest.mark.parametrize("kinds", [(Disk, Disk), (SqliteVec, SqliteVec)])
def test_two_processes_see_each_others_vectors(tmp_path, kinds):
    """What the other added, replaced, or let go of; however each of them compares."""
    one, other = (kind(path=tmp_path) for kind in kinds)
    run = Time().run
    for name, vector in {"n:1": [1.0, 0.0], "n:2": [0.0, 1.0]}.items():
        run(one.set(name, b"x", None))
        run(one.remember("n:p", name, vector, None))
        assert run(other.nearest("n:p", vector))[0] == name
    run(one.remember("n:p", "n:1", [0.6, 0.8], None))
    assert run(other.nearest("n:p", [0.6, 0.8]))[0] == "n:1"
    run(other.delete("n:1"))
    assert run(one.nearest("n:p", [0.6, 0.8]))[0] == "n:2"
    run(one.forget("n:p", "n:2"))
    assert run(other.nearest("n:p", [0.6, 0.8])) is None
    one.close()
    other.close()
