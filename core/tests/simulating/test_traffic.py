"""Traffic and distributions: as many calls as were asked for, when they were, and the same ones for the same seed."""

from __future__ import annotations

import statistics
from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport.simulating.distributions import read
from polyport.simulating.measuring import percentile
from polyport.simulating.traffic import Calls, Traffic


def times(**traffic):
    """When the calls of a traffic come."""
    return [asked.time for asked in Calls(Traffic(**traffic), ["g"]).drawn(1)]


HOUR = {"hours": 1.0}


def test_even_arrivals_are_at_equal_distances():
    """Two a second for a minute."""
    found = times(rps=2, hours=1 / 60, arrivals="even")
    assert found == pytest.approx([n / 2 for n in range(120)])


def test_poisson_arrivals_are_as_many_on_average():
    """Within three standard deviations."""
    assert len(times(rps=5, **HOUR)) == pytest.approx(18_000, abs=3 * 18_000**0.5)


def test_rates_change_over_time():
    """Ramps, bursts, and any points; even arrivals have exactly the area below the rate."""
    ramp = times(rps={"ramp": [0, 10]}, arrivals="even", **HOUR)
    assert len(ramp) == 18_000
    assert sum(time < 1800 for time in ramp) == pytest.approx(4_500, abs=1)
    bursts = times(rps={"base": 1, "burst": 20, "every": 600, "lasts": 60}, arrivals="even", **HOUR)
    assert sum(time % 600 >= 540 for time in bursts) == pytest.approx(6 * 60 * 20, abs=6)
    assert sum(time % 600 < 540 for time in bursts) == pytest.approx(6 * 540, abs=6)
    points = times(rps={"points": [[0, 0], [1800, 10], [3600, 0]]}, arrivals="even", **HOUR)
    assert len(points) == pytest.approx(18_000, abs=1)
    assert sum(900 <= time < 2700 for time in points) == pytest.approx(13_500, abs=2)


@settings(max_examples=50, deadline=None)
@given(
    rps=st.one_of(
        st.floats(0.0, 20.0),
        st.builds(lambda a, b: {"ramp": [a, b]}, st.floats(0, 20), st.floats(0, 20)),
        st.builds(
            lambda a, b, lasts: {"base": a, "burst": b, "every": 60, "lasts": lasts},
            st.floats(0, 5), st.floats(0, 20), st.floats(1, 59),
        ),
    ),
    arrivals=st.sampled_from(["even", "poisson"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_calls_come_in_order_within_their_time(rps, arrivals, seed):
    """Whatever the rate, and the same ones for the same seed."""
    calls = Calls(Traffic(rps=rps, hours=0.1, arrivals=arrivals, streams=0.5, leaving=0.5), ["a", "b"])
    found = list(calls.drawn(seed))
    moments = [asked.time for asked in found]
    assert moments == sorted(moments)
    assert not moments or (moments[0] >= 0 and moments[-1] < 360 + 1e-6)
    assert found == list(calls.drawn(seed))
    if arrivals == "even":
        assert len(found) == pytest.approx(calls.expected, abs=1)


def test_models_streams_and_leavers_have_their_shares():
    """Of forty thousand calls."""
    calls = Calls(Traffic(rps=40, hours=0.3, models={"a": 3, "b": 1}, streams=0.25, leaving=0.1), ["a", "b"])
    found = list(calls.drawn(5))
    assert sum(asked.model == "a" for asked in found) / len(found) == pytest.approx(0.75, abs=0.01)
    assert sum(asked.stream for asked in found) / len(found) == pytest.approx(0.25, abs=0.01)
    assert sum(asked.leaves is not None for asked in found) / len(found) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("given", "median", "high"),
    [
        (0.8, 0.8, 0.8),
        ({"uniform": [1, 3]}, 2.0, 2.98),
        ({"normal": [5, 1]}, 5.0, 7.326),
        ({"p50": 0.8, "p99": 4.0}, 0.8, 4.0),
        ({"samples": [1, 2, 2, 2, 3]}, 2.0, 3.0),
    ],
)
def test_distributions_have_their_percentiles(given, median, high):
    """Measured on twenty thousand draws."""
    draw, random = read(given, "$"), Random(4)
    drawn = sorted(draw(random) for _ in range(20_000))
    assert statistics.median(drawn) == pytest.approx(median, rel=0.04)
    assert percentile(drawn, 0.99) == pytest.approx(high, rel=0.05)
    assert drawn[0] >= 0


def test_samples_may_be_a_file(tmp_path):
    """A number on each line, next to the configuration."""
    (tmp_path / "measured.txt").write_text("0.5\n\n1.5\n")
    draw, random = read({"samples": "measured.txt"}, "$", tmp_path), Random(1)
    assert {draw(random) for _ in range(50)} == {0.5, 1.5}
    (tmp_path / "wrong.txt").write_text("0.5\nfast\n")
    with pytest.raises(BadRequestError, match=r"wrong\.txt:2 is no number: 'fast'"):
        read({"samples": "wrong.txt"}, "$", tmp_path)
    with pytest.raises(BadRequestError, match=r"\$\.samples: cannot read"):
        read({"samples": "nowhere.txt"}, "$", tmp_path)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("fast", "is no distribution: 'fast'"),
        (True, "is no distribution"),
        (-1, "not negative"),
        ({"p50": 1}, "which do not go together"),
        ({"uniformly": [1, 2]}, "did you mean 'uniform'?"),
        ({"uniform": [3, 1]}, "ends before it begins"),
        ({"uniform": 3}, "two numbers"),
        ({"p50": 4, "p99": 1}, "0 < p50 <= p99"),
        ({"samples": []}, "must be numbers, or a file"),
    ],
)
def test_what_is_no_distribution_is_told(given, why):
    """With the place, and how to write one."""
    with pytest.raises(BadRequestError) as caught:
        read(given, "$.here")
    assert "$.here" in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("traffic", "why"),
    [
        ({"rps": -1}, r"\$\.traffic\.rps must be a number"),
        ({"rps": {"rmap": [1, 2]}}, r"\$\.traffic\.rps is no rate"),
        ({"rps": {"ramp": [1]}}, r"rps\.ramp must be"),
        ({"rps": {"base": 1, "burst": 2, "every": 60, "last": 10}}, "did you mean 'lasts'"),
        ({"rps": {"base": 1, "burst": 2, "every": 60, "lasts": 90}}, "0 < lasts < every"),
        ({"rps": {"points": [[5, 1], [2, 1]]}}, "forward in time"),
        ({"rps": {"points": [5]}}, r"points\[0\] must be"),
        ({"streams": 1.5}, r"streams is a share"),
        ({"hours": 0}, "must be above 0"),
        ({"rps": 1e9, "hours": 100}, "lower rps or hours"),
        ({"models": {"g": -1}}, "not negative"),
        ({"models": {"g": 0}}, "no weight above 0"),
    ],
)
def test_what_is_no_traffic_is_told(traffic, why):
    """With the place."""
    with pytest.raises(BadRequestError, match=why):
        Calls(Traffic(**traffic), ["g"])


def test_percentiles_are_values_that_were_measured():
    """The nearest rank: of four values the median is the second."""
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.99) == 4
    assert percentile([7], 0.9) == 7
    assert percentile([], 0.5) is None
