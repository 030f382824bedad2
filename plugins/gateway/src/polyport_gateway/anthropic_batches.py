"""Anthropic's message batches, over any provider with batches. https://docs.anthropic.com/en/api/creating-message-batches

Core's batches are files of lines, as OpenAI's are. Here each of a batch's requests becomes a line, such as its provider
takes; the lines are uploaded and started in one go. `anthropic_results` reads what comes of them.

All requests of a batch go to one account of one provider. The id that a caller gets says which, so that later calls
find it again; whose a batch is goes by its provider's own id, which is the same on every surface.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from polyport import ids
from polyport.border import Call, exchange
from polyport.client import Client
from polyport.errors import APIError, BadRequestError, NotFoundError
from polyport.flow import Call as Calling, Flow, Sleep
from polyport.lines import message_line
from polyport.middleware.cost import without_prices
from polyport.operations import BY_FUNCTION, Operation
from polyport.router.deployments import Deployment
from polyport.router.strategies import Candidate
from polyport.states import Standing
from polyport.types.batch import SINCE, Batch, BatchList
from polyport.types.record import OPTION_NAMES, Meta
from polyport.types.upload import Upload
from polyport_gateway import asked, replies
from polyport_gateway.anthropic import Anthropic
from polyport_gateway.effects import awaiting
from polyport_gateway.foreseen import Foreseen, add
from polyport_gateway.gate import Admission, GateError
from polyport_gateway.holding import held
from polyport_gateway.running import IN_BATCHES, Calls, Running, allowed
from polyport_gateway.surface import Answer

PATH = "/v1/messages/batches"
MESSAGES = BY_FUNCTION["messages"]
#: What a batch holds. https://docs.anthropic.com/en/docs/build-with-claude/batch-processing
CUSTOM_ID, MANY = re.compile(r"[a-zA-Z0-9_-]{1,64}"), 100_000
#: Options that are for calls made one by one.
OF_CALLS = OPTION_NAMES - {"drop_params", "strict"}
#: What says whose account a deployment calls on, besides its provider and its provider's settings.
ACCOUNT = ("api_key", "api_base", "api_version")
#: Lines made at once before others have their turn; what is told of their adaptations.
AT_ONCE, TOLD = 20, 20
#: OpenAI's statuses -> Anthropic's, of batches that are not over.
STATUS = {"cancelling": "canceling"}
#: How a batch ended -> what became of requests that neither succeeded nor failed.
LEFT_OVER = {"cancelled": "canceled", "expired": "expired"}
DAY = 24 * 60 * 60
#: The longest page; and how many pages are turned in search of a caller's own batches.
PAGE, PAGES = 100, 50


class Place(msgspec.Struct, frozen=True):
    """A deployment as a place for batches: its provider, and the account there."""

    provider: str
    deployment: Deployment
    account: Mapping[str, Any]
    #: The parameters of a call that is about files and batches there.
    parameters: Mapping[str, Any]


def places(running: Running, deployments: list[Deployment]) -> Iterator[Place]:
    """Yield the deployments that batches can be at."""
    router = running.router
    for one in deployments:
        provider = router.place_of(one)[0]
        loaded = router.client.providers.get(provider)
        if {"create_file", "create_batch", "chat"} <= loaded.answers.keys():
            settings = [name for setting in loaded.plugin.settings for name in setting.names]
            account = {name: {**one.extra, **one.options}.get(name) for name in (*ACCOUNT, *settings)}
            yield Place(provider, one, account, {**router.account_of(one), "provider": provider})


class Batches(Anthropic):
    """A batch that is looked at, or cancelled."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters, the id as the provider has it; `given` is the caller's."""
        given = fields["batch_id"]
        issued = ids.read(given)
        there = {} if issued is None else {"batch_id": issued.id, "provider": issued.provider}
        return {**Anthropic.read(self, operation, fields, headers), **there, "given": given}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and its flow."""
        issued = ids.read(fields["given"])
        if issued is not None and issued.provider not in running.providers:
            raise NotFoundError(f"There is no {fields['given'][:100]!r} here.")
        left_out = {"given", "provider"} if issued is not None else {"given"}
        kept = {name: value for name, value in fields.items() if name not in left_out}
        return running.router.plan(operation.function, **{**kept, "batch_id": fields["given"]})

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return a batch under the id that it was asked for by."""
        return Answer(replies.encode(told(result, fields["given"])))


