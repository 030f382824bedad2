"""Gemini's batches, over any provider with batches. https://ai.google.dev/api/batch-api

A batch for a model of Gemini's own goes to it as it came. For any other, each of its requests becomes a line, such as
its provider takes; the lines are uploaded and started in one go, and when they are over their answers are told with the
batch, as Google does. The id of such a batch says at whose account it is, and each line's what its caller calls it.
What a batch may cost is held, and paid when it is over, as for OpenAI's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from polyport import border, ids
from polyport.border import Call, exchange
from polyport.errors import APIError, BadRequestError, NotFoundError, PolyportError
from polyport.flow import Call as Calling, Flow, HttpReply, HttpRequest, Sleep
from polyport.lines import CHAT, EMBEDDINGS, chat_line, completion_of
from polyport.middleware.cost import without_prices
from polyport.operations import BY_FUNCTION, Operation
from polyport.router.strategies import Candidate
from polyport.states import Standing
from polyport.types.batch import SINCE, Batch, BatchList
from polyport.types.embed import EmbeddingResponse
from polyport.types.record import Adaptation, convert
from polyport_gateway import asked, replies
from polyport_gateway.anthropic_batches import (
    AT_ONCE,
    MANY,
    Place,
    account_places,
    bounds,
    noting,
    page_of,
    places,
    tell,
    uploaded,
)
from polyport_gateway.effects import awaiting
from polyport_gateway.foreseen import Foreseen, add
from polyport_gateway.gate import Admission
from polyport_gateway.gemini import STATUSES, Gemini, camels
from polyport_gateway.gemini_answers import to_response
from polyport_gateway.gemini_kept import PROVIDER, VERSION, Account, accounts, among, decoded, named, of_model
from polyport_gateway.gemini_more import vector_of
from polyport_gateway.holding import held
from polyport_gateway.running import IN_BATCHES, Running
from polyport_gateway.surface import Answer

COMPLETION, EMBEDDING = BY_FUNCTION["completion"], BY_FUNCTION["embedding"]
#: Methods that start batches -> the endpoint that their lines are for, and where their answers stand.
METHODS = {
    "batchGenerateContent": (CHAT, "inlinedResponses"),
    "asyncBatchEmbedContent": (EMBEDDINGS, "inlinedEmbedContentResponses"),
}  # fmt: skip
#: OpenAI's statuses -> Google's states.
STATES = {
    "validating": "PENDING", "in_progress": "RUNNING", "finalizing": "RUNNING", "completed": "SUCCEEDED",
    "failed": "FAILED", "expired": "EXPIRED", "cancelling": "RUNNING", "cancelled": "CANCELLED",
}  # fmt: skip
#: Characters of a line's id, which holds the number of a request and what its caller says of it.
LONGEST = 64
#: Google's codes of errors. https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
CODES = {
    "CANCELLED": 1, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8, "ABORTED": 10, "INTERNAL": 13, "UNAVAILABLE": 14, "UNAUTHENTICATED": 16,
}  # fmt: skip


class Creation(Gemini):
    """A batch that is started."""

    plans = True

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the model and the batch. Raises BadRequestError."""
        batch = camels(fields.get("batch"), "$.batch")
        return {"model": fields["model"], "told": batch}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Batch]]:
        """Return the call that starts the batch, and the flow of all that is to be done."""
        running.refuse_guarded(admission, IN_BATCHES)
        router = running.router
        if any(router.place_of(one)[0] == PROVIDER for one in router.groups.of(fields["model"])):
            return self._as_it_came(running, admission, operation, fields)
        return self._of_lines(running, admission, operation, fields)

    def _as_it_came(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Batch]]:
        there = of_model(running, fields["model"])
        call = _call(running, there[0], operation, input_file_id="")
        foreseen: Foreseen = {}
        for one in _requests(fields["told"], missing=[]):
            asks = one.get("request") or {}
            config = asks.get("generationConfig") or {}
            limit = {"max_tokens": config["maxOutputTokens"]} if "maxOutputTokens" in config else {}
            prose = {"contents": asks.get("contents"), "input": asks.get("content")}
            add(foreseen, there[0].model, METHODS[self._method][0], {**prose, **limit})

        def start() -> Flow[Batch]:
            reply: HttpReply = yield from exchange(self._post(call, fields["told"]), call)
            batch = Batch(id=str(decoded(reply).get("name", "")).removeprefix("batches/"), status="validating")
            return _came(batch, reply.content)

        def flow() -> Flow[Batch]:
            names = [*named("", fields["told"])]
            yield awaiting(lambda: admission.check(names))
            known = yield awaiting(lambda: admission.places(names))
            _move(running, call, among(running, admission, there, known), input_file_id="")
            return (yield from held(running, admission, call, start(), lambda: foreseen))

        return call, flow()

    def _post(self, call: Call, told: Any) -> Flow[HttpReply]:
        version = call.options.api_version or VERSION
        reply: HttpReply = yield HttpRequest(
            method="POST", url=f"/{version}/models/{call.meta.model}:{self._method}", json={"batch": told}
        )
        return reply

    def _of_lines(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Batch]]:
        model = fields["model"]
        there = next(places(running, running.router.groups.of(model)), None)
        if there is None:
            raise BadRequestError(f"No provider of {model!r} has batches: ask one by one.")
        requests = [*_requests(fields["told"], missing=None)]
        endpoint = METHODS[self._method][0]
        client = running.router.client
        parameters = {**there.parameters, **bounds(fields)}
        call = client.prepare(operation, {**parameters, "input_file_id": "", "endpoint": endpoint})
        call.meta.deployment = there.deployment.id
        upstream = running.router.place_of(there.deployment)[1]
        for name in fields["told"].keys() - {"inputConfig"}:
            why = "other vendors' batches have none"
            call.meta.adaptations.append(Adaptation(f"batch.{name}", "dropped", why))

        def upload(lines: list[bytes]) -> Flow[Batch]:
            made = yield from uploaded(client, admission, call, parameters, lines)
            made.request_counts = {**(made.request_counts or {}), "total": len(lines)}
            made.model = made.model or upstream
            return made

        def flow() -> Flow[Batch]:
            foreseen: Foreseen = {}
            lines: list[bytes] = []
            for number, one in enumerate(requests):
                if number % AT_ONCE == 0:
                    yield Sleep(0)
                place = f"$.batch.inputConfig.requests.requests[{number}]"
                try:
                    name, body = (
                        _named(one, number, place),
                        (yield from self._line(one, place, model, there, call, running)),
                    )
                except APIError as error:
                    error.message = f"Request {number}: {error.message}"
                    raise
                add(foreseen, upstream, endpoint, body)
                lines.append(replies.encode({"custom_id": name, "method": "POST", "url": endpoint, "body": body}))
            return (yield from held(running, admission, call, upload(lines), lambda: foreseen))

        return call, flow()

    def _line(
        self, one: dict[str, Any], at: str, model: str, place: Place, batch: Call, running: Running
    ) -> Flow[dict[str, Any]]:
        """Return the body of a line: of a call that is made ready for its deployment, and not sent."""
        router = running.router
        provider, upstream = router.place_of(place.deployment)
        given = camels(one.get("request"), f"{at}.request")
        if METHODS[self._method][0] == EMBEDDINGS:
            text, about = vector_of(given, f"{at}.request")
            return {"model": upstream, "input": text, **about}
        chat = Gemini.read(self, COMPLETION, {**given, "model": model}, {})
        foreign = chat.pop("foreign", None)
        if foreign:
            raise BadRequestError(f"{foreign[0]} has no place in a chat of every vendor; ask a model of Gemini's")
        asked.check(chat, COMPLETION, running.settings)
        call = router.client.prepare(COMPLETION, {**chat, "model": upstream, "provider": provider})
        call = without_prices(router.deployed(call, Candidate(place.deployment, Standing(), provider, upstream)))
        request: Any = call.request
        body: dict[str, Any] = yield from exchange(chat_line(call.provider, request), call)
        tell(batch, call.meta)
        return {**body, **(call.options.extra_body or {})}

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the batch: as it came, or under an id that says where it is."""
        came = result.__dict__.get("_came")
        return Answer(replies.encode(_told(result, _issue(result), self._method)) if came is None else came)


class Looking(Gemini):
    """A batch that is looked at, with its answers when it is over."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the id as the provider has it; `given` is the caller's."""
        given = fields["batch_id"]
        issued = ids.read(given)
        return {"model": None, "batch_id": given if issued is None else issued.id, "given": given}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and its flow."""
        client = running.router.client
        issued = ids.read(fields["given"])
        if issued is None:
            there = accounts(running)
            call = _call(running, there[0], operation, batch_id=fields["batch_id"])

            def flow() -> Flow[Any]:
                known = yield awaiting(lambda: admission.places([fields["batch_id"]]))
                _move(running, call, among(running, admission, there, known), batch_id=fields["batch_id"])
                result: Any = yield from client.onion(call)
                if not isinstance(result, Batch):
                    return result
                for name in _files(result):  # with the answers, which are for whose batch it is
                    admission.own("file", name, call.meta.deployment or "", result.id)
                return _came(result, replies.encode(result.raw))

            return call, flow()
        there_ = [one for one in _all_places(running) if one.deployment.id == issued.deployment]
        there_ = there_ or [one for one in _all_places(running) if one.provider == issued.provider]
        if not there_:
            raise NotFoundError(f"There is no {fields['given'][:100]!r} here.")
        parameters = {**there_[0].parameters, **bounds(fields)}
        call = client.prepare(operation, {**parameters, "batch_id": issued.id})
        call.meta.deployment = there_[0].deployment.id

        def look() -> Flow[Any]:
            batch: Any = yield from client.onion(call)
            if operation.function == "retrieve_batch" and batch.status in SINCE:
                yield noting(admission, operation.function, fields, batch, call)
                batch.__dict__["_answers"] = yield from _answers(batch, parameters, call, admission, running)
            return batch

        return call, look()

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the batch under the id that it was asked for by; of what is cancelled or deleted, nothing."""
        if not isinstance(result, Batch):
            return Answer(b"{}")
        came = result.__dict__.get("_came")
        method = "asyncBatchEmbedContent" if result.endpoint == EMBEDDINGS else "batchGenerateContent"
        return Answer(replies.encode(_told(result, fields["given"], method)) if came is None else came)


