"""Calls that go to a provider in its own words, past the operations: `/passthrough` and realtime sessions.

The request is the caller's own; the address, the key and the prices are those that the provider, or a deployment, has.
"""

from __future__ import annotations

import msgspec

from polyport.auth import Signer
from polyport.border import Call, finish
from polyport.flow import Flow, HttpRequest
from polyport.middleware.cost import without_prices
from polyport.operations import BY_FUNCTION
from polyport.router import Router
from polyport.router.deployments import Deployment
from polyport.router.strategies import Candidate
from polyport.states import Standing
from polyport.types.record import Meta, Options, Request


def call_of(router: Router, provider: str, model: str, one: Deployment | None, group: str = "") -> Call:
    """Return the call that a request belongs to: whose key, where to, at what prices.

    `one` lends its key and address, and its prices if the model is its own; None is the environment.
    """
    client = router.client
    call = Call(
        operation=BY_FUNCTION["completion"],
        request=Request(model=model),
        provider=client.providers.get(provider),
        options=Options(api_base=client.api_base, api_version=client.api_version),
        meta=Meta(provider=provider, model=model, attempts=1),
        api_key=client.key_of(provider),
        headers=client.headers,
        secrets=client.secrets,
        group=group,
    )
    if one is None:
        return call
    own = router.place_of(one)[1]
    made = without_prices(router.deployed(call, Candidate(one, Standing(), provider, model or own)))
    if model != own:  # another model's prices are not this one's
        made.options = msgspec.structs.replace(made.options, prices=None)
    return made


def sign(request: HttpRequest, call: Call) -> Flow[None]:
    """Complete a request and sign it: what core does with a provider's own requests."""
    finish(request, call)
    auth = call.provider.plugin.auth
    if isinstance(auth, Signer) and auth.header not in request.headers:
        yield from auth.sign(request, call)