class Deletion(Batches):
    """A batch that is deleted, where its provider lets go of it."""

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters. Whose provider does not let go is told by core, not by a search for one that does."""
        found = super().read(operation, fields, headers)
        return {**found, "model": None} if "provider" in found else found

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return which one. https://docs.anthropic.com/en/api/deleting-message-batches"""
        return Answer(replies.encode({"id": fields["given"], "type": "message_batch_deleted"}))


class Creation(Batches):
    """A batch that is made."""

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the requests, and the model of the first: by it the limits go."""
        requests = fields.get("requests")
        unknown = min(fields.keys() - {"requests", "betas", "beta"}, default=None)
        if unknown is not None:
            raise BadRequestError(f"A batch has `requests`, and no {unknown[:60]!r}")
        if not isinstance(requests, list) or not 0 < len(requests) <= MANY:
            raise BadRequestError(f"A batch needs 1 to {MANY} requests at $.requests")
        made: dict[str, Any] = {"requests": Calls(requests), "model": _model(requests[0], 0)}
        return Anthropic.read(self, operation, made, headers)

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Batch]]:
        """Return the call that starts the batch, and the flow that makes and uploads the lines before."""
        running.refuse_guarded(admission, IN_BATCHES)
        requests = fields["requests"]
        names = [_model(request, number) for number, request in enumerate(requests)]
        at = _common(running, dict.fromkeys(_allowed(name, admission) for name in names))
        place = next(iter(at.values()))
        client = running.router.client
        there = {**place.parameters, **bounds(fields)}
        call = client.prepare(operation, {**there, "input_file_id": "", **_betas(fields, place, running)})
        call.meta.deployment = place.deployment.id
        start: Any = call.request

        foreseen: Foreseen = {}

        def flow() -> Flow[Batch]:
            lines: list[bytes] = []
            seen: set[str] = set()
            for number, request in enumerate(requests):
                if number % AT_ONCE == 0:
                    yield Sleep(0)
                custom_id, params = _entry(request, number, seen, running)
                model = admission.aliases.get(params["model"], params["model"])
                try:
                    url, line = yield from _line(running, at[model], params, call)
                except APIError as error:
                    error.message = f"Request {number} ({custom_id}): {error.message}"
                    raise
                add(foreseen, running.router.place_of(at[model].deployment)[1], MESSAGES.path, params)
                lines.append(replies.encode({"custom_id": custom_id, "method": "POST", "url": url, "body": line}))
                start.endpoint = url
            made = yield from held(
                running, admission, call, uploaded(client, admission, call, there, lines), lambda: foreseen
            )
            counts = made.request_counts or {}
            made.request_counts = {**counts, "total": counts.get("total") or len(lines)}
            return made

        return call, flow()

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the batch under an id that says where it is."""
        return Answer(replies.encode(told(result, issue(result))))


