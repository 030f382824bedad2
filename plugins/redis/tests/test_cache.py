"""The cache in Redis: shared by processes and event loops, away and back, found by likeness."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from typing import Any

import pytest

from polyport import Client
from polyport.auth import Bearer
from polyport.caching import Cache
from polyport.dialects.openai import OpenAICompatible
from polyport.drivers.simulation import Simulation
from polyport.testing import Sent, Wire
from polyport_redis import RedisCache

ASK = [{"role": "user", "content": "hello"}]


class Fake(OpenAICompatible):
    """Speaks OpenAI's dialect."""

    auth = Bearer()
    base_url = "http://fake.invalid/v1"


def answer(sent: Sent) -> Any:
    """Answer a chat, or give vectors that say how often a text has which vowel."""
    body = sent.json
    if "input" in body:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        vectors = [[text.count(letter) + 0.01 for letter in "aeo"] for text in texts]
        return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)], "model": "v"}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return {"id": "c1", "model": "m", "choices": [choice]}


def client(cache: Cache, wire: Wire) -> Client:
    """A client with a cache."""
    return Client(http=wire, providers={"fake": Fake}, api_key="k", cache=cache)


class Time:
    """A virtual clock to run flows at."""

    def __init__(self) -> None:
        self.simulation = Simulation(lambda request, now: pytest.fail("a store sends nothing"))
        self.run = self.simulation.run_flow


@pytest.fixture
def store(server):
    """The store, on a Redis of its own."""
    made = RedisCache(port=server.port)
    yield made
    made.close()


def test_answers_are_shared_by_blocking_code_and_event_loops(server):
    """One asks, the others are told; connections of a loop are closed with it."""
    cache, wire = Cache(type="redis", host="127.0.0.1", port=server.port), Wire(answer)
    with client(cache, wire) as made:
        assert not made.completion("fake/m", ASK).meta.cache_hit
        for _ in range(2):
            assert asyncio.run(made.acompletion("fake/m", ASK)).meta.cache_hit
        assert made.embedding("fake/v", ["a", "e"]).model == "v"
        assert asyncio.run(made.aembedding("fake/v", ["e", "a"])).meta.cache_hit
        assert len(list(made.completion("fake/m", ASK, stream=True))) == 1
    assert len(wire.requests) == 2
    cache.close()


def test_a_store_keeps_and_forgets(store):
    """The whole interface; namespaces may hold any sign."""
    run = Time().run
    assert run(store.get("a:1")) is None
    run(store.set("a:1", b"x", None))
    run(store.set_many({"a:2": b"y", "a*:1": b"z", "[ab]:1": b"w"}, 100.0))
    assert [kept and kept.value for kept in run(store.get_many(["a:1", "c:1", "a*:1", "a:2"]))] == [
        b"x", None, b"z", b"y",
    ]  # fmt: skip
    assert 0 <= run(store.get("a:1")).age < 60
    run(store.delete("a:1"))
    run(store.delete("a:1"))
    assert run(store.get("a:1")) is None
    run(store.clear("a*:"))
    run(store.clear("[ab]:"))
    assert run(store.get("a*:1")) is None
    assert run(store.get("[ab]:1")) is None
    assert run(store.get("a:2")).value == b"y"
    run(store.set_many({f"n:{number}": b"x" for number in range(1200)}, None))
    run(store.clear())
    assert store.connections.client().dbsize() == 0


def test_redis_itself_forgets_in_time(store):
    """To the millisecond, and at least for one."""
    run, plain = Time().run, store.connections.client()
    run(store.set("a:1", b"x", 3600.5))
    assert 3_500_000 < plain.pttl("polyport:cache:a:1") <= 3_600_500
    run(store.set("a:2", b"x", 0.0001))
    limit = time.monotonic() + 60
    while plain.exists("polyport:cache:a:2"):
        assert time.monotonic() < limit


READER = """
import sys
from polyport_redis import RedisCache
from polyport.caching import Cache
cache = Cache(type="redis", port=int(sys.argv[1]))
effect = cache.store.get("a:1").send(None)
print(effect.blocking()[8:].decode())
cache.close()
"""


