"""The short text of faults: what it means, and what is said of one that cannot be read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings, strategies as st

from polyport.errors import BadRequestError
from polyport.simulating.faults import Fault, Span, check_targets, read


def test_a_text_is_several_faults():
    """With semicolons or lines between them; blanks do not matter."""
    found = read("east:down@600-900; west : slow*3 @ 20m-;\n*:429%5")
    assert found == [
        Fault("east", "down", 0.0, 1.0, (Span(600, 900),), "east:down@600-900"),
        Fault("west", "slow*", 3.0, 1.0, (Span(1200),), "west : slow*3 @ 20m-"),
        Fault("*", "status", 429.0, 0.05, (Span(),), "*:429%5"),
    ]


@pytest.mark.parametrize(
    ("text", "kind", "value", "share"),
    [
        ("a:hang%2.5", "hang", 0, 0.025),
        ("a:cut", "cut", 0, 1),
        ("a:500%20", "status", 500, 0.2),
        ("a:slow+2", "slow+", 2, 1),
        ("a:slow*.5", "slow*", 0.5, 1),
        ("a:jitter%40", "jitter", 0.4, 1),
        ("a:rpm=60", "rpm", 60, 1),
        ("a:tpm=1000", "tpm", 1000, 1),
        ("a:parallel=3", "parallel", 3, 1),
    ],
)
def test_each_kind_is_read(text, kind, value, share):
    """With its number."""
    (found,) = read(text)
    assert (found.kind, found.value, found.share) == (kind, value, share)


def test_times_have_units_and_come_again():
    """Seconds, minutes, hours; open at either side; several; every so often."""
    (found,) = read("a:down@-90s,1.5h-2h,10-20/60")
    assert found.spans == (Span(0, 90), Span(5400, 7200), Span(10, 20, 60))
    again = Span(10, 20, 60)
    assert [second for second in range(140) if again.holds(second)] == [
        *range(10, 20),
        *range(70, 80),
        *range(130, 140),
    ]
    assert again.within(100) == [(10, 20), (70, 80)]
    assert Span(600).within(900) == [(600, 900)]
    assert Span(600).within(500) == []


def test_a_target_may_have_colons():
    """Ids of some clouds do; kinds and times have none."""
    (found,) = read("arn:aws:x/y:down@1-2")
    assert found.target == "arn:aws:x/y"


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("east down", 1, "TARGET:KIND@TIMES"),
        ("a:down; :down", 9, "target is missing"),
        ("a:", 3, "comes one of down"),
        ("a:dwon@1-2", 3, "did you mean 'down'?"),
        ("a:down@1-2; west:slow*x@1200-", 23, "after 'slow*' comes a number"),
        ("a:slow3", 7, "after 'slow' comes * or +"),
        ("a:200", 3, "from 400 to 599"),
        ("a:429%500", 7, "at most 100 %"),
        ("a:429%", 7, "after '%' comes a number"),
        ("a:rpm=1.5", 10, "a whole number"),
        ("a:down@", 8, "times are FROM-TO"),
        ("a:down@-", 8, "times are FROM-TO"),
        ("a:down@600", 11, "times are FROM-TO"),
        ("a:down@900-600", 8, "ends before it begins"),
        ("a:down@1-20/5", 13, "longer than the fault itself"),
        ("a:down@1-2 3-4", 12, "a comma and another"),
        ("a:down 1-2", 8, "as in @600-900"),
    ],
)
def test_errors_point_at_the_place(text, place, why):
    """By the number of the character, and what stands there."""
    with pytest.raises(BadRequestError) as caught:
        read(text)
    assert f"at character {place} (" in str(caught.value)
    assert why in str(caught.value)


def test_a_fault_of_nobody_is_told():
    """With the nearest name there is."""
    with pytest.raises(BadRequestError, match=r"'eas', which is no deployment or group\. Did you mean 'east'\?"):
        check_targets(read("eas:down"), ["east", "west"])
    check_targets(read("ea*:down"), ["east", "west"])


TARGETS = st.from_regex(r"[a-z*][a-z0-9*-]{0,8}", fullmatch=True)
KINDS = st.sampled_from(["down", "hang%5", "cut", "429%5", "503", "slow*3", "slow+1.5", "jitter%30", "rpm=60"])
NUMBERS = st.integers(0, 5000)


@settings(deadline=None)
@given(st.lists(st.tuples(TARGETS, KINDS, NUMBERS, st.integers(1, 500)), max_size=5))
def test_what_is_written_is_read(rows):
    """Any faults, in any number."""
    text = "; ".join(f"{target}:{kind}@{start}-{start + more}" for target, kind, start, more in rows)
    found = read(text)
    assert [one.target for one in found] == [row[0] for row in rows]
    for fault, (_, _, start, more) in zip(found, rows, strict=True):
        assert fault.holds(start)
        assert not fault.holds(start + more)


@settings(deadline=None)
@given(st.text(alphabet="ab:*@;,-/%=+0123. downslowrpm\n", max_size=40))
def test_any_text_is_read_or_refused_with_a_place(text):
    """Nothing else ever happens."""
    told = ""
    try:
        found = read(text)
    except BadRequestError as error:
        told, found = str(error), []
    assert not told or "at character" in told
    assert all(0 <= one.share <= 1 and math.isfinite(one.value) for one in found)
