"""What must hold of every policy under any faults: nobody starves, limits hold, rests end, nothing loops or leaks."""

from __future__ import annotations

import pytest
from core.tests.simulating.conftest import router, tried
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport import Router
from polyport.router.strategies import STRATEGIES
from polyport.simulating import Setting, Traffic
from polyport.simulating.running import World

IDS = ("a", "b", "c")
SECONDS = 240
FAULTS = st.lists(
    st.builds(
        lambda target, kind, start, lasts: f"{target}:{kind}@{start}-{start + lasts}",
        st.sampled_from([*IDS, "*", "g"]),
        st.sampled_from(["down", "hang%30", "cut%50", "429%20", "500", "503%40", "401", "slow*4", "slow+3", "rpm=20"]),
        st.integers(0, 150),
        st.integers(5, 60),
    ),
    max_size=3,
).map("; ".join)
POLICIES = st.fixed_dictionaries(
    {
        "routing_strategy": st.sampled_from([*STRATEGIES]),
        "num_retries": st.integers(0, 3),
        "allowed_fails": st.integers(0, 3),
        "cooldown_time": st.sampled_from([1.0, 5.0, 30.0]),
        "timeout": st.sampled_from([2.0, 20.0]),
        "hedge_after": st.sampled_from([None, None, 0.4]),
    }
)
COMING = st.fixed_dictionaries(
    {
        "rps": st.sampled_from([0.5, 2.0, {"base": 0.5, "burst": 12, "every": 80, "lasts": 10}]),
        "streams": st.sampled_from([0.0, 0.5, 1.0]),
        "leaving": st.sampled_from([0.0, 0.3]),
    }
)
DEPLOYMENT = {"first_token": {"uniform": [0.1, 0.5]}, "tokens_per_second": {"uniform": [100, 400]}}
#: Answers that are there long before any time limit, so that nothing fails but for a fault.
SHORT = {"rps": 3.0, "output_tokens": 40}
EXPENSIVE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def world(made: Router, faults="", traffic=None, seed=1, deployments=None):
    """Run a world to its end, and return it with its report."""
    coming = Traffic(hours=SECONDS / 3600, leaving_after={"uniform": [0, 2]}, **(traffic or {}))
    one = World(made, Setting(traffic=coming, faults=faults, seed=seed, deployments=deployments or {"*": DEPLOYMENT}))
    return one, one.run()


def standings(one: World):
    """How all deployments stand at the end."""
    return one.clock.run_flow(one.state.look([*one.loads], one.clock.now))


@EXPENSIVE
@given(policy=POLICIES, faults=FAULTS, traffic=COMING, seed=st.integers(0, 3))
def test_counters_return_to_zero(policy, faults, traffic, seed):
    """However calls end: answered, failed, left by their callers, raced; and each is counted once."""
    one, report = world(router(*IDS, **policy), faults, traffic, seed)
    assert [standing.busy for standing in standings(one)] == [0] * len(one.loads)
    assert report.calls == report.succeeded + report.failed + report.left == sum(report.attempts.values())
    for load, found in zip(one.loads.values(), report.deployments, strict=True):
        assert load.busy == 0
        assert found.requests == found.succeeded + found.refused + found.failed + found.cancelled
    if policy["hedge_after"] is None:
        assert sum(found.requests for found in report.deployments) == sum(
            attempts * count for attempts, count in report.attempts.items() if attempts
        ) - unsent(one)


def unsent(one: World):
    """Attempts for which no deployment was free to be asked."""
    sent = sum(sum(load.requests) for load in one.loads.values())
    return sum(attempts * count for attempts, count in one.callers.attempts.items()) - sent


@EXPENSIVE
@given(
    policy=POLICIES,
    faults=FAULTS,
    traffic=COMING,
    rpm=st.integers(3, 40),
    parallel=st.integers(1, 4),
)
def test_limits_are_never_exceeded(policy, faults, traffic, rpm, parallel):
    """A deployment that counts for itself has nothing to refuse; nor do more calls run at a time than may."""
    faults = "; ".join(one for one in faults.split("; ") if "rpm" not in one and "429" not in one)
    limits = {one: {"rpm": rpm, "max_parallel_requests": parallel} for one in IDS}
    one, report = world(
        router(*IDS, limits=limits, **policy), faults, traffic, deployments={"*": {**DEPLOYMENT, "rpm": rpm}}
    )
    assert [found.refused for found in report.deployments] == [0, 0, 0]
    assert max(load.peak for load in one.loads.values()) <= parallel


