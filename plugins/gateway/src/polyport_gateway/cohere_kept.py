"""What Cohere's accounts keep, and what only its models do: the methods in `cohere_resources`, served by `keeping`.

What is made is its caller's, and what a job or a batch makes as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from polyport.batchcost import TIER
from polyport.flow import HttpReply
from polyport.prices import Used
from polyport.router.deployments import Deployment
from polyport_gateway import cohere_resources
from polyport_gateway.app import ASGI
from polyport_gateway.cohere_chat import require_model
from polyport_gateway.cohere_resources import PAGED
from polyport_gateway.cohere_unserved import unserved
from polyport_gateway.gate import GateError
from polyport_gateway.keeping import PAGE, PAGES, USUAL, Kept, answering, told_of
from polyport_gateway.lines import LARGEST
from polyport_gateway.running import allowed
from polyport_gateway.surface import Surface
from polyport_gateway.surfaces import COHERE

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

#: Addresses that are not served, though they look like others.
BESIDE = frozenset((method, path) for method, path, _ in unserved())
#: No id of anything.
NOBODYS = "-"
#: What ids are called.
IDS = ("job_id", "id")
#: States in which a job, or a batch, uses nothing more.
OVER = frozenset({
    "complete", "cancelled", "failed", "BATCH_STATUS_COMPLETED", "BATCH_STATUS_FAILED", "BATCH_STATUS_CANCELED",
})  # fmt: skip
#: What a page says of all that the account has, whoever's it is.
TOTALS = frozenset({"total_count", "total_size"})


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part, which finds its addresses itself, before others that do."""
    app = gateway.app
    others = app.beside

    def beside(method: str, path: str) -> ASGI | None:
        found = None if (method, path) in BESIDE else cohere_resources.find(method, path)
        if found is None:
            return None if others is None else others(method, path)
        return answering(app, lambda *about: CohereKept(*about).about(*found, path))

    app.beside = beside
    return {}