class Listing(Batches):
    """The batches there are, account by account, the newest of each first."""

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters. The id that ends a page says where the next one begins."""
        if "before_id" in fields:
            raise BadRequestError("Pages are turned forward here, by after_id, and not by before_id")
        after = ids.read(str(fields.get("after_id", "")))
        if "after_id" in fields and after is None:
            raise BadRequestError("after_id is the last_id of a page that was told here")
        limit = max(1, min(fields.get("limit") or PAGE, PAGE))
        return {"model": None, "limit": limit, "after": after}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[BatchList]]:
        """Return the call for the first account's page, and the flow that goes on until there is one to tell of."""
        there = account_places(running)
        after = fields["after"]
        start = 0 if after is None else _found(there, after.deployment)
        client = running.router.client

        first = page_of(client, operation, fields, there[start], after.id if after else "")

        def flow() -> Flow[BatchList]:
            call, number = first, start
            for _ in range(PAGES):
                page = yield from client.onion(call)
                mine = yield noting(admission, operation.function, {}, page, call)
                names = {one["id"] for one in mine["data"]}
                found = BatchList(data=[one for one in page.data if one.id in names])
                for one in found.data:
                    one.__dict__["_meta"] = call.meta
                token = (page.last_id or page.data[-1].id) if page.has_more and page.data else ""
                number = number if token else number + 1
                found.has_more = number < len(there)
                if not found.has_more:
                    break
                at = there[number]
                found.last_id = ids.issue(ids.Issued(at.provider, token, "", at.deployment.id), ids.MESSAGES)
                if found.data:
                    break
                call = page_of(client, operation, fields, there[number], token)
            return found

        return first, flow()

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return a page."""
        data = [told(one, issue(one)) for one in result.data]
        ends = {"first_id": data[0]["id"] if data else None, "last_id": result.last_id}
        if not result.has_more and data:
            ends["last_id"] = data[-1]["id"]
        return Answer(replies.encode({"data": data, "has_more": bool(result.has_more), **ends}))


# --- what is asked ----------------------------------------------------------------------------------------------


def _model(request: Any, number: int) -> str:
    params = request.get("params") if isinstance(request, dict) else None
    model = params.get("model") if isinstance(params, dict) else None
    if not isinstance(model, str) or not model:
        raise BadRequestError(f"A model is missing at $.requests[{number}].params.model: GET /v1/models lists them")
    return model


def _allowed(model: str, admission: Admission) -> str:
    model = admission.aliases.get(model, model)
    if not allowed(model, admission):
        raise GateError(403, "model_not_allowed", f"This key may not use {model[:200]!r}.")
    return model


def _entry(request: Any, number: int, seen: set[str], running: Running) -> tuple[str, dict[str, Any]]:
    """Return a request's id and parameters, checked as those of a single call are. Raises BadRequestError."""
    place = f"$.requests[{number}]"
    custom_id, params = request.get("custom_id"), {**request["params"]}
    if not isinstance(custom_id, str) or not CUSTOM_ID.fullmatch(custom_id):
        raise BadRequestError(f"Expected 1 to 64 letters, digits, _ and - at {place}.custom_id")
    if custom_id in seen:
        raise BadRequestError(f"The custom_id {custom_id!r} stands twice, again at {place}")
    seen.add(custom_id)
    asked.check(params, MESSAGES, running.settings)
    single = min(OF_CALLS & params.keys(), default=None)
    if single is not None or params.pop("stream", None):
        raise BadRequestError(f"A batch has no {single or 'stream'!r} at {place}.params.{single or 'stream'}")
    return custom_id, params


def _line(running: Running, place: Place, params: dict[str, Any], batch: Call) -> Flow[tuple[str, dict[str, Any]]]:
    """Return a line's endpoint and body: of a call that is made ready for its deployment, and not sent."""
    router = running.router
    provider, model = router.place_of(place.deployment)
    call = router.client.prepare(MESSAGES, {**params, "model": model, "provider": provider})
    call = without_prices(router.deployed(call, Candidate(place.deployment, Standing(), provider, model)))
    request: Any = call.request
    url, body = yield from exchange(message_line(call.provider, request), call)
    tell(batch, call.meta)
    return url, {**body, **(call.options.extra_body or {})}


def tell(batch: Call, meta: Meta) -> None:
    """Have a batch tell how its lines were adapted, where that is not told already."""
    told_of = batch.meta.adaptations
    told_of += [one for one in meta.adaptations if one not in told_of][: max(0, TOLD - len(told_of))]


def _common(running: Running, models: Mapping[str, Any]) -> dict[str, Place]:
    """Return a place for each model, all at one account. Raises BadRequestError where there is none."""
    of = {model: [*places(running, running.router.groups.of(model))] for model in models}
    for model, found in of.items():
        if not found:
            raise BadRequestError(f"No provider of {model!r} has batches: ask one by one.")
    first, *others = of.values()
    for one in first:
        same = [[at for at in other if (at.provider, at.account) == (one.provider, one.account)] for other in others]
        if all(same):
            return dict(zip(of, [one, *(found[0] for found in same)], strict=True))
    lead = "; ".join(
        f"{model!r} to {', '.join(dict.fromkeys(p.provider for p in found))}" for model, found in of.items()
    )
    raise BadRequestError(f"A batch goes to one account of one provider, but its models lead apart: {lead}.")


