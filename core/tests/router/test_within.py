"""Calls that only some deployments may take, as one account keeps what they are about."""

from __future__ import annotations

import pytest
from core.tests.router.conftest import Field, fails, ok
from hypothesis import given, settings, strategies as st

from polyport.errors import APIError, InternalServerError, NotFoundError, ServiceUnavailableError

HOSTS = ("a", "b", "c", "d")


@settings(deadline=None)
@given(
    only=st.sets(st.sampled_from(HOSTS)),
    broken=st.sets(st.sampled_from(HOSTS)),
    second=st.sets(st.sampled_from(HOSTS)),
    stream=st.booleans(),
    hedged=st.booleans(),
    priced=st.booleans(),
    retries=st.integers(0, 3),
)
def test_nobody_else_is_asked(only, broken, second, stream, hedged, priced, retries):
    """Whatever fails, however it is retried, hedged, priced or falls back; and who may and can answers."""
    field = Field(**{host: fails() if host in broken else ok() for host in HOSTS})
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6} if priced else {}
    rows = [field.entry(host, "h" if host in second else "g", **prices) for host in HOSTS]
    rows.append(field.entry("a", "g", info={"id": "z"}))
    router = field.router(
        *rows,
        num_retries=retries,
        hedge_after=0.01 if hedged else None,
        fallbacks={"g": ["h"]} if second else {},
    )
    ids = only | ({"z"} if "a" in only else set())
    failed: APIError | None = None
    try:
        field.ask(router.within(ids), stream=stream)
    except (InternalServerError, NotFoundError, ServiceUnavailableError) as error:
        failed = error
    assert only - broken if failed is None else not only or only & broken
    assert set(field.seen) <= only
    assert router.only is None


def test_one_that_rests_is_not_stood_in_for():
    """The error says why, and when it may be tried again."""
    field = Field(a=fails(429, retry_after="30"), b=ok())
    router = field.router(num_retries=0)
    narrow = router.within(["a"])
    with pytest.raises(APIError, match="status 429"):
        field.ask(narrow)
    with pytest.raises(ServiceUnavailableError, match=r"a .*rests for .*b .*is not among those") as error:
        field.ask(narrow)
    assert 0 < error.value.retry_after <= 30
    assert field.seen == {"a": 1}
    assert field.ask(router).meta.deployment == "b"


def test_a_group_without_any_of_them_is_told():
    """As not found: to try again is of no use."""
    field = Field(a=ok(), b=ok())
    router = field.router(field.entry("a"), field.entry("b", group="other"))
    with pytest.raises(NotFoundError, match="is not among those"):
        field.ask(router.within(["b"]))
    assert field.seen.total() == 0