class Ending(Looking):
    """A batch that is cancelled, or deleted."""

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return nothing, as Google does."""
        return Answer(b"{}")


class Listing(Gemini):
    """The batches there are that are the caller's, account by account."""

    plans = True

    def read(self, operation: Operation, fields: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Return how long a page is wanted, and where it begins."""
        size, token = str(fields.get("pageSize", "")), str(fields.get("pageToken", ""))
        after = ids.read(token)
        if token and after is None:
            raise BadRequestError("pageToken is the nextPageToken of a page that was told here")
        return {"model": None, "limit": int(size) if size.isdecimal() and 0 < int(size) <= 100 else 50, "after": after}

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[BatchList]]:
        """Return the call for the first account's page, and the flow that goes on until there is one to tell of."""
        there, after, client = account_places(running), fields["after"], running.router.client
        start = 0
        if after is not None:
            found = [number for number, one in enumerate(there) if one.deployment.id == after.deployment]
            if not found:
                raise BadRequestError("pageToken is of a page at an account that is not served here any more")
            start = found[0]

        first = page_of(client, operation, fields, there[start], after.id if after else "")

        def flow() -> Flow[BatchList]:
            call, number = first, start
            told = BatchList(data=[])
            while True:
                page = yield from client.onion(call)
                mine = yield _visible(admission, page)
                data = [one for one in page.data if one.id in mine]
                if data and told.data:
                    return told
                for one in data:
                    one.__dict__["_meta"] = call.meta
                    if call.provider.name == PROVIDER:
                        raw = {op.get("name"): op for op in page.raw.get("operations") or ()}
                        one.__dict__["_came"] = raw.get(f"batches/{one.id}")
                told.data += data
                token = (page.last_id or page.data[-1].id) if page.has_more and page.data else ""
                number = number if token else number + 1
                if number == len(there):
                    told.last_id = None
                    return told
                at = there[number]
                told.last_id = ids.issue(ids.Issued(at.provider, token, "", at.deployment.id), ids.MESSAGES)
                call = page_of(client, operation, fields, there[number], token)

        return first, flow()

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return a page. https://ai.google.dev/api/batch-api#v1beta.batches.list"""
        told = []
        for one in result["data"]:
            came = one.__dict__.get("_came")
            method = "asyncBatchEmbedContent" if one.endpoint == EMBEDDINGS else "batchGenerateContent"
            told.append(_told(one, _issue(one), method) if came is None else came)
        more = {"nextPageToken": result["last_id"]} if result["last_id"] else {}
        return Answer(replies.encode({**({"operations": told} if told else {}), **more}))


# --- where a batch is ---------------------------------------------------------------------------------------------


def _call(running: Running, one: Account, operation: Operation, **fields: Any) -> Call:
    """Return a call about a batch at an account of Gemini's."""
    router = running.router
    call = router.client.prepare(operation, {**router.account_of(one.deployment), "provider": PROVIDER, **fields})
    call.meta.deployment, call.meta.group, call.meta.model = one.deployment.id, one.group, one.model
    return call


def _move(running: Running, call: Call, one: Account, **fields: Any) -> None:
    """Have a call go to another account."""
    if call.meta.deployment != one.deployment.id:
        other = _call(running, one, call.operation, **fields)
        call.options, call.api_key = other.options, other.api_key
        call.meta.deployment, call.meta.group, call.meta.model = one.deployment.id, one.group, one.model


def _all_places(running: Running) -> Iterator[Place]:
    return places(running, [one for one in running.router.groups.all() if one.model != "*"])


def _visible(admission: Admission, page: BatchList) -> Calling:
    return awaiting(lambda: admission.visible([one.id for one in page.data]))


def _came(batch: Batch, body: bytes) -> Batch:
    batch.__dict__["_came"] = body
    return batch


def _issue(batch: Batch) -> str:
    """Return the id that a batch has on this surface: it says at whose account it is."""
    meta = batch.meta
    return ids.issue(ids.Issued(meta.provider, batch.id, "", meta.deployment or ""), ids.MESSAGES)


def _files(batch: Batch) -> Iterator[str]:
    """Yield the files of answers that a batch of Google's tells of."""
    raw = batch.raw
    for told in (raw.get("response"), (raw.get("metadata") or {}).get("output")):
        if isinstance(told, dict):
            yield from named(str(told.get("responsesFile", "")))


# --- what is asked ------------------------------------------------------------------------------------------------


def _requests(told: Mapping[str, Any], *, missing: list[Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the requests of a batch; `missing` stands for those of a file. Raises BadRequestError where it must not."""
    config = camels(told.get("inputConfig") or {}, "$.batch.inputConfig")
    inner = config.get("requests")
    listed = inner.get("requests") if isinstance(inner, dict) else None
    if listed is None:
        listed = missing
    if listed is None:
        raise BadRequestError(
            "Files are Gemini's: a batch for this model has its requests at $.batch.inputConfig.requests.requests"
        )
    if not isinstance(listed, list) or len(listed) > MANY or not all(isinstance(one, dict) for one in listed):
        raise BadRequestError(f"Expected a list of up to {MANY} objects at $.batch.inputConfig.requests.requests")
    if not listed and missing is None:
        raise BadRequestError("A batch needs a request at $.batch.inputConfig.requests.requests")
    yield from listed


def _named(one: dict[str, Any], number: int, place: str) -> str:
    """Return the id of a line: its number, and what its caller says of it. Raises BadRequestError."""
    metadata = one.get("metadata")
    if not metadata:
        return f"r-{number}"
    name = f"r-{number}-{base64.urlsafe_b64encode(replies.encode(metadata)).decode().rstrip('=')}"
    if len(name) > LONGEST or not isinstance(metadata, dict):
        raise BadRequestError(f"What is said of a request must be an object, and short, at {place}.metadata")
    return name


# --- what is told -------------------------------------------------------------------------------------------------


def _answers(
    batch: Batch, parameters: Mapping[str, Any], call: Call, admission: Admission, running: Running
) -> Flow[list[dict[str, Any]]]:
    """Return what came of each request, in their order."""
    client = running.router.client
    found: dict[int, dict[str, Any]] = {}
    for file in (batch.output_file_id, batch.error_file_id):
        if file:
            content = yield from client.flow("file_content", **parameters, file_id=file)
            yield noting(admission, "file_content", {"file_id": file}, content, call)
            for text in content.content.splitlines():
                if text.strip():
                    number, told = _result(text, call, batch.endpoint == EMBEDDINGS)
                    found[number] = told
    return [found[number] for number in sorted(found)]


class _Response(msgspec.Struct):
    status_code: int | None = 200
    body: dict[str, Any] = {}


class _Line(msgspec.Struct):
    custom_id: str = ""
    response: _Response | None = None
    error: dict[str, Any] | None = None


def _result(text: bytes, call: Call, embedded: bool) -> tuple[int, dict[str, Any]]:
    """Return a line's number, and what came of it."""
    line = msgspec.json.decode(text, type=_Line)
    _, number, metadata = [*line.custom_id.split("-", 2), "", ""][:3]
    told: dict[str, Any] = {}
    if metadata:
        told["metadata"] = msgspec.json.decode(base64.urlsafe_b64decode(metadata + "=" * (-len(metadata) % 4)))
    answer = line.response
    if answer is None or (answer.status_code or 200) >= 400:
        status = answer.status_code or 500 if answer is not None else 500
        body = answer.body if answer is not None else {"error": line.error or {}}
        told["error"] = _error(status, border.message_of(body, HttpReply(status=status)))
    else:
        try:
            told["response"] = (
                _vector(answer.body) if embedded else to_response(completion_of(call.provider, answer.body))
            )
        except PolyportError as error:
            told["error"] = _error(error.status_code or 500, error.message)
    return int(number) if number.isdecimal() else 0, told


def _vector(body: dict[str, Any]) -> dict[str, Any]:
    made: EmbeddingResponse = convert(body, EmbeddingResponse, "$.response.body")
    return {"embedding": {"values": made.data[0].embedding}}


def _error(status: int, message: str) -> dict[str, Any]:
    word = STATUSES.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"code": CODES.get(word, 13), "message": message}


def _told(batch: Batch, id: str, method: str) -> dict[str, Any]:
    """Return a batch as Google tells it: an operation, with what came of it when it is over."""
    over = batch.status in SINCE
    counts = batch.request_counts or {}
    total, done, failed = (counts.get(name) or 0 for name in ("total", "completed", "failed"))
    name = f"batches/{id}"
    metadata: dict[str, Any] = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
        "name": name,
        "model": f"models/{batch.model or ''}",
        "state": f"BATCH_STATE_{STATES.get(batch.status, 'RUNNING')}",
        "createTime": _instant(batch.created_at or 0),
        "batchStats": {
            "requestCount": str(total),
            "successfulRequestCount": str(done),
            "failedRequestCount": str(failed),
            "pendingRequestCount": str(max(0, total - done - failed)),
        },
    }
    told: dict[str, Any] = {"name": name, "metadata": metadata}
    if over:
        metadata["endTime"] = _instant(getattr(batch, SINCE[batch.status]) or batch.created_at or 0)
        told["done"] = True
        if batch.errors:
            why = [str(one.get("message")) for one in batch.errors.get("data") or ()]
            told["error"] = {"code": CODES["INVALID_ARGUMENT"], "message": " ".join(why)}
    answers = batch.__dict__.get("_answers")
    if answers is not None:
        metadata["output"] = {METHODS[method][1]: {"inlinedResponses": answers}}
        told["response"] = metadata["output"]
    return told


def _instant(seconds: int) -> str:
    """Return a time as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
