"""Lanes: the short way of calls whose request goes out as it was given, but for the model's name.

To a provider whose wire is the operation's own, most calls need no translation; and where no layer is around a call and
its first attempt succeeds, all that the usual way does (`client` → `retry` → `Journey` → `cost` → `exchange`) comes to
the steps of `Lane._run`: the same functions in the same order, less what lies between them. A first attempt that fails
goes on in the usual way, as if it had failed there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.border import Call, attribute, exchange_once
from polyport.client import observe, over
from polyport.errors import APIError
from polyport.flow import NOW, Flow, HttpRequest, Streaming
from polyport.middleware.cost import metered
from polyport.middleware.retry import commit
from polyport.operations import Operation
from polyport.provider import Turn
from polyport.router.deployments import Deployment
from polyport.router.journey import Journey
from polyport.types.record import Meta

if TYPE_CHECKING:
    from polyport.router.router import Router


class Lane:
    """The short way of one operation to the deployments of one group. Made once, for many calls."""

    def __init__(self, router: Router, operation: Operation, group: str, members: Sequence[Deployment]) -> None:
        self._router, self._operation, self._group, self._members = router, operation, group, members
        self._turns = {one.id: turn for one in members if (turn := self._turn(one)) is not None}
        name, self._model = router.place_of(members[0])
        self._provider = router.client.providers.get(name)
        self._first = self._turns.get(members[0].id)

    def _turn(self, one: Deployment) -> Turn | None:
        """Return how a deployment is asked, where that may be as it was given."""
        provider = self._router.client.providers.get(self._router.place_of(one)[0])
        turn = provider.turns.get(self._operation.hook)
        return None if turn is None or turn.give is None or one.extra or "prices" in one.options else turn

    def plan(self, fields: dict[str, Any], *, relay: str) -> tuple[Call, Flow[Any]] | None:
        """Return a call and its flow; None for one that has to go the usual way. `fields` are not changed."""
        first, client = self._first, self._router.client
        request = None if first is None or first.give is None else first.give(fields, self._model)
        if request is None:
            return None
        try:
            asked = msgspec.convert(fields, self._operation.request)
        except msgspec.ValidationError:  # the usual way says what is wrong
            return None
        options = client.options()
        asked.model, asked.options, asked.extra, asked.adaptations = self._model, options, {}, []
        asked.__dict__["_given"] = (*fields,)
        call = Call(
            operation=self._operation,
            request=asked,
            provider=self._provider,
            options=options,
            meta=Meta(provider=self._provider.name, model=self._model, adaptations=asked.adaptations),
            api_key=client.key_of(self._provider.name),
            headers=client.headers,
            secrets=client.secrets,
            random=client.random,
            group=self._group,
            relay=relay,
            reach=client.reach,
        )
        return call, self._run(call, fields, request)

    def _run(self, call: Call, fields: dict[str, Any], request: HttpRequest) -> Flow[Any]:
        router = self._router
        journey = Journey(router, self._group, self._members, router.sent)
        call.meta.attempts += 1
        begun: float = yield NOW
        try:
            one, ticket, start = yield from journey.take(call, begun)
            try:
                there = router.deployed(call, one)
                result = yield from self._once(there, one.deployment, fields, request)
            except BaseException as error:
                yield from journey.fail(call, one, ticket, start, error)
                raise
        except APIError as error:
            failed = error
        except BaseException as error:
            attribute(error, call)
            raise
        else:
            now = yield from journey.succeed(result, ticket, start)
            return over(result, call, begun, now)
        return (yield from observe(call, lambda call: router.resume(call, journey, failed), begun))

    def _once(self, call: Call, one: Deployment, fields: dict[str, Any], request: HttpRequest) -> Flow[Any]:
        """Ask a deployment: with what is ready for the first, anew for another."""
        turn = self._turns.get(one.id)
        if one is not self._members[0]:
            given = None if turn is None or turn.give is None else turn.give(fields, call.request.model)
            if given is None:
                turn = None
            else:
                request = given
        if turn is None:
            result = yield from self._router.sent(call)
        else:
            call.meta.provider, call.meta.model = call.provider.name, call.request.model
            result = yield from exchange_once(request, turn.tell, call)
            if call.relay and type(result) is Streaming:
                result.relay(call.relay)
            result = metered(call, result, None)
        if isinstance(result, Streaming):
            yield from commit(result)
        return result