def _betas(fields: Mapping[str, Any], place: Place, running: Running) -> dict[str, Any]:
    """Return what a batch says of betas: they are for who takes messages as they are."""
    takes = running.router.client.providers.get(place.provider).plugin.batch_lines == "messages"
    return {"betas": fields["betas"]} if takes and "betas" in fields else {}


def bounds(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a key's policy says of each call."""
    return {name: fields[name] for name in ("timeout", "num_retries") if name in fields}


def account_places(running: Running) -> list[Place]:
    """Return the accounts that have batches, each by its first deployment. Raises NotFoundError without any."""
    found: dict[str, Place] = {}
    for one in places(running, [one for one in running.router.groups.all() if one.model != "*"]):
        found.setdefault(repr((one.provider, one.account)), one)
    if not found:
        raise NotFoundError("None of the providers here has batches.")
    return [*found.values()]


def _found(there: list[Place], deployment: str) -> int:
    number = next((number for number, one in enumerate(there) if one.deployment.id == deployment), None)
    if number is None:
        raise BadRequestError("after_id is of a page at an account that is not served here any more")
    return number


def page_of(client: Client, operation: Operation, fields: Mapping[str, Any], at: Place, after: str) -> Call:
    """Return the call for a page of an account's batches."""
    page = {"limit": fields["limit"], **({"after": after} if after else {}), **bounds(fields)}
    call = client.prepare(operation, {**at.parameters, **page})
    call.meta.deployment = at.deployment.id
    return call


def uploaded(
    client: Client, admission: Admission, call: Call, there: Mapping[str, Any], lines: list[bytes]
) -> Flow[Batch]:
    """Upload lines to an account, and start the batch of them that `call` is."""
    content = Upload("requests.jsonl", b"\n".join(lines) + b"\n", "application/jsonl")
    file = yield from client.flow("create_file", **there, file=content, purpose="batch")
    yield noting(admission, "create_file", {}, file, call)
    tell(call, file.meta)
    start: Any = call.request
    start.input_file_id = file.id
    made: Batch = yield from client.onion(call)
    return made


def noting(admission: Admission, function: str, fields: Mapping[str, Any], result: Any, call: Call) -> Calling:
    """Return the effect that has the accounts take note of a step; what comes back is what the caller may see."""

    return awaiting(lambda: admission.note(function, fields, result, call.meta))


# --- what is told -----------------------------------------------------------------------------------------------


def issue(batch: Batch) -> str:
    """Return the id that a batch has on this surface: it says at whose account it is."""
    meta = batch.meta
    return ids.issue(ids.Issued(meta.provider, batch.id, "", meta.deployment or ""), ids.MESSAGES)


def told(batch: Batch, id: str) -> dict[str, Any]:
    """Return a batch as Anthropic tells it; `results_url` is relative, and so right behind any proxy.

    https://docs.anthropic.com/en/api/retrieving-message-batches
    """
    over = batch.status in SINCE
    created = batch.created_at or 0
    return {
        "id": id,
        "type": "message_batch",
        "processing_status": "ended" if over else STATUS.get(batch.status, "in_progress"),
        "request_counts": _counts(batch),
        "created_at": _instant(created),
        "expires_at": _instant(batch.expires_at or created + DAY),
        "ended_at": _instant(getattr(batch, SINCE[batch.status])) if over else None,
        "cancel_initiated_at": _instant(batch.cancelling_at),
        "archived_at": None,
        "results_url": f"{PATH}/{id}/results" if over else None,
    }


def _counts(batch: Batch) -> dict[str, int]:
    """Return what became of the requests. None of them is anything but `processing` until all are over."""
    told = batch.extra.get("message_counts")
    if isinstance(told, dict):
        return told
    counts = batch.request_counts or {}
    total, done, failed = (counts.get(name) or 0 for name in ("total", "completed", "failed"))
    found = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if batch.status not in SINCE:
        return found | {"processing": total}
    found |= {"succeeded": done, "errored": failed}
    found[LEFT_OVER.get(batch.status, "errored")] += max(0, total - done - failed)
    return found


def _instant(seconds: int | None) -> str | None:
    """Return a time as RFC 3339 writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
