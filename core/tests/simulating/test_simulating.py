"""Simulations: what deployments do, what callers see, and what is reported of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import msgspec
import pytest
from core.tests.simulating.conftest import router, tried

import polyport
from polyport import Router
from polyport.errors import BadRequestError
from polyport.simulating import simulate
from polyport.simulating.report import compared, rows

EVEN = {"rps": 1, "hours": 200 / 3600, "arrivals": "even"}


def of(report, id="a"):
    """What is reported of a deployment."""
    return next(one for one in report.deployments if one.id == id)


def test_a_call_takes_the_time_its_deployment_takes():
    """A whole latency; or the first token, and the others at their speed."""
    report = tried(router("a"), deployments={"a": {"latency": 2.0}}, traffic=EVEN)
    assert (report.latency.p50, report.latency.p99) == (2.0, 2.0)
    speed = {"a": {"first_token": 0.5, "tokens_per_second": 50}}
    report = tried(router("a"), deployments=speed, traffic={**EVEN, "output_tokens": 100, "streams": 1.0})
    assert report.latency.p50 == pytest.approx(2.5)
    assert report.first_token.p50 == pytest.approx(0.5)
    assert of(report).latency.p50 == pytest.approx(0.5)


def test_a_deployment_with_slots_lets_calls_wait():
    """Two slots and calls of four seconds: of one call a second, half wait ever longer."""
    report = tried(router("a"), deployments={"a": {"latency": 4.0, "slots": 2}}, traffic=EVEN)
    assert report.latency.p99 > 100


def test_its_own_limit_is_answered_with_429_and_a_retry_after():
    """Refusals are told apart from failures, and the router goes elsewhere."""
    settings = {"deployments": {"*": {"latency": 0.5}, "a": {"rpm": 10}}, "traffic": EVEN}
    report = tried(router("a", "b"), **settings)
    assert of(report).refused > 0
    assert of(report).failed == 0
    assert of(report).errors == {"RateLimitError": of(report).refused}
    assert report.success_rate == 1.0
    alone = tried(router("a", num_retries=0), **{**settings, "deployments": {"a": {"latency": 0.5, "rpm": 10}}})
    assert alone.errors == {"RateLimitError": alone.failed}
    assert "Rate limit reached" in alone.examples["RateLimitError"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("down", "APIConnectionError"),
        ("hang", "Timeout"),
        ("500", "InternalServerError"),
        ("429", "RateLimitError"),
        ("401", "AuthenticationError"),
        ("cut", "APIConnectionError"),
        ("slow+100", "Timeout"),
    ],
)
def test_each_fault_is_the_error_it_would_be(fault, error):
    """Of the class that callers know, while it holds and not after."""
    made = router("a", num_retries=0, timeout=5.0)
    report = tried(made, f"a:{fault}@50-100", traffic={**EVEN, "streams": 1.0})
    assert set(report.errors) == {error}
    assert report.failed == pytest.approx(50, abs=1)
    assert report.succeeded == report.calls - report.failed
    assert of(report).errors == {error: report.failed}


def test_a_fault_of_a_share_meets_a_share():
    """One request in four."""
    report = tried(router("a", num_retries=0), "a:503%25", traffic={"rps": 20, "hours": 0.05})
    assert report.failed / report.calls == pytest.approx(0.25, abs=0.03)


def test_jitter_and_slowness_change_latencies():
    """By a factor, by seconds, by some part."""
    flat = {"deployments": {"a": {"latency": 1.0}}, "traffic": EVEN}
    assert tried(router("a"), "a:slow*3", **flat).latency.p50 == 3.0
    assert tried(router("a"), "a:slow+2", **flat).latency.p50 == 3.0
    report = tried(router("a"), "a:jitter%50", **flat)
    assert report.latency.p99 == pytest.approx(1.49, abs=0.03)
    assert 0.9 < report.latency.p50 < 1.1


def test_a_long_stream_is_no_stall():
    """Its tokens come all the while: what takes longer than a time limit is not taken for a stream that hangs."""
    slow = {"a": {"first_token": 1.0, "tokens_per_second": 10}}
    report = tried(router("a", timeout=5.0), deployments=slow, traffic={**EVEN, "output_tokens": 600, "streams": 1.0})
    assert report.success_rate == 1.0
    assert report.latency.p50 == pytest.approx(61.0)


def test_callers_who_leave_cancel_their_calls():
    """They count as gone, not as failed; what was done for them is counted at the deployment."""
    made = router("a")
    coming = {**EVEN, "leaving": 1.0, "leaving_after": 0.5}
    for streams in (0.0, 1.0):
        report = tried(made, deployments={"a": {"latency": 1.0}}, traffic={**coming, "streams": streams})
        assert report.left == report.calls == of(report).cancelled
        assert report.success_rate is None


def test_prices_make_costs():
    """Those of a deployment's behaviour, else its own, else what is known; unknown stays unknown."""
    traffic = {**EVEN, "prompt_tokens": 1000, "output_tokens": 100}
    priced = tried(
        router("a"), deployments={"a": {"latency": 1, "prices": {"input": 2, "output": 10}}}, traffic=traffic
    )
    assert priced.cost == pytest.approx(priced.calls * 0.003)
    assert of(priced).cost == pytest.approx(priced.cost)
    own = {"a": {"input_cost_per_token": 1e-6, "output_cost_per_token": 0}}
    assert tried(router("a", limits=own), traffic=traffic).cost == pytest.approx(priced.calls * 0.001)
    unknown = tried(router("a"), traffic=traffic)
    assert unknown.cost is None
    assert rows(unknown)[0][-1] is None


