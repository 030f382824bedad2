"""Vectors compared inside SQLite: namespaces never mix, bounds, processes that share a file, what cannot be loaded."""

from __future__ import annotations

import subprocess
import sys
from array import array
from typing import Any

import pytest
from core.tests.caching.conftest import vector_of
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport.caching import Cache, _run
from polyport.caching.disk import Disk
from polyport.caching.sqlite_vec import NEAREST, SqliteVec, driver, load
from polyport.caching.vectors import unit
from polyport.errors import PluginError

lengths = st.sampled_from([2, 3])
vectors = lengths.flatmap(
    lambda length: st.lists(st.floats(-1, 1), min_size=length, max_size=length).filter(
        lambda vector: any(abs(value) > 0.01 for value in vector)
    )
)
#: Names that a careless WHERE would confuse: wildcards, prefixes of one another, other cases, quotes.
namespaces = st.sampled_from(["a:", "A:", "aa:", "a%:", "a_:", "%:", "a':", "", "ä:"])
moves = st.lists(
    st.tuples(st.sampled_from(["remember", "forget", "delete", "clear"]), namespaces, st.sampled_from("xyz"), vectors),
    max_size=30,
)


def near(one: list[float], other: list[float]) -> float:
    """The cosine of two vectors of length 1, as 32-bit floats have it."""
    return sum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves, st.lists(st.tuples(namespaces, vectors), max_size=6))
def test_namespaces_never_mix(tmp_path_factory, taken, asked):
    """Whatever was kept and forgotten: what is found is of the namespace that was asked, and the nearest there."""
    store = SqliteVec(path=tmp_path_factory.mktemp("vec"))
    there: dict[tuple[str, str], list[float]] = {}
    for what, namespace, name, vector in taken:
        partition, key = f"{namespace}digest", f"{namespace}{name}"
        if what == "remember":
            _run(store.set(key, b"x", None))
            _run(store.remember(partition, key, unit(vector), None))
            there[partition, key] = unit(vector)
        elif what == "forget":
            _run(store.forget(partition, key))
            there.pop((partition, key), None)
        elif what == "delete":
            _run(store.delete(key))
            there = {where: kept for where, kept in there.items() if where[1] != key}
        else:
            _run(store.clear(namespace))
            there = {where: kept for where, kept in there.items() if not where[0].startswith(namespace)}
    for namespace, vector in asked:
        partition, wanted = f"{namespace}digest", unit(vector)
        own = {key: kept for (place, key), kept in there.items() if place == partition and len(kept) == len(wanted)}
        found = _run(store.nearest(partition, wanted))
        assert (found is None) is (not own)
        if found is not None:
            assert found[0] in own
            assert found[1] == pytest.approx(max(near(kept, wanted) for kept in own.values()), abs=1e-4)
            assert found[1] == pytest.approx(near(own[found[0]], wanted), abs=1e-4)
    store.close()


def test_a_namespace_is_a_hard_partition_of_calls(cached, tmp_path):
    """The same words under another namespace are asked again; other words under the same one are not."""
    cache = Cache(type="semantic", store="sqlite-vec", path=str(tmp_path), embedding_model="fake/e",
                  similarity_threshold=0.9)  # fmt: skip
    client, _ = cached(cache)
    hits = [
        client.completion("fake/m", [{"role": "user", "content": text}], cache={"namespace": namespace}).meta.cache_hit
        for namespace, text in [("a", "aaa"), ("a", "aaaa"), ("b", "aaa"), ("b", "aaaaa"), ("a", "ooo")]
    ]
    assert hits == [False, True, False, True, False]
    assert vector_of("aaa") != vector_of("aaaa")
    cache.close()


def test_look_ups_go_by_the_partitions_index(tmp_path):
    """No scan of all vectors, and no sorting."""
    store = SqliteVec(path=tmp_path)
    _run(store.set("n:1", b"x", None))
    file = driver().connect(store.path)
    load(file)
    asked = {"vector": b"", "partition": "n:p", "length": 8, "limit": 10}
    plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {NEAREST}", asked)]
    file.close()
    store.close()
    assert sum("by_partition (partition=?" in step for step in plan) == 2, plan
    assert not any("SCAN" in step or "TEMP B-TREE" in step for step in plan), plan