@EXPENSIVE
@given(strategy=st.sampled_from([*STRATEGIES]), tpm=st.integers(2_000, 20_000), seed=st.integers(0, 9))
def test_a_limit_of_tokens_is_not_exceeded_by_what_was_known(strategy, tpm, seed):
    """In any minute the prompts that are sent stay within it; what answers will have is not known before."""
    made = router(*IDS, limits={one: {"tpm": tpm} for one in IDS}, routing_strategy=strategy)
    traffic = {"rps": 2.0, "prompt_tokens": {"uniform": [50, 900]}, "output_tokens": 1}
    own = {"*": {**DEPLOYMENT, "tpm": tpm + 20}}  # the one token of each answer that is on its way
    _, report = world(made, "", traffic, seed, own)
    assert [found.refused for found in report.deployments] == [0, 0, 0]


@EXPENSIVE
@given(policy=POLICIES, seed=st.integers(0, 9), sick=st.sampled_from(["down", "500", "hang", "429", "slow*10"]))
def test_no_strategy_starves_a_healthy_deployment(policy, seed, sick):
    """While another one is sick, and after: each healthy one has a part of the requests that is not small.

    By latency it may be smaller: the faster of two healthy ones is what that strategy looks for, and one that was ten
    times slower for a third of the time is found again later.
    """
    _, report = world(router(*IDS, **policy), f"a:{sick}@40-80", SHORT, seed)
    a, b, c = report.deployments
    by_latency = policy["routing_strategy"] == "latency-based-routing"
    assert min(b.share, c.share) > (0.02 if by_latency else 0.1)
    assert a.share > (0.01 if by_latency else 0.02)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "cost-based-routing"])
def test_a_slower_deployment_is_still_asked(strategy):
    """By every strategy that does not go by price alone: one that has become fast again would be found."""
    report = tried(router("fast", "slow", routing_strategy=strategy), "slow:slow*4")
    assert next(found.requests for found in report.deployments if found.id == "slow") >= 4


@EXPENSIVE
@given(policy=POLICIES, seed=st.integers(0, 9), sick=st.sampled_from(["down", "500", "401", "429", "503%70"]))
def test_rests_end_when_the_fault_does(policy, seed, sick):
    """A deployment is back in service a rest after the fault is over, and does not rest again."""
    one, report = world(router(*IDS, **policy), f"b:{sick}@30-90", SHORT, seed)
    load = one.loads["b"]
    assert all(end <= 90 + policy["cooldown_time"] + policy["timeout"] + 1 for _, end in load.rests)
    back = int((90 + policy["cooldown_time"] + policy["timeout"]) / load._step) + 1
    assert sum(load.requests[back:]) > 0
    assert not any(standing.cooling for standing in standings(one))
    assert report.success_rate is not None


@EXPENSIVE
@given(
    circle=st.permutations(["a", "b", "c", "d"]),
    retries=st.integers(0, 2),
    most=st.integers(0, 5),
    sick=st.sampled_from(["down", "500", "429", "400"]),
    streams=st.sampled_from([0.0, 1.0]),
)
def test_fallbacks_never_loop(circle, retries, most, sick, streams):
    """Each group falls back to the next, and the last to the first; all fail, and every call comes to its end."""
    entries = [{"model_name": name, "params": {"model": f"fake/{name}"}, "model_info": {"id": name}} for name in circle]
    fallbacks = [{name: [after]} for name, after in zip(circle, [*circle[1:], circle[0]], strict=True)]
    made = Router(entries, fallbacks=fallbacks, num_retries=retries, max_fallbacks=most)
    one, report = world(made, f"*:{sick}", {"rps": 0.3, "streams": streams})
    assert report.succeeded == 0
    assert max(report.attempts) <= (retries + 1) * (min(most, 3) + 1)
    assert [standing.busy for standing in standings(one)] == [0] * 4


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_result(strategy):
    """To the last digit; and another seed another one."""
    made = router(*IDS, routing_strategy=strategy, hedge_after=0.6)
    traffic = {"streams": 0.5, "leaving": 0.1}
    first, again, other = (
        tried(made, "a:500%30; b:down@30-60", traffic=traffic, seed=seed).to_dict() for seed in (5, 5, 6)
    )
    for one in (first, again, other):
        one.pop("real_seconds")
    assert first == again
    assert first["latency"] != other["latency"]