def test_cost_based_routing_goes_by_simulated_prices():
    """To the cheapest, as long as it is well."""
    prices = {"a": {"prices": {"input": 5, "output": 5}}, "b": {"prices": {"input": 1, "output": 1}}}
    report = tried(router("a", "b", routing_strategy="cost-based-routing"), "b:down@100-200", deployments=prices)
    assert of(report, "b").share > 0.5
    assert of(report, "a").requests > 0


def test_a_router_is_not_touched():
    """What is tried is a twin of it: no request, no count, no strategy changes the router."""
    made = router("a", "b", limits={"a": {"rpm": 3, "api_base": "http://nowhere.invalid", "api_key": "sk-secret"}})
    report = simulate(made, traffic={"rps": 2, "hours": 0.02}, strategy="least-busy", seed=3)
    assert report.strategy == "least-busy"
    assert made.strategy_name == "simple-shuffle"
    assert made.groups.of("g")[0].options["api_base"] == "http://nowhere.invalid"
    assert "sk-secret" not in msgspec.json.encode(report.to_dict()).decode()


def test_wildcards_aliases_and_models_that_are_no_group_are_answered():
    """As by a real router: names of models, fallbacks to models, groups by pattern."""
    entries = [
        {"model_name": "any/*", "params": {"model": "any/*"}, "model_info": {"id": "star"}},
        {"model_name": "g", "params": {"model": "fake/m"}, "model_info": {"id": "g"}},
    ]
    made = Router(entries, model_group_alias={"alias": "g"}, providers={"fake": polyport.Provider})
    report = simulate(made, traffic={"rps": 1, "hours": 0.05, "models": {"any/x": 1, "alias": 1}}, faults="g:slow*2")
    assert report.success_rate == 1.0
    assert {one.id for one in report.deployments} == {"star", "g"}
    assert all(one.requests for one in report.deployments)


def test_what_is_wrong_is_told_with_its_place():
    """Nothing has run by then."""
    made = router("east", "west")
    for given, why in (
        ({"traffic": {"rsp": 5}}, "unknown field `rsp`"),
        ({"traffic": {"models": {"h": 1}}}, r"\$\.traffic\.models: No model group 'h'"),
        ({"deployments": {"eas": {}}}, r"\$\.deployments describes 'eas'.*did you mean 'east'"),
        ({"deployments": {"east": {"latencies": 1}}}, r"unknown field `latencies`.*\$\.deployments\['east'\]"),
        ({"deployments": {"east": {"latency": {"p50": 2}}}}, r"\$\.deployments\['east'\]\.latency"),
        ({"deployments": {"east": {"errors": {"600": 0.1}}}}, r"errors\['600'\] is no error"),
        ({"deployments": {"east": {"errors": {"500": 2}}}}, r"errors\['500'\] is a share"),
        ({"faults": "eas:down"}, "Did you mean 'east'"),
        ({"strategy": "least-bussy"}, "Did you mean 'least-busy'"),
    ):
        with pytest.raises(BadRequestError, match=why):
            simulate(made, **given)


def test_a_report_is_plain_data_a_row_and_a_picture():
    """And the picture is a drawing that an XML parser reads, with every deployment, fault and unit named."""
    report = tried(router("a<b", "c"), "c:down@50-100; c:500%5")
    plain = report.to_dict()
    assert msgspec.json.decode(msgspec.json.encode(plain)) == plain
    assert plain["latency"]["p50"] == report.latency.p50
    assert compared([report])[0][0] == "simple-shuffle"
    drawn = ET.fromstring(report.picture())
    texts = " ".join(element.text or "" for element in drawn.iter())
    for wanted in ("a<b", "c:down@50-100", "requests / s", "median latency, s", "errors / s", "virtual time", "rested"):
        assert wanted in texts


def test_a_picture_of_nothing_is_a_picture():
    """No call came, or none succeeded."""
    for faults, rps in (("", 0), ("*:down", 1)):
        report = tried(router("a"), faults, traffic={"rps": rps})
        assert ET.fromstring(report.picture()).tag.endswith("svg")
        assert report.success_rate in (None, 0.0)
