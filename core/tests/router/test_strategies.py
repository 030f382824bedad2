"""The strategies on the simulated wire: who is chosen, nobody healthy is starved, and names lead to them."""

from __future__ import annotations

from random import Random

import pytest
from core.tests.conftest import ASK
from core.tests.router.conftest import Field, fails, ok
from hypothesis import given, settings, strategies as st

from polyport.errors import PolyportError
from polyport.router.strategies import STRATEGIES

#: Cost-based routing sends everything to the cheapest that has room: that is what it is for.
FAIR = sorted(STRATEGIES.keys() - {"cost-based-routing"})


def traffic(field, router, count, every, **params):
    """Let calls arrive at even times; return their tasks."""
    done = []
    start = field.simulation.now
    flows = ((start + n * every, router.flow("completion", model="g", messages=ASK, **params)) for n in range(count))
    field.simulation.arrive(flows, done.append)
    field.simulation.run()
    return done


@pytest.mark.parametrize(("name", "shares"), [("weight", (3, 1)), ("rpm", (3000, 1000)), ("tpm", (90000, 30000))])
def test_simple_shuffle_draws_by_weight_then_rpm_then_tpm(name, shares):
    """In proportion; without any of them, each alike."""
    field = Field(a=ok(), b=ok())
    router = field.router(*(field.entry(h, **{name: share}) for h, share in zip("ab", shares, strict=True)))
    traffic(field, router, 2000, 0.1)
    assert field.seen["a"] / 2000 == pytest.approx(0.75, abs=0.04)
    field = Field(a=ok(), b=ok())
    traffic(field, field.router(), 2000, 0.1)
    assert field.seen["a"] / 2000 == pytest.approx(0.5, abs=0.04)


def test_least_busy_goes_by_calls_in_flight():
    """Who takes ten times as long gets about a tenth of the calls when all are busy."""
    field = Field(slow=ok(10), fast=ok(1))
    traffic(field, field.router(routing_strategy="least-busy"), 2000, 0.2)
    assert 5 < field.seen["fast"] / field.seen["slow"] < 15


def test_usage_based_evens_out_tokens():
    """And v2 shares of limits."""
    field = Field(a=ok(), b=ok(), c=ok())
    traffic(field, field.router(routing_strategy="usage-based-routing"), 900, 0.1)
    assert set(field.seen.values()) <= set(range(295, 306))
    field = Field(a=ok(), b=ok())
    entries = field.entry("a", rpm=3000), field.entry("b", rpm=1000)
    traffic(field, field.router(*entries, routing_strategy="usage-based-routing-v2"), 1000, 0.05)
    assert field.seen["a"] / 1000 == pytest.approx(0.75, abs=0.03)


def test_latency_based_finds_the_fastest_and_looks_again():
    """Most calls go to the fastest; who was slow is measured again after a while, and wins when it has become fast."""
    field = Field(a=ok(5), b=ok(1))
    router = field.router(routing_strategy="latency-based-routing", routing_strategy_args={"ttl": 60})
    traffic(field, router, 3000, 0.1)
    assert 0 < field.seen["a"] < 0.2 * 3000
    field.hosts["a"] = ok(0.2)
    traffic(field, router, 1000, 0.2)
    field.seen.clear()
    traffic(field, router, 1000, 0.2)
    assert field.seen["a"] > 900


def test_cost_based_takes_the_cheapest_that_has_room():
    """Prices are those known of the model, or the deployment's own; unknown ones come last."""
    field = Field(cheap=ok(), dear=ok(), unknown=ok())
    entries = [
        field.entry("dear", prices={"input": 10, "output": 10}),
        field.entry("cheap", prices={"input": 1, "output": 1}, rpm=60),
        field.entry("unknown"),
    ]
    router = field.router(*entries, routing_strategy="cost-based-routing")
    traffic(field, router, 120, 0.4)
    assert field.seen == {"cheap": 60, "dear": 60}


@pytest.mark.parametrize("name", FAIR)
@pytest.mark.parametrize("latencies", [(1, 1, 1), (0.5, 2, 8)], ids=["alike", "unlike"])
def test_no_strategy_starves_a_healthy_deployment(name, latencies):
    """Under steady traffic each of them gets calls in every five minutes."""
    field = Field(**{host: ok(latency) for host, latency in zip("abc", latencies, strict=True)})
    router = field.router(routing_strategy=name)
    for _ in range(3):
        field.seen.clear()
        traffic(field, router, 1500, 0.2)
        assert min(field.seen[host] for host in "abc") > 0


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(STRATEGIES)),
    seed=st.integers(0, 2**32),
    rpm=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    parallel=st.none() | st.integers(1, 5),
    stream=st.booleans(),
)
def test_limits_are_never_exceeded_and_counters_come_back_to_nothing(name, seed, rpm, parallel, stream):
    """Whatever arrives when, and whether it succeeds, fails, or breaks: in any sixty seconds, and at any moment."""
    random = Random(seed)
    hosts = [f"h{number}" for number in range(len(rpm))]

    def answer(request, now):
        kinds = ok(random.uniform(0.1, 9)), fails(500, 0.3), fails(429, 0.1, retry_after="3")
        return random.choice(kinds)(request, now)

    field = Field(**dict.fromkeys(hosts, answer))
    entries = [
        field.entry(host, rpm=limit, max_parallel_requests=parallel) for host, limit in zip(hosts, rpm, strict=True)
    ]
    router = field.router(*entries, routing_strategy=name, num_retries=random.randrange(4), cooldown_time=2, seed=seed)
    arrivals = sorted(random.uniform(0, 200) for _ in range(300))
    flows = ((at, router.flow("completion", model="g", messages=ASK, stream=stream)) for at in arrivals)
    done = []
    field.simulation.arrive(flows, done.append)
    field.simulation.run()
    assert len(done) == 300
    assert all(task.error is None or isinstance(task.error, PolyportError) for task in done)
    for host, limit in zip(hosts, rpm, strict=True):
        times = field.times.get(host, [])
        for first, later in zip(times, times[limit:], strict=False):
            assert later - first >= 60
    standings = field.simulation.run_flow(router.state.look(hosts, field.simulation.now))
    assert [one.busy for one in standings] == [0] * len(rpm)
