"""Everything between a call and its provider, as users switch it on: on clients, on routers, on the module itself."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from core.tests.conftest import ASK, DONE, KEY, ROLE, Fake, completion, event

import polyport
from polyport import Cache, Client, Guardrail, Router
from polyport.api import DefaultClient
from polyport.errors import BadRequestError, BudgetExceededError, GuardrailError
from polyport.guarding.verdicts import Block, Edit, Mask, Pass

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
PRICES = {"input": 1.0, "output": 2.0}
COST = (10 * 1.0 + 5 * 2.0) / 1e6


class Upstream:
    """The provider: it answers `text`, and keeps what it was asked."""

    def __init__(self, text: str = "call 555-1234") -> None:
        self.text = text
        self.usage = USAGE
        self.bodies: list[bytes] = []
        self.http = httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.content)
        if b'"stream":true' in request.content:
            return httpx.Response(200, content=ROLE + event(self.text) + DONE)
        return httpx.Response(200, json=completion(self.text, usage=self.usage))


class Numbers(Guardrail):
    """Telephone numbers are masked, bombs are refused."""

    modes = ("pre_call", "post_call")

    def check(self, seen):
        """Look at every text."""
        if "bomb" in seen.text:
            return Block("not about bombs")
        edits = [
            Edit(place, match.start(), match.end(), "[phone]")
            for place, one in enumerate(seen.texts)
            for match in re.finditer(r"\d{3}-\d{4}", one.text)
        ]
        return Mask(edits) if edits else Pass()


@pytest.fixture
def upstream():
    """Return a provider."""
    return Upstream()


def settings(upstream, told):
    """Return everything switched on."""
    return {
        "providers": {"fake": Fake},
        "http": upstream.http,
        "api_key": KEY,
        "cache": Cache("memory"),
        "guardrails": [Numbers("numbers")],
        "callbacks": [told.append],
        "max_budget": 1.0,
    }


def test_all_layers_on_a_client(upstream):
    """Masked on its way out and back, cached, priced, told; a hit asks nobody and costs nothing."""
    told = []
    with Client(**settings(upstream, told)) as client:
        asked = [{"role": "user", "content": "is it 555-9999?"}]
        one, two = (client.completion("fake/m", asked, prices=PRICES) for _ in range(2))
        with pytest.raises(GuardrailError, match="numbers"):
            client.completion("fake/m", [{"role": "user", "content": "a bomb"}], prices=PRICES)
    assert (one.text, two.text) == ("call [phone]", "call [phone]")
    assert [body.count(b"[phone]") for body in upstream.bodies] == [1]
    assert one.meta.cost == pytest.approx(COST)
    assert (two.meta.cache_hit, two.meta.cost) == (True, 0.0)
    assert [(event.cache_hit, event.error is None) for event in told] == [(False, True), (True, True), (False, False)]
    assert "555-9999" not in str(told[1].response)
    assert KEY not in repr(told)


def test_all_layers_on_a_router_and_its_streams(upstream):
    """Asynchronous, streamed, by the name of a group."""
    told = []
    entry = {"model_name": "g", "params": {"model": "fake/m", "prices": PRICES}, "model_info": {"id": "d1"}}

    async def stream(router):
        async with await router.acompletion("g", ASK, stream=True) as chunks:
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])
            return text, chunks.meta

    async def both():
        async with Router([entry], **settings(upstream, told)) as router:
            return [await stream(router) for _ in range(2)]

    (first, _), (second, meta) = asyncio.run(both())
    assert (first, second) == ("call [phone]", "call [phone]")
    assert (meta.cache_hit, len(upstream.bodies)) == (True, 1)
    assert [(event.group, event.cache_hit, event.stream) for event in told] == [("g", False, True), ("g", True, True)]


def test_the_module_s_own_settings(upstream):
    """Attributes of the module, read at every call."""
    told = []
    before = {name: getattr(polyport, name) for name in ("cache", "guardrails", "callbacks", "max_budget", "api_key")}
    given = settings(upstream, told)
    client = DefaultClient(providers={"fake": Fake}, http=upstream.http)
    try:
        for name in before:
            setattr(polyport, name, given[name])
        assert client.completion("fake/m", ASK, prices=PRICES).text == "call [phone]"
        polyport.guardrails = []
        polyport.cache = None
        assert client.completion("fake/m", ASK, prices=PRICES).text == "call 555-1234"
        polyport.max_budget = 0.0000001
        with pytest.raises(BudgetExceededError):
            client.completion("fake/m", ASK, prices=PRICES)
        polyport.flush_callbacks()
    finally:
        for name, value in before.items():
            setattr(polyport, name, value)
        client.close()
    assert len(told) == 3


def test_what_is_not_switched_on_is_not_ignored(upstream):
    """A call that asks for a guardrail nobody has, or for a cache in wrong words, is told so."""
    with Client(providers={"fake": Fake}, http=upstream.http, api_key=KEY) as client:
        with pytest.raises(BadRequestError, match="No guardrail is called 'pii'"):
            client.completion("fake/m", ASK, guardrails=["pii"])
        with pytest.raises(BadRequestError, match=r"Unknown name 'nocache' at \$.cache; there are 'no-cache'"):
            client.completion("fake/m", ASK, cache={"nocache": True})
        client.completion("fake/m", ASK, cache={"no-cache": True})


def test_a_fallback_has_prices_of_its_own(upstream):
    """Those given with a call are of the model that was asked for."""

    def answer(request):
        if b'"model":"first"' in request.content:
            return httpx.Response(500, json={"error": {"message": "no"}})
        return httpx.Response(200, json=completion("ok", usage=USAGE))

    with Client(providers={"fake": Fake}, http=httpx.MockTransport(answer), api_key=KEY, num_retries=0) as client:
        got = client.completion("fake/first", ASK, prices=PRICES, fallbacks=["fake/second"])
        assert (got.meta.model, got.meta.cost) == ("second", None)
        got = client.completion("fake/first", ASK, input_cost_per_token=1, fallbacks=["fake/second"])
        assert (got.meta.model, got.meta.cost) == ("second", None)


def test_what_was_spent_is_not_forgotten_when_another_setting_changes(upstream):
    """A budget counts on, whatever is switched on or off beside it."""
    with Client(providers={"fake": Fake}, http=upstream.http, api_key=KEY, max_budget=0.0025) as client:
        client.completion("fake/m", ASK, prices=PRICES, max_tokens=5)
        client.callbacks = [lambda event: None]
        upstream.usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
        client.completion("fake/m", ASK, prices=PRICES, max_tokens=5)
        client.callbacks = []
        with pytest.raises(BudgetExceededError):
            client.completion("fake/m", ASK, prices=PRICES, max_tokens=5)
