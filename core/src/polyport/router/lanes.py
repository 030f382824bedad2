"""Lanes: the short way of calls whose request goes out as it was given, but for the model's name.

To a provider whose wire is the operation's own, most calls need no translation, and where no layer is around a call
nobody else wants its parameters. Such a call is made ready by the few steps of `Lane.plan`, and then goes the way of
all others: its attempts find their requests made (`Turn.give`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.border import Call, Next
from polyport.flow import Flow, HttpRequest
from polyport.middleware.cost import cost
from polyport.operations import Operation
from polyport.router.deployments import Deployment
from polyport.types.record import Meta

if TYPE_CHECKING:
    from polyport.router.router import Router

#: Makes the request of parameters for a model; see `polyport.provider.Turn`.
Give = Callable[[Mapping[str, Any], str], HttpRequest | None]


class Lane:
    """The short way of one operation to the deployments of one group. Made once, for many calls."""

    def __init__(self, router: Router, operation: Operation, group: str, members: Sequence[Deployment]) -> None:
        self._router, self._operation, self._group = router, operation, group
        self._gives = {one.id: give for one in members if (give := self._give(one)) is not None}
        name, self._model = router.place_of(members[0])
        self._first = members[0].id
        self._provider = router.client.providers.get(name)

    def _give(self, one: Deployment) -> Give | None:
        """Return what makes a deployment's requests, where they may go out as they were given."""
        provider = self._router.client.providers.get(self._router.place_of(one)[0])
        turn = provider.turns.get(self._operation.hook)
        return None if turn is None or one.extra or "prices" in one.options else turn.give

    def plan(self, fields: dict[str, Any], *, relay: str) -> tuple[Call, Flow[Any]] | None:
        """Return a call and its flow; None for one that has to go the usual way. `fields` are not changed."""
        give, client = self._gives.get(self._first), self._router.client
        request = None if give is None else give(fields, self._model)
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
        sent = self._sending(fields, request)
        return call, client.bare(
            call, lambda call: self._router.detouring(call, lambda call: self._through(call, sent))
        )

    def _through(self, call: Call, sent: Next) -> Flow[Any]:
        """Return the flow through a group; in those that are fallen back to, attempts are made as usual."""
        return self._router.through_group(call, sent if call.group == self._group else None)

    def _sending(self, fields: Mapping[str, Any], request: HttpRequest) -> Next:
        """Return what makes one attempt: `request`, which is ready for the first deployment, serves once."""
        ready = {self._first: request}

        def sent(call: Call) -> Flow[Any]:
            one = call.meta.deployment or ""
            found = ready.pop(one, None)
            if found is None:
                give = self._gives.get(one)
                found = None if give is None else give(fields, call.request.model)
            return cost(call, lambda call: self._router.client.send(call, found))

        return sent