class CohereKept(Kept):
    """One request about something that is kept at Cohere."""

    vendor: ClassVar[Surface] = COHERE

    def _speaks(self, one: Deployment) -> bool:
        router = self._running.router
        if one.model == "*":
            return False
        provider, model = router.place_of(one)
        return router.client.providers.get(provider).plugin.wire_of(model) == COHERE.relays

    def _places(self, provider: str | None = None) -> list[Deployment]:
        router = self._running.router
        there = [one for one in router.groups.all() if self._speaks(one)]
        return [one for one in there if provider is None or router.place_of(one)[0] == provider]

    def _of_models(self, told: dict[str, Any], caller: Any) -> tuple[str | None, list[Deployment]]:
        """Return what the model is called that has to work, and its places. Raises BadRequestError, GateError."""
        if self._row.model or self._row.models:
            require_model(told)
        elif self._row.spends:
            self._may_tune(told, caller)
        return super()._of_models(told, caller)

    def _may_tune(self, told: Mapping[str, Any], caller: Any) -> None:
        """Refuse to tune what a caller may not use; who may not use all has to say what. Raises GateError."""
        settings = told.get("settings")
        base = settings.get("base_model") if isinstance(settings, dict) else None
        name = base.get("name") if isinstance(base, dict) else None
        if getattr(caller, "models", None) is not None and not (isinstance(name, str) and allowed(name, caller)):
            raise GateError(
                403, "model_not_allowed", "This key may not use $.settings.base_model.name; say which it may."
            )

    def _made(self, told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield what was made, and the data set that a job or a batch has made."""
        every = [told, *(one for one in told.values() if isinstance(one, dict))]
        if self._row.makes == "output":
            yield from (("dataset", one["output_dataset_id"]) for one in every if one.get("output_dataset_id"))
            return
        yield self._row.makes, next(filter(None, map(self._id_of, every)), None)

    async def _seen(self, told: Mapping[str, Any]) -> None:
        """Have a job or a batch paid that is over: at batch prices, where there are some, a batch."""
        job = told.get("batch") if isinstance(told.get("batch"), dict) else told
        call = self._call
        if self._row.makes != "output" or call is None or not isinstance(job, dict) or job.get("status") not in OVER:
            return
        rates = self._running.rates_of(call.meta.provider, str(job.get("model") or ""))
        usage = _usage(job)
        tier = TIER if rates is not None and "batch" in told and rates.holds_at(TIER) else None
        used = Used(tokens={name: count for name, count in usage.items() if count}, prompt=usage["input"])
        used.service_tier = tier
        bill = rates.bill(used) if rates is not None and used.tokens else None
        if bill is not None:
            await self._admission_of().pay(self._id_of(job), bill.nano, usage, call.meta)

    # --- lists ---

    def _id_of(self, one: Any) -> str:
        told = one if isinstance(one, dict) else {}
        return next((told[word] for word in IDS if isinstance(told.get(word), str)), "")

    async def _list(self, path: str, query: list[tuple[str, str]]) -> None:
        """Send a page of what is the caller's, from as many of Cohere's as it takes."""
        name, turns = PAGED[self._row.name]
        request = self._request("GET", path, None, query)
        reply, data = await self._whole(request)
        page = told_of(data) if reply.status < 400 else None
        if page is None or await self._admission_of().visible([NOBODYS]):  # who sees that sees everything
            await self._answered(reply, data, request)
            return
        found = await (self._by_number if turns == "offset" else self._by_token)(path, query, name, page)
        if isinstance(found, tuple):
            await self._answered(*found, request)
            return
        told = {word: value for word, value in found.items() if word not in TOTALS}
        await self._answered(reply, msgspec.json.encode(told), request)

    async def _by_number(
        self, path: str, query: list[tuple[str, str]], name: str, page: dict[str, Any]
    ) -> dict[str, Any] | tuple[HttpReply, bytes]:
        """Return the page that a caller means by its numbers, which count its own."""
        asked = dict(query)
        skipped, wanted = _number(asked.get("offset"), 0), _number(asked.get("limit"), USUAL)
        rest = [(word, value) for word, value in query if word not in ("offset", "limit")]
        mine: list[Any] = []
        for turned in range(PAGES):
            numbers = [("offset", str(turned * PAGE)), ("limit", str(PAGE))]
            reply, data = await self._whole(self._request("GET", path, None, [*rest, *numbers]))
            if reply.status >= 400:
                return reply, data
            listed = _listed(told_of(data), name)
            mine += await self._mine(listed)
            if len(listed) < PAGE or len(mine) >= skipped + wanted:
                break
        return {**page, name: mine[skipped : skipped + wanted]}

    async def _by_token(
        self, path: str, query: list[tuple[str, str]], name: str, page: dict[str, Any]
    ) -> dict[str, Any] | tuple[HttpReply, bytes]:
        """Return the first page with something of the caller's: one may have fewer than were asked for."""
        rest = [(word, value) for word, value in query if word != "page_token"]
        mine = await self._mine(_listed(page, name))
        for _ in range(PAGES):
            token = page.get("next_page_token")
            if mine or not token:
                break
            reply, data = await self._whole(self._request("GET", path, None, [*rest, ("page_token", str(token))]))
            if reply.status >= 400:
                return reply, data
            page = told_of(data) or {}
            mine = await self._mine(_listed(page, name))
        return {**page, name: mine}


def _usage(job: Mapping[str, Any]) -> dict[str, int]:
    """Return what a job says that is charged, or a batch that it read and wrote: there, numbers are texts."""
    meta = job.get("meta")
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    told = billed if isinstance(billed, dict) else job
    return {"input": _count(told.get("input_tokens")), "output": _count(told.get("output_tokens"))}


def _count(told: Any) -> int:
    """Return a count, which may be a text."""
    if isinstance(told, str):
        return _number(told, 0)
    return int(told) if isinstance(told, int | float) and 0 <= told < LARGEST else 0


def _listed(page: Mapping[str, Any] | None, name: str) -> list[Any]:
    found = (page or {}).get(name)
    return found if isinstance(found, list) else []


def _number(text: str | None, usual: int) -> int:
    return int(text) if text and text.isdecimal() else usual
