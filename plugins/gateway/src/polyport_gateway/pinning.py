"""Which account keeps what a request names, and so which deployments may take it.

A file, a cache, a store, a response that goes on: one account of the vendor has it, and to all others it is nothing. So
a call that names such things goes to that account alone, however many deployments its model has; where that is not to
be had, the caller is told, and nobody else is asked. Of what nobody here knows where it is, any of them may know.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from polyport.router.deployments import Deployment
from polyport_gateway.gate import Admission, GateError
from polyport_gateway.running import Running, allowed

#: Options of a deployment that say how to ask there, not whose account it is.
MANNERS = frozenset({
    "api_version", "cache", "drop_params", "fallbacks", "guardrails", "num_retries", "provider", "strict", "timeout",
})  # fmt: skip
#: How many names of models a refusal tells.
TOLD = 10


async def pinned(running: Running, admission: Admission, model: object, ids: Sequence[str]) -> Running:
    """Return what serves a call of a model that names these things: as it was, or with their account alone.

    Raises GateError where they are at several accounts, or where the model has no deployment at theirs.
    """
    if not isinstance(model, str):
        return running
    known = await admission.places(ids)
    there = kept_at(running, known)
    if there is None:
        return running
    if not any(one.id in there for one in running.router.groups.of(model)):
        raise elsewhere(running, admission, model, there, known)
    made = copy.copy(running)
    made.router = running.router.within(there)
    return made


def kept_at(running: Running, known: Mapping[str, str]) -> frozenset[str] | None:
    """Return the deployments at the account of things, given each one's own; None where no account is known.

    Raises GateError where there are several.
    """
    at = {deployment for deployment in known.values() if deployment}
    if not at:
        return None
    every = running.router.groups.all()
    found = {account_of(running, one) for one in every if one.id in at}
    if len(found) > 1:
        names = ", ".join(repr(name[:100]) for name in [*known][:TOLD])
        raise GateError(400, "kept_apart", f"These are kept at different accounts, and no model has them all: {names}.")
    return frozenset(one.id for one in every if account_of(running, one) in found) or None


def elsewhere(
    running: Running, admission: Admission, model: str, there: frozenset[str], known: Mapping[str, str]
) -> GateError:
    """Return the refusal of a model that has no deployment where things are kept; it tells which have one."""
    name = next(name for name, deployment in known.items() if deployment in there)
    groups = dict.fromkeys(one.group for one in running.router.groups.all() if one.id in there)
    useful = [group for group in groups if allowed(group, admission)][:TOLD]
    hint = f"; ask {' or '.join(useful)}" if useful else ""
    return GateError(
        400, "kept_elsewhere", f"{name[:100]!r} is kept at an account that {model[:200]!r} has no place at{hint}."
    )


def account_of(running: Running, one: Deployment) -> str:
    """Return what tells a deployment's account from others. It may hold a key: it is to be compared, and not told."""
    known = running.accounts.get(one.id)
    if known is None or known[0] is not one:
        known = running.accounts[one.id] = one, _account(running, one)
    return known[1]


def _account(running: Running, one: Deployment) -> str:
    router = running.router
    if one.model == "*":
        return f"*{one.id}"
    lent = router.account_of(one)
    provider = router.place_of(one)[0]
    own = {"api_key": router.client.key_of(provider), **{name: lent[name] for name in lent.keys() - MANNERS}}
    return repr((provider, sorted(own.items(), key=lambda item: item[0])))