def test_of_a_large_partition_the_latest_are_compared(tmp_path):
    """So many as the bound says, and a look-up's time has one, too."""
    store = SqliteVec(path=tmp_path, max_vectors=2)
    for number, vector in enumerate([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]):
        _run(store.set(f"n:{number}", b"x", None))
        _run(store.remember("n:p", f"n:{number}", vector, None))
    assert _run(store.nearest("n:p", [1.0, 0.0]))[0] == "n:2"
    store.close()


def test_a_vector_of_nothing_is_near_nothing(tmp_path):
    """Its distance is no number, and hides no other vector."""
    store = SqliteVec(path=tmp_path)
    for number, vector in enumerate([[0.0, 0.0], [0.0, 1.0]]):
        _run(store.set(f"n:{number}", b"x", None))
        _run(store.remember("n:p", f"n:{number}", vector, None))
    assert _run(store.nearest("n:p", [0.6, 0.8]))[0] == "n:1"
    assert _run(store.nearest("n:p", [0.0, 0.0])) is None
    store.close()


WRITER = """
import sys
from polyport.caching import _run
from polyport.caching.sqlite_vec import SqliteVec
from polyport.caching.vectors import unit
path, own = sys.argv[1], sys.argv[2]
store = SqliteVec(path=path)
for number in range(60):
    key, vector = f"{own}:{number}", unit([number + 1.0, int(own) + 1.0, 1.0])
    _run(store.set(key, b"x", None))
    _run(store.remember(f"{own}:p", key, vector, None))
    found = _run(store.nearest(f"{own}:p", vector))
    assert found is not None and found[0].startswith(f"{own}:") and found[1] > 0.9999, found
store.close()
"""


def test_processes_share_a_file_and_keep_to_their_namespaces(tmp_path):
    """Four write and look up at once: none fails, none finds another's, all is there afterwards."""
    path = str(tmp_path / "shared.db")
    running = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(number)]) for number in range(4)]
    assert [one.wait(120) for one in running] == [0] * 4
    store = Disk(path=path)
    for own in range(4):
        key, near = _run(store.nearest(f"{own}:p", unit([30.0, own + 1.0, 1.0])))
        assert (key, round(near, 5)) == (f"{own}:29", 1.0)
    store.close()


# --- what cannot be loaded ---


class Refuses:
    """A connection whose SQLite refuses the extension."""

    def enable_load_extension(self, on: bool) -> None:
        self.on = on

    def load_extension(self, path: str) -> None:
        raise driver().OperationalError("cannot open shared object file")


def test_a_sqlite_that_refuses_is_told_with_what_to_do():
    """And extensions are off again."""
    refuses: Any = Refuses()
    with pytest.raises(PluginError, match=r"cannot open shared object file.*store='disk'"):
        load(refuses)
    assert refuses.on is False


WITHOUT = """
import sqlite3, sys
sys.modules[sys.argv[1]] = None
if sys.argv[1] == "pysqlite3":
    class Connection:
        pass
    sqlite3.Connection = Connection
import polyport
from polyport.caching import Cache
try:
    Cache(type="semantic", store="sqlite-vec")
except polyport.PluginError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("sqlite_vec", 'pip install "polyport[vec]"'),
        ("pysqlite3", "pip install pysqlite3; or a Python built with --enable-loadable-sqlite-extensions"),
    ],
)
def test_what_is_missing_is_told_with_what_to_install(missing, said):
    """Where the cache is made, not at the first call."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing], capture_output=True, text=True, timeout=60, check=True
    )
    assert said in done.stdout


def test_extensions_are_off_again_once_it_is_loaded(tmp_path):
    """Nothing that reaches the connection loads another one."""
    file = driver().connect(":memory:")
    load(file)
    with pytest.raises(driver().OperationalError, match="not authorized"):
        file.load_extension("/nowhere")
    file.close()
    cache = Cache(type="semantic", store="sqlite-vec", path=str(tmp_path))
    assert "sqlite-vec" in repr(cache)
    cache.close()