def test_processes_share_a_redis(store, server):
    """What one wrote another reads."""
    Time().run(store.set("a:1", b"hello", None))
    done = subprocess.run([sys.executable, "-c", READER, str(server.port)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "hello"


def test_a_redis_that_is_away_breaks_no_call_and_heals(server, caplog):
    """Misses, one line in the log, and another when it is back."""
    cache, wire = Cache(type="redis", port=server.port), Wire(answer)
    simulation, made = Simulation(wire.simulated), client(cache, wire)

    def ask() -> bool:
        hit: bool = simulation.run_flow(made.flow("completion", model="fake/m", messages=ASK)).meta.cache_hit
        return hit

    with caplog.at_level(logging.WARNING, "polyport.cache"):
        assert [ask(), ask()] == [False, True]
        server.stop()
        assert [ask() for _ in range(10)] == [False] * 10
        assert cache.stats["errors"] == 1
        assert cache.stats["skipped"] >= 9
        server.start()
        simulation.run(until=1)
        assert [ask(), ask()] == [False, True]
    said = [record.getMessage() for record in caplog.records]
    assert [line[:22] for line in said] == ["The redis cache fails ", "The redis cache is bac"]
    made.close()
    cache.close()


def test_a_redis_that_is_away_breaks_no_asynchronous_call(server):
    """The same on an event loop."""
    cache, wire = Cache(type="redis", port=server.port), Wire(answer)

    async def ask() -> list[bool]:
        made = client(cache, wire)
        hits = [(await made.acompletion("fake/m", ASK)).meta.cache_hit for _ in range(2)]
        server.stop()
        hits += [(await made.acompletion("fake/m", ASK)).meta.cache_hit for _ in range(2)]
        await made.aclose()
        await cache.aclose()
        return hits

    assert asyncio.run(ask()) == [False, True, False, False]


def test_a_wrong_password_is_said_and_not_shown(store, server, caplog):
    """The calls go on."""
    store.connections.client().config_set("requirepass", "another")
    cache, wire = Cache(type="redis", port=server.port, password="hunter2-never-shown"), Wire(answer)
    with client(cache, wire) as made:
        assert made.completion("fake/m", ASK).choices
    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text
    cache.close()


def test_an_address_stands_for_its_parts(server):
    """`url`, and a prefix of one's own."""
    store = RedisCache(url=f"redis://127.0.0.1:{server.port}/3", prefix="mine")
    Time().run(store.set("a:1", b"x", None))
    assert store.connections.client().keys() == [b"mine:cache:a:1"]
    store.close()


# --- by likeness ---


def knows_vectors(store: RedisCache) -> bool:
    """Whether this Redis has vector sets."""
    return int(store.connections.client().info("server")["redis_version"].partition(".")[0]) >= 8


def semantic(server: Any) -> Cache:
    """A semantic cache over a Redis."""
    return Cache(type="semantic", store="redis", port=server.port, embedding_model="fake/v", similarity_threshold=0.99)


def user(text: str) -> list[dict[str, str]]:
    """One message."""
    return [{"role": "user", "content": text}]


def test_an_old_redis_finds_literally_and_says_so(store, server, caplog):
    """Vectors are what it lacks; the cache is not away."""
    if knows_vectors(store):
        pytest.skip("this Redis has vector sets")
    cache, wire = semantic(server), Wire(answer)
    with client(cache, wire) as made:
        assert not made.completion("fake/m", user("aaa e")).meta.cache_hit
        assert made.completion("fake/m", user("aaa e")).meta.cache_hit
        assert not made.completion("fake/m", user("a a a e")).meta.cache_hit
    assert [record.getMessage()[:31] for record in caplog.records] == ["This Redis has no vector sets ("]
    cache.close()


def test_other_words_that_mean_the_same_have_one_answer(store, server):
    """And namespaces stay apart; what is cleared is gone."""
    if not knows_vectors(store):
        pytest.skip("this Redis has no vector sets: set POLYPORT_REDIS_SERVER to the program of a Redis 8")
    cache, wire = semantic(server), Wire(answer)
    with client(cache, wire) as made:
        assert not made.completion("fake/m", user("aaa e")).meta.cache_hit
        assert made.completion("fake/m", user("a a a e")).meta.cache_hit
        assert not made.completion("fake/m", user("ooo")).meta.cache_hit
        assert not made.completion("fake/m", user("a a a e"), cache={"namespace": "n"}).meta.cache_hit
        assert asyncio.run(made.acompletion("fake/m", user("aa e a"))).meta.cache_hit
        cache.clear("")
        assert not made.completion("fake/m", user("a e a a")).meta.cache_hit
        assert made.completion("fake/m", user("a e aa"), cache={"namespace": "n"}).meta.cache_hit
    cache.close()


def test_vectors_are_replaced_forgotten_and_bounded(store, server):
    """Within a partition."""
    if not knows_vectors(store):
        pytest.skip("this Redis has no vector sets: set POLYPORT_REDIS_SERVER to the program of a Redis 8")
    run = Time().run
    assert run(store.nearest("n:p", [1.0, 0.0])) is None
    run(store.remember("n:p", "n:1", [1.0, 0.0], 60.0))
    run(store.remember("n:p", "n:2", [0.6, 0.8], 60.0))
    key, near = run(store.nearest("n:p", [0.8, 0.6]))
    assert (key, round(near, 4)) == ("n:2", 0.96)
    assert run(store.nearest("n:p", [-1.0, 0.0]))[1] == pytest.approx(-0.6, abs=1e-4)
    assert store.connections.client().pttl("polyport:vectors:n:p") > 0
    run(store.forget("n:p", "n:2"))
    assert run(store.nearest("n:p", [0.8, 0.6]))[0] == "n:1"
    store.max_vectors = 5
    for number in range(20):
        run(store.remember("n:p", f"n:{number}", [1.0, float(number)], None))
    assert store.connections.client().execute_command("VCARD", "polyport:vectors:n:p") == 5
    assert store.connections.client().pttl("polyport:vectors:n:p") == -1
